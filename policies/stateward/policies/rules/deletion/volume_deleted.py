"""SW406: a bound PersistentVolume is deleted."""

from __future__ import annotations

from collections.abc import Iterator

from stateward.policies.change import Change
from stateward.policies.facts import annotations_of, being_deleted, name_of
from stateward.policies.finding import Finding
from stateward.policies.naming import kubectl_name
from stateward.policies.rule import objects, rule
from stateward.policies.view import UNKNOWN, Object, Sight, excuses, mapping_of, metadata_of, text_of
from stateward.policies.waiver import CONFIRM_DELETE

_CLAIM = "PersistentVolumeClaim"


@rule(
    id="SW406",
    name="volume-deleted",
    summary="A PersistentVolume that a claim is bound to is deleted",
    why="A volume has no namespace: `-n` and `--all` together reach every volume of the cluster. Once marked for deletion "
    "it cannot be taken back; the data goes when the last pod lets go of it.",
    remedy="Delete the claim instead, which names what it belongs to; a volume that was released may be confirmed by name.",
    source="Kubernetes documentation, Persistent Volumes: storage object in use protection",
    nature="transition",
    judges=objects("PersistentVolume", on=("DELETE",)),
    looks_at=(excuses(_CLAIM, "spec.volumeName"),),
    loses_data=True,
)
def volume_deleted(change: Change, see: Sight) -> Iterator[Finding]:
    """Bound volumes whose claim is not known to be gone.

    What is retained loses its object, not its data: it only warns, unless the cluster says that it is bound to this day.
    """
    volume = change.request.old
    if volume is None:
        return
    name = name_of(volume)
    if annotations_of(volume).get(CONFIRM_DELETE) == name:
        return
    spec, phase = mapping_of(volume, "spec"), text_of(mapping_of(volume, "status"), "phase")
    claim = mapping_of(spec, "claimRef")
    if not claim or phase in ("Available", "Pending", "Failed"):
        return
    where = f"{text_of(claim, 'namespace')}/{text_of(claim, 'name')}"
    found = see.get(_CLAIM, text_of(claim, "namespace"), text_of(claim, "name"))
    gone = found is None or (found is not UNKNOWN and _another(found, volume, claim))
    # Kubernetes API, PersistentVolumeSpec: Retain is the default of volumes that a person makes.
    retained = spec.get("persistentVolumeReclaimPolicy") in (None, "Retain")
    if gone and not retained:
        return  # a released volume that is deleted with its claim anyway
    if retained and found is not UNKNOWN and found is not None and being_deleted(found):
        return  # claim and volume are taken down together, and the data stays: what there is to say, the claim's rule says
    size = text_of(mapping_of(spec, "capacity"), "storage")
    yield Finding(
        field=(),
        text=f"deletes a {'released' if gone else 'bound'} volume{f' of {size}' if size else ''}; "
        + (f"claim {where} was its last" if gone else f"claim {where} is bound to it"),
        why=_why(gone, retained),
        remedy="snapshot it, then confirm in an edit of its own: "
        f"kubectl annotate {kubectl_name(volume)} {CONFIRM_DELETE}={name}, then delete again",
        subject=name,
        weak=retained and (gone or phase != "Bound"),
    )


def _why(gone: bool, retained: bool) -> str:
    if gone:
        return "what is on it was kept on purpose (Retain), and nothing else leads to it any more"
    if retained:
        return (
            "its data stays where it is stored (Retain); the claim loses its volume for good, and the next pod finds nothing"
        )
    return "the claim loses its volume for good: once marked there is no way back, and the next pod finds nothing"


def _another(claim: Object, volume: Object, reference: object) -> bool:
    """Whether the claim of that name is a later one, bound to another volume."""
    uid = reference.get("uid") if isinstance(reference, dict) else None
    own = metadata_of(claim).get("uid")
    if isinstance(uid, str) and isinstance(own, str) and uid != own:
        return True
    bound = text_of(mapping_of(claim, "spec"), "volumeName")
    return bool(bound) and bound != name_of(volume)
