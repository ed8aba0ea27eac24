"""SW109: claims that a GitOps controller takes for its own."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from stateward.policies.change import Change
from stateward.policies.finding import Finding
from stateward.policies.rule import rule, services
from stateward.policies.view import Sight

_TRACKING: Final = (
    "argocd.argoproj.io/instance",
    "kustomize.toolkit.fluxcd.io/name",
    "helm.toolkit.fluxcd.io/name",
)


@rule(
    id="SW109",
    name="tracked-claim-template",
    summary="A claim template carries a GitOps tracking label",
    why="Every claim made from it inherits the label, so the controller takes the claims for objects that are no longer "
    "in git and prunes them, with the data.",
    remedy="Take the tracking label out of the claim template; on the set itself it does no harm.",
    source="Argo CD documentation, resource tracking; Flux documentation, Kustomization prune",
    nature="state",
    action="warn",
    judges=services("CREATE", "UPDATE"),
    about=("volumes",),
    loses_data=True,
)
def tracked_claim_template(change: Change, see: Sight) -> Iterator[Finding]:
    """Labels of claim templates alone."""
    new = change.new
    if new is None:
        return
    for volume in (volume for group in new.groups for volume in group.volumes):
        labels = volume.labels.value
        for key in _TRACKING:
            if type(labels) is dict and key in labels:
                yield Finding(
                    field=(*volume.labels.path, key),
                    text="every claim inherits this tracking label, so its controller will prune the claims",
                    why="the claims are not in git, the label says they should be",
                    remedy="remove the label from the claim template",
                    subject=f"{volume.name}/{key}",
                )
