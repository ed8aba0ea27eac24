"""The command line: `stateward` and `kubectl stateward`. Commands are imported when they are called."""

from __future__ import annotations

import errno
import importlib
import os
import sys
from typing import Final

import click

from stateward.cli.leaving import AtOnce

_COMMANDS: Final = {
    "lint": "Check manifests: each as created, or old against new.",
    "test": "Run cases: requests with the verdict that is expected.",
    "replay": "Judge the git history of manifests: what would have been refused, when and why.",
    "review": "Judge an AdmissionReview from standard input, as the webhook does.",
    "serve": "Serve the admission webhook.",
    "operate": "Run the StatefulServices of a cluster.",
    "why": "Show the last decisions about an object, in plain words.",
    "status": "Show how a service stands; without one mode, replicas, and what would have been refused.",
    "plan": "Show what would happen to a StatefulService, step by step, and what it risks.",
    "certs": "Make, show and rotate the webhook's certificates.",
    "enable": "Have the API server ask an installed Stateward (again).",
    "disable": "Turn the door off, and keep the rest.",
    "uninstall": "Remove Stateward from a cluster; nothing is left that blocks.",
    "rules": "List the rules.",
    "explain": "Explain a rule: why, what to do, examples.",
    "path": "Show the supported upgrade path between two versions of an engine.",
    "engines": "List the engines: versions, quorum, upgrades.",
    "adapters": "List the kinds that are understood, and what is read of them.",
    "completion": "Print the script that makes a shell complete all this.",
}
_COLOURS: Final = ("auto", "always", "never")
_EPILOG: Final = """\
\b
Start here:
  stateward lint manifests/                  would anything here be refused?
  stateward lint --old main/ manifests/      what does this change do?
  stateward explain SW201                    why, and what to do instead
  stateward serve                            the webhook on this machine

Exit codes: 0 nothing to refuse, 1 something is refused (or a case fails), 2 the input cannot be used.
"""


def _colour(ctx: click.Context, _: click.Parameter, value: str) -> None:
    """Whether this run writes colours. Source of the variables: no-color.org, force-color.org."""
    if value == "auto":
        if os.environ.get("NO_COLOR") or os.environ.get("TERM") == "dumb":
            ctx.color = False
        elif os.environ.get("FORCE_COLOR"):
            ctx.color = True
    else:
        ctx.color = value == "always"


def _color_option(default: str | None) -> click.Option:
    """`--color`, understood before a command and behind it; behind it nothing said leaves what was said before."""
    return click.Option(
        ["--color"],
        type=click.Choice(_COLOURS),
        metavar=f"[{'|'.join(_COLOURS)}]",
        default=default,
        expose_value=False,
        is_eager=True,
        callback=lambda ctx, option, value: _colour(ctx, option, value) if value is not None else None,
        help="Colours; auto (the default): on a terminal. NO_COLOR and FORCE_COLOR are heeded.",
    )


_FULL: Final = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO})


class _Lazy(click.Group):
    """A group that imports a command only when it is run: `stateward --help` imports none."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(_COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in _COMMANDS:
            return None
        module = importlib.import_module(f"stateward.cli.commands.{cmd_name}")
        command: click.Command = module.command
        if not any(parameter.name == "color" for parameter in command.params):
            command.params.append(_color_option(None))
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl(list(_COMMANDS.items()))

    def shell_complete(self, ctx: click.Context, incomplete: str) -> list[click.shell_completion.CompletionItem]:
        """Commands by name, without importing one of them."""
        found = [
            click.shell_completion.CompletionItem(name, help=words)
            for name, words in _COMMANDS.items()
            if name.startswith(incomplete)
        ]
        return [*found, *click.Command.shell_complete(self, ctx, incomplete)]


def _version(ctx: click.Context, _: click.Parameter, value: bool) -> None:
    if value:
        from importlib import metadata

        click.echo(f"stateward {metadata.version('stateward')}")
        ctx.exit()


@click.group(
    cls=_Lazy,
    params=[_color_option("auto")],
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110},
    epilog=_EPILOG,
)
@click.option("--version", is_flag=True, is_eager=True, expose_value=False, callback=_version, help="Show the version.")
def cli() -> None:
    """Stops the edits that lose, shrink, downgrade or split stateful services on Kubernetes."""


def main() -> None:
    """The entry point. A reader that goes away (`| head`) is no error; a disk that is full is one, in one line."""
    output = sys.stdout
    try:
        try:
            cli(prog_name="stateward")
        except SystemExit as end:
            if sys.stdout is not output:  # how click tells that the reader has gone; it would exit with 1, as for a refusal
                sys.exit(0)
            sys.stdout.flush()
            sys.stderr.flush()
            if isinstance(end, AtOnce):
                os._exit(end.status)
            raise
    except BrokenPipeError:
        sys.stderr.close()
        sys.exit(0)
    except OSError as error:
        # Of a file the commands themselves say which; what has no name is where the output goes.
        if error.filename is not None or error.errno not in _FULL:
            raise
        os.write(2, f"error: the output cannot be written: {error.strerror}; what was written of it is not whole\n".encode())
        os._exit(2)  # the interpreter's own end would try to write it again
