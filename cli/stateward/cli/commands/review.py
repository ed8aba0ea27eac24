"""`stateward review`: an AdmissionReview in, the AdmissionReview that the webhook would send out."""

from __future__ import annotations

import sys
from typing import Final

import click

from stateward.cli import inputs
from stateward.policies.mutate import mutate
from stateward.policies.request import BadReview
from stateward.policies.review import review
from stateward.policies.view import MemoryView

_LIMIT = 7 * 1024 * 1024


EPILOG: Final = """\
\b
Examples:
  stateward review < review.json                         what the webhook would answer
  stateward review -c cluster.yaml < review.json         with what else exists in the cluster
  stateward review --mutate < review.json                what it would fill in, as a patch (docs/mutation.md)
  stateward review < review.json | jq -r .response.status.message
"""


@click.command("review", epilog=EPILOG)
@click.option("--context", "-c", multiple=True, metavar="PATH", help="Files and folders: what else exists.")
@inputs.policy_option
@click.option(
    "--mutate", "before", is_flag=True, help="Answer as /mutate does: fill in defaults, refuse what never changes."
)
@click.option("--now", metavar="TIME", help="Judge as of this time (RFC 3339).")
def command(context: tuple[str, ...], policy_file: str | None, before: bool, now: str | None) -> None:
    """Judge an AdmissionReview from standard input, exactly as the webhook does.

    Prints the AdmissionReview with its response. Exit code 0 whether it is allowed or not, 2 on bad input.

    A kind is known in full if the context holds an object of it, else it is unknown.
    """
    policy = inputs.read_policy(policy_file)
    moment = inputs.read_now(now)
    view = MemoryView(inputs.read_context(context))
    body = sys.stdin.buffer.read(_LIMIT + 1)
    if len(body) > _LIMIT:
        inputs.stop(f"standard input: more than {_LIMIT} bytes; an API server sends no review that large")
    try:
        answer = (mutate if before else review)(body, view, policy, now=moment, unknown="silent")
    except BadReview as error:
        inputs.stop(f"standard input: {error}")
    sys.stdout.buffer.write(answer.body + b"\n")
