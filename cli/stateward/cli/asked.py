"""What a user asks of `lint`: which manifests, against what, and how they are rendered; the options and their checks."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import click

from stateward.cli import inputs
from stateward.cli.files import STDIN
from stateward.cli.options import PATH
from stateward.policies.structs import dataclass

F = TypeVar("F", bound=Callable[..., Any])

_OPTIONS = (
    click.option("--old", multiple=True, metavar="PATH", type=PATH, help="The manifests before: judge changes, deletions."),
    click.option("--base", metavar="GITREF", help="The same from a commit of git; REF... is the merge base with HEAD."),
    click.option("--cluster", is_flag=True, help="What is there is what the cluster has; it is the context too."),
    click.option("--kubeconfig", metavar="FILE", type=PATH, help="With --cluster: not $KUBECONFIG or ~/.kube/config."),
    click.option("--kube-context", metavar="NAME", help="With --cluster: a context of the kubeconfig."),
    click.option("--prune", is_flag=True, help="With --cluster and --selector: what is no longer given is deleted."),
    click.option("--selector", "-l", metavar="LABELS", help="With --prune: only objects with these labels."),
    click.option("--context", "-c", multiple=True, metavar="PATH", type=PATH, help="What else exists: looked at only."),
    click.option("--namespace", "-n", metavar="NAME", help="The namespace of objects that name none."),
    click.option(
        "--helm-values", multiple=True, metavar="FILE", type=PATH, help="Values of Helm charts; the last one wins."
    ),
    click.option("--release-name", metavar="NAME", help="The release of Helm charts; the chart's name without."),
    click.option("--fix", is_flag=True, help="Write the ready patches of what is refused into the files."),
    click.option("--diff", is_flag=True, help="Show what --fix would write; write nothing."),
)


@dataclass(frozen=True, slots=True)
class Rendering:
    """How charts and kustomizations are rendered."""

    values: tuple[str, ...] = ()
    release: str | None = None
    namespace: str | None = None


@dataclass(frozen=True, slots=True)
class Asked:
    """The options of `lint` that say what is judged, as they were given."""

    paths: tuple[str, ...]
    old: tuple[str, ...] = ()
    base: str | None = None
    cluster: bool = False
    kubeconfig: str | None = None
    kube_context: str | None = None
    prune: bool = False
    selector: str | None = None
    context: tuple[str, ...] = ()
    namespace: str | None = None
    helm_values: tuple[str, ...] = ()
    release_name: str | None = None
    fix: bool = False
    diff: bool = False

    @property
    def rendering(self) -> Rendering:
        """How charts and kustomizations are rendered."""
        return Rendering(self.helm_values, self.release_name, self.namespace)

    def check(self) -> None:
        """Ends with exit code 2 where options contradict each other."""
        before = [name for name, given in (("--old", self.old), ("--base", self.base), ("--cluster", self.cluster)) if given]
        if len(before) > 1:
            inputs.stop(f"{' and '.join(before)}: each says what was there before; give one of them")
        if self.base is not None and "-" in self.paths:
            inputs.stop(f"--base: {STDIN} has no history; give files or folders, or the manifests before with --old")
        for name, given in (
            ("--kubeconfig", self.kubeconfig),
            ("--kube-context", self.kube_context),
            ("--prune", self.prune),
        ):
            if given and not self.cluster:
                inputs.stop(f"{name} is about a cluster; add --cluster")
        if self.prune and not self.selector:
            inputs.stop("--prune: without --selector it would mean everything that was ever applied; give the labels")
        if self.selector and not self.prune:
            inputs.stop("--selector chooses what --prune deletes; add --prune")
        if self.fix and self.diff:
            inputs.stop("--fix writes and --diff only shows; give one of them")


def options(command: F) -> F:
    """Gives a command these options; they arrive under the names of `Asked`."""
    for option in reversed(_OPTIONS):
        command = option(command)
    return command
