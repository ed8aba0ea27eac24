"""The command line: `stateward` and `kubectl stateward`. Commands are imported when they are called."""

from __future__ import annotations

import importlib
import sys
from importlib import metadata
from typing import Final

import click

_COMMANDS: Final = {
    "lint": "Check manifests: each as created, or old against new.",
    "test": "Run cases: requests with the verdict that is expected.",
    "review": "Judge an AdmissionReview from standard input, as the webhook does.",
    "serve": "Serve the admission webhook.",
    "rules": "List the rules.",
    "explain": "Explain a rule: why, what to do, examples.",
    "path": "Show the supported upgrade path between two versions of an engine.",
}


class _Lazy(click.Group):
    """A group that imports a command only when it is run: `stateward --help` imports none."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(_COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in _COMMANDS:
            return None
        module = importlib.import_module(f"stateward.cli.commands.{cmd_name}")
        command: click.Command = module.command
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl(list(_COMMANDS.items()))


def _version(ctx: click.Context, _: click.Parameter, value: bool) -> None:
    if value:
        click.echo(f"stateward {metadata.version('stateward')}")
        ctx.exit()


@click.group(
    cls=_Lazy,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110},
    epilog="Exit codes: 0 nothing to refuse, 1 something is refused (or a case fails), 2 the input cannot be used.",
)
@click.option("--version", is_flag=True, is_eager=True, expose_value=False, callback=_version, help="Show the version.")
def cli() -> None:
    """Stops the edits that lose, shrink, downgrade or split stateful services on Kubernetes."""


def main() -> None:
    """The entry point. A reader that goes away (`| head`) is no error."""
    try:
        cli(prog_name="stateward")
    except BrokenPipeError:
        sys.stderr.close()
        sys.exit(0)
