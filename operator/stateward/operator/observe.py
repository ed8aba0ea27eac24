"""How a service stands: its StatefulSet, pods and claims from the cache, its members by their own word."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from fractions import Fraction
from typing import Any, Final

from stateward.kube.definition import GROUP
from stateward.operator import asking
from stateward.operator.apply import owned
from stateward.operator.drivers.protocol import Access, Container, Driver, Inside, Peer, Place, Seen, Target
from stateward.operator.informer import Informers
from stateward.operator.objects.common import CONTAINER, SPEAKS_TLS, TLS, VERSION, VOLUME, WAL, config, headless
from stateward.operator.objects.quorum import quorum
from stateward.operator.objects.workload import KEPT, Running, recalled
from stateward.operator.service import Service
from stateward.policies import quantity
from stateward.policies.consequence import LEFT as LEFT
from stateward.policies.engines.recognise import recognise_image
from stateward.policies.version import parse
from stateward.policies.view import Object, items_of, mapping_of, metadata_of, text_of

FORMED: Final = f"{GROUP}/formed"
"""Annotation of the StatefulSet: the members have founded their cluster. A member without data joins from then on."""
MEMBERS: Final = f"{GROUP}/members"
"""Annotation of the StatefulSet: how many members it is to have. Its replicas may be what somebody else has written."""
IMAGE: Final = f"{GROUP}/image"
"""Annotation of the StatefulSet: the image that its pods are made with."""
PREVIOUS: Final = f"{GROUP}/previous-version"
"""Annotation of the StatefulSet: the version that it comes from, as long as a change of version is not finished."""
PREVIOUS_IMAGE: Final = f"{GROUP}/previous-image"
"""Annotation of the StatefulSet: the image of that version."""
UPGRADED: Final = f"{GROUP}/upgraded"
"""Annotation of the StatefulSet: since when all members run the version that it has now."""
FINALISED: Final = f"{GROUP}/finalised"
"""Annotation of the StatefulSet: the series that the data is finalised at; older members cannot read it any more."""
FAILED: Final = f"{GROUP}/failed"
"""Annotation of the StatefulSet: the version and image that it went back from by itself; it is not tried again."""
BEGUN: Final = f"{GROUP}/begun"
"""Annotation of the StatefulSet: members have run the version that it has now, and none runs the one before any more."""
PARKED: Final = f"{GROUP}/parked"
"""Annotation of the StatefulSet: it has no pods for a moment, so that members of two versions never meet."""
SIZE: Final = f"{GROUP}/size"
"""Annotation of the StatefulSet: how large its volumes are once it is made anew. Its claim template cannot say it before."""
WAL_SIZE: Final = f"{GROUP}/wal-size"
"""Annotation of the StatefulSet: the same of the second volume."""
ROTATED: Final = f"{GROUP}/rotated"
"""Annotation of the StatefulSet: the last request to rotate (`stateward.dev/rotate`) that is done."""
SWITCHING: Final = f"{GROUP}/switching"
"""Annotation of the StatefulSet: `orders-0 REQUEST`: the member that led when a request to switch over was taken up."""
SWITCHED: Final = f"{GROUP}/switched"
"""Annotation of the StatefulSet: the last request to switch over (`stateward.dev/switchover`) that is done."""
CARRY: Final = f"{GROUP}/carry"
"""Annotation of the StatefulSet: how far data is being carried over to another major (`operations.carry`)."""
NOTES: Final = frozenset(
    {
        FORMED,
        VERSION,
        MEMBERS,
        IMAGE,
        PREVIOUS,
        PREVIOUS_IMAGE,
        UPGRADED,
        FINALISED,
        FAILED,
        BEGUN,
        PARKED,
        SIZE,
        WAL_SIZE,
        ROTATED,
        SWITCHING,
        SWITCHED,
        CARRY,
    }
)
"""What the loop remembers on the StatefulSet; all else that stands there is of one moment."""
LOST: Final = f"{GROUP}/lost"
"""Annotation of a claim: its volume is gone, which is decided; its member is made anew, whatever comes back meanwhile."""


@dataclass(frozen=True, slots=True)
class Stand:
    """One look."""

    running: Running
    """What the StatefulSet is, or is to be at first."""
    exists: bool
    """Whether there is a StatefulSet."""
    formed: bool
    targets: tuple[Target, ...]
    """The members that can be asked now."""
    seen: Mapping[str, Seen]
    pods: Mapping[str, Object]
    access: Access = field(default_factory=Access, repr=False)

    @property
    def replicas(self) -> int:
        """How many members there are to be now."""
        return self.running.replicas

    def healthy(self, members: Sequence[str]) -> list[str]:
        """Those of these members that say that they serve."""
        return [name for name in members if name in self.seen and self.seen[name].healthy is True]

    def has_quorum(self, service: Service) -> bool:
        """Whether a majority of the members serves, one of them as leader or the like."""
        members = service.names(self.replicas)
        return len(self.healthy(members)) >= quorum(len(members))


def running_of(service: Service, image: str, item: Object | None, look: Informers) -> tuple[Running, bool, bool]:
    """(what the StatefulSet is or is to be at first, whether it exists, whether the members have founded before).

    `item` is the StatefulSet; None only where the API server itself says that there is none: one that the cache has not
    heard of yet would be made anew, out of what the claims of the first seem to say. `image` is the engine's own.
    """
    claims = claims_of(service, look)
    if item is None:
        # Claims of earlier: their data is taken on as it is. Members that are missing join it, and found nothing anew.
        last = max((ordinal for claim in claims if (ordinal := claim_ordinal(service, claim)) is not None), default=-1)
        wanted = last + 1 or service.members
        image = service.image or image
        tls = any(SPEAKS_TLS in mapping_of(metadata_of(claim), "annotations") for claim in claims) if claims else service.tls
        first = Running(
            wanted,
            service.version,
            image,
            service.storage_class,
            service.size,
            {},
            tls,
            _wal_of(service, claims) if claims else service.wal,
            service.wal_class,
        )
        before = _kept(service, first, look)
        return (before, False, True) if before is not None else (first, False, bool(claims))
    spec, notes = mapping_of(item, "spec"), mapping_of(metadata_of(item), "annotations")
    replicas = spec.get("replicas")
    templates = {
        text_of(metadata_of(one), "name"): mapping_of(one, "spec") for one in items_of(spec, "volumeClaimTemplates")
    }
    claim, wal = templates.get(VOLUME, {}), templates.get(WAL)
    kept = {name: str(notes[name]) for name in NOTES if name in notes}
    version = text_of(notes, VERSION) or service.version
    running = Running(
        _count(text_of(notes, MEMBERS)) or (replicas if type(replicas) is int else service.members),
        version,
        _image_of(service, image, version, text_of(notes, IMAGE) or _image(spec)),
        text_of(claim, "storageClassName"),
        _size_of(claim) or service.size,
        kept,
        _speaks_tls(spec),
        (_size_of(wal) or service.wal) if wal is not None else "",
        text_of(wal, "storageClassName") if wal is not None else "",
    )
    return running, True, FORMED in notes


def _wal_of(service: Service, claims: Sequence[Object]) -> str:
    """The size of the second volume, where members of earlier have one; "" where they have none."""
    several = [claim for claim in claims if volume_of(claim) == WAL]
    return (service.wal or _size_of(mapping_of(several[0], "spec"))) if several else ""


def _size_of(claim: Mapping[str, Any]) -> str:
    return str(mapping_of(mapping_of(claim, "resources"), "requests").get("storage") or "")


def _image_of(service: Service, image: str, version: str, noted: str) -> str:
    """The image of this version: the one that is asked for, once it is this version's turn; until then the one it has."""
    wanted = service.image or image
    ours = version == service.version and not image_says_other(service.engine, wanted, version)
    return wanted if ours else noted or wanted


def image_says_other(engine: str, image: str, version: str) -> str:
    """The version that an image's tag says where it is another one; "" where it is not, or says none."""
    found, asked = recognise_image(image), parse(version)
    if found is None or found.profile.name != engine or found.version is None or asked is None:
        return ""
    return "" if found.version.same_release(asked) else found.version.text


def _kept(service: Service, first: Running, look: Informers) -> Running | None:
    """What the StatefulSet was that is being made anew; None where there was none, or one whose members never founded."""
    item = look.get("ConfigMap", service.namespace, config(service))
    if item is None or not owned(item, service):
        return None
    found = recalled(text_of(mapping_of(metadata_of(item), "annotations"), KEPT), first)
    if found is None or FORMED not in found.notes:
        return None
    return replace(found, size=found.notes.get(SIZE, found.size), wal=found.notes.get(WAL_SIZE, found.wal))


def asked_of(claim: Object) -> Fraction | None:
    """The size that a claim asks for, in bytes."""
    return quantity.parse(mapping_of(mapping_of(mapping_of(claim, "spec"), "resources"), "requests").get("storage"))


def claims_of(service: Service, look: Informers) -> list[Object]:
    """The claims of its members, of both volumes, those that have left apart."""
    several = [(claim_ordinal(service, claim), claim) for claim in look.of("PersistentVolumeClaim", service.key)]
    left = {ordinal for ordinal, claim in several if LEFT in mapping_of(metadata_of(claim), "annotations")}
    return [claim for ordinal, claim in several if ordinal is not None and ordinal not in left]


def claim_name(service: Service, ordinal: int, volume: str = VOLUME) -> str:
    """The claim that a StatefulSet makes for a member."""
    return f"{volume}-{service.member(ordinal)}"


def claim_names(service: Service, running: Running, ordinal: int) -> list[str]:
    """All that it makes for a member, that of the data first."""
    return [claim_name(service, ordinal, volume) for volume in ((VOLUME, WAL) if running.wal else (VOLUME,))]


def claim_ordinal(service: Service, claim: Object) -> int | None:
    """Whose claim it is; None if it is of no member's."""
    name = text_of(metadata_of(claim), "name")
    number = name.removeprefix(f"{volume_of(claim)}-{service.name}-")
    return int(number) if number != name and number.isdecimal() and len(number) < 4 else None


def volume_of(claim: Object) -> str:
    """Of which volume of its member a claim is."""
    return WAL if text_of(metadata_of(claim), "name").startswith(f"{WAL}-") else VOLUME


def look_at(
    service: Service,
    driver: Driver,
    item: Object | None,
    look: Informers,
    access: Access,
    inside: Callable[[str], Inside] | None = None,
) -> Stand:
    """Asks every member that runs; a member that does not answer in time is unknown.

    `inside`: pod → what runs commands in it.
    """
    # What speaks TLS is never asked in the clear, also where there are no certificates to ask it with.
    container = driver.container(service.version, driver.encrypts)
    running, exists, formed = running_of(service, container.image, item, look)
    pods = {text_of(metadata_of(pod), "name"): pod for pod in look.of("Pod", service.key)}
    secured = frozenset(container.secured if running.tls else ())
    asked = (_target(service, pod, container, access, secured) for pod in pods.values())
    targets = tuple(found for found in asked if found is not None)
    if inside is not None:
        targets = tuple(replace(one, inside=inside(one.name)) for one in targets)
    seen = lags(asking.SHARED.all(driver, targets), driver)
    return Stand(running, exists, formed, targets, seen, pods, access)


def lags(seen: Mapping[str, Seen], driver: Driver) -> dict[str, Seen]:
    """How far each is behind the one that leads, where they say how far they have come."""
    leading = [one.position for one in seen.values() if one.role in driver.leaders]
    end = leading[0] if len(leading) == 1 else None
    return {
        name: replace(one, lag=max(0, end - one.position), lag_unit="bytes")
        if end is not None and one.position is not None and one.role not in driver.leaders
        else one
        for name, one in seen.items()
    }


def place_of(service: Service, running: Running, formed: bool, members: int | None = None) -> Place:
    """Where the service is, with so many members; without a number those that it has in this step."""
    return Place(
        service.namespace,
        service.name,
        running.version,
        service.names(running.replicas if members is None else members),
        formed,
        service.parameters,
        running.tls,
        bool(running.wal),
    )


def strangers(service: Service, peers: Sequence[Peer], members: int) -> list[Peer]:
    """Entries of the engine's list that are none of its members'."""
    names = set(service.names(members))
    return [peer for peer in peers if peer.name not in names]


def no_node(pod: Object) -> str:
    """Why it finds no node, as the scheduler says; "" where it has one, or nobody has looked yet."""
    for one in items_of(mapping_of(pod, "status"), "conditions"):
        if one.get("type") == "PodScheduled" and one.get("status") == "False":
            return f"its pod finds no node: {text_of(one, 'message')}"
    return ""


def is_ready(pod: Object) -> bool:
    """Whether the kubelet says that it is ready."""
    return any(
        one.get("type") == "Ready" and one.get("status") == "True"
        for one in items_of(mapping_of(pod, "status"), "conditions")
    )


def _count(text: str) -> int:
    return int(text) if text.isdecimal() and len(text) < 4 else 0


def _image(spec: Mapping[str, Any]) -> str:
    """What the engine's container runs."""
    template = mapping_of(mapping_of(spec, "template"), "spec")
    return next((text_of(one, "image") for one in items_of(template, "containers") if one.get("name") == CONTAINER), "")


def _speaks_tls(spec: Mapping[str, Any]) -> bool:
    template = mapping_of(mapping_of(spec, "template"), "spec")
    return any(one.get("name") == TLS for one in items_of(template, "volumes"))


def _target(service: Service, pod: Object, container: Container, access: Access, secured: frozenset[str]) -> Target | None:
    status: Mapping[str, Any] = mapping_of(pod, "status")
    address = text_of(status, "podIP")
    if not address or text_of(status, "phase") != "Running" or "deletionTimestamp" in metadata_of(pod):
        return None
    ports = {**container.ports, **{name: port for one in container.beside for name, port in one.ports.items()}}
    name = text_of(metadata_of(pod), "name")
    known = f"{name}.{headless(service)}.{service.namespace}.svc"
    return Target(name, address, ports, access, known, secured)
