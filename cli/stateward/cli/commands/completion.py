"""`stateward completion SHELL`: the script that makes a shell complete commands, options, rules and engines."""

from __future__ import annotations

import sys
from typing import Final

import click
from click.shell_completion import CompletionItem, ShellComplete, get_completion_class

EPILOG: Final = """\
\b
Examples:
  source <(stateward completion bash)                                   now; in ~/.bashrc for good
  stateward completion zsh > "${fpath[1]}/_stateward"                   for good; then start a new shell
  stateward completion fish > ~/.config/fish/completions/stateward.fish
  kubectl stateward <TAB>                                               works where kubectl itself completes: nothing to do

kubectl finds `kubectl_complete-stateward`, which is installed beside `stateward`.
"""

NO_FILES: Final = 4
"""What kubectl is told (cobra, completions.go, ShellCompDirective): the candidates are all there is."""
FILES: Final = 0
FOLDERS: Final = 16


@click.command("completion", epilog=EPILOG)
@click.argument("shell", type=click.Choice(("bash", "zsh", "fish")))
def command(shell: str) -> None:
    """Print the script that makes a shell complete stateward: commands, options, rules, engines, formats."""
    found = get_completion_class(shell)
    root = click.get_current_context().find_root().command
    if found is None:
        raise click.ClickException(f"{shell} is not known to click")
    complete = found(root, {}, "stateward", "_STATEWARD_COMPLETE")
    click.echo(complete.source_template % complete.source_vars())


def kubectl() -> None:
    """The entry point `kubectl_complete-stateward`: candidates a line each, then what else to complete with.

    kubectl calls it with the words behind `kubectl stateward`, the last one unfinished (kubectl, plugin completion).
    """
    from stateward.cli.main import cli

    words = sys.argv[1:]
    complete = ShellComplete(cli, {}, "stateward", "_STATEWARD_COMPLETE")
    items = complete.get_completions(words[:-1], words[-1] if words else "")
    for line in lines(items):
        click.echo(line)


def lines(items: list[CompletionItem]) -> list[str]:
    """Candidates as kubectl reads them: `value<TAB>what it is`, and last `:` with a number."""
    told = [f"{item.value}\t{item.help}" if item.help else str(item.value) for item in items if item.type == "plain"]
    kinds = {item.type for item in items}
    return [*told, f":{FOLDERS if 'dir' in kinds else FILES if 'file' in kinds else NO_FILES}"]
