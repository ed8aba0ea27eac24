"""`stateward plan -f new.yaml`: what would happen, in order, and what it risks."""

from __future__ import annotations

import click

from stateward.cli import extra, inputs

EPILOG = """\
\b
Examples:
  stateward plan -f orders.yaml                        from the service that is there to this one
  stateward plan -f orders.yaml --old orders-now.yaml  from one manifest to the other: no cluster is asked
  stateward plan -f orders.yaml --old none             what making it takes, without a cluster
  kubectl get sfs orders -n prod -o yaml | sed s/3.5.21/3.5.33/ | stateward plan -f -
  stateward plan -f orders.yaml --format json | jq '[.plans[].steps[].spare] | min'    how near the edge it goes

Exit codes: 0 it can be done, 1 a rule refuses it or it cannot be done to its end, 2 bad input, or nobody answered.
"""


@click.command("plan", epilog=EPILOG)
@click.option("--filename", "-f", required=True, metavar="FILE", help="StatefulServices as they are to be; - reads them.")
@click.option("--old", metavar="FILE", help="The same as they are now, or none: then no cluster is asked.")
@click.option("--namespace", "-n", metavar="NAMESPACE", help="Of a manifest that names none.")
@inputs.policy_option
@click.option("--now", metavar="TIME", help="When it begins, for windows; the clock's time without.")
@click.option("--kubeconfig", metavar="FILE", help="The cluster; as kubectl finds it without.")
@click.option("--context", metavar="NAME", help="The context of the kubeconfig.")
@click.option(
    "--format", "style", type=click.Choice(["text", "json"]), default="text", show_default=True, help="How to write it."
)
def command(
    filename: str,
    old: str | None,
    namespace: str | None,
    policy_file: str | None,
    now: str | None,
    kubeconfig: str | None,
    context: str | None,
    style: str,
) -> None:
    """Show what would happen to a service if its spec were another: each step, who is away, how it is undone.

    First what the rules say. Then the steps, as the operator itself decides them: its own loop is rehearsed on a model of
    the service whose members do what they are told. What a plan cannot know is how long things take, and what fails.
    """
    try:
        from stateward.cli import planning
    except ImportError as error:
        extra.missing(error)
    asked = planning.Asked(filename, old, namespace, policy_file, inputs.read_now(now), kubeconfig, context)
    planning.show(asked, style)
