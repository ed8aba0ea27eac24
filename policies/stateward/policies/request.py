"""An admission request, read from an AdmissionReview (admission.k8s.io/v1) with nothing taken for granted."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, Literal, NamedTuple

import orjson

from stateward.policies.structs import dataclass, field
from stateward.policies.view import Kind, Object, kind_of, mapping_of, metadata_of, text_of

Operation = Literal["CREATE", "UPDATE", "DELETE"]
_OPERATIONS: Final = ("CREATE", "UPDATE", "DELETE", "CONNECT")


class BadReview(Exception):  # noqa: N818 - the review is bad, not the program
    """The input is no AdmissionReview that can be judged. The message names field, value, reason, next step."""

    def __init__(self, message: str, uid: str = "") -> None:
        super().__init__(message)
        self.uid = uid


class User(NamedTuple):
    """Who asks."""

    name: str = ""
    groups: tuple[str, ...] = ()


@dataclass(slots=True)
class Request:
    """One request. `object` is None on DELETE, `old` is None on CREATE; neither is ever in a log."""

    kind: Kind
    operation: str
    name: str
    namespace: str
    object: Object | None = field(repr=False)
    old: Object | None = field(repr=False)
    resource: str = ""
    subresource: str = ""
    uid: str = ""
    user: User = field(default_factory=User)
    options: Mapping[str, Any] = field(default_factory=dict)
    dry_run: bool = False

    @property
    def subject(self) -> Object:
        """The object itself: as it will be, or (DELETE) as it was."""
        return self.object if self.object is not None else self.old or {}

    @property
    def where(self) -> str:
        """`prod/orders`; of what is in no namespace its name alone. A Namespace's request names itself as its own."""
        inside = self.namespace and self.kind != "Namespace"
        return f"{self.namespace}/{self.name}" if inside else self.name


def decode(body: bytes) -> Request:
    """The request of an AdmissionReview. Raises BadReview."""
    try:
        review = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise BadReview(
            f"the body is not JSON: {error}; send an AdmissionReview of admission.k8s.io/v1 as application/json"
        ) from None
    return from_review(review)


def from_review(review: Any) -> Request:
    """The same from parsed JSON."""
    if type(review) is not dict:
        raise BadReview(f"the body is a JSON {_name(review)}; an AdmissionReview object is wanted")
    asked = review.get("request")
    uid = asked.get("uid") if type(asked) is dict else ""
    uid = uid if isinstance(uid, str) else ""
    if review.get("kind") != "AdmissionReview" or review.get("apiVersion") != "admission.k8s.io/v1":
        raise BadReview(
            f"apiVersion, kind: {_shown(review.get('apiVersion'))}, {_shown(review.get('kind'))} cannot be judged; "
            "send admission.k8s.io/v1, AdmissionReview (admissionReviewVersions: [v1])",
            uid,
        )
    if type(asked) is not dict:
        raise BadReview(f"request: {_shown(asked)} is no object; an AdmissionReview carries its question there")
    if not uid:
        raise BadReview("request.uid: it is missing; the answer has to repeat it")
    operation = asked.get("operation")
    if operation not in _OPERATIONS:
        raise BadReview(f"request.operation: {_shown(operation)} is none of {', '.join(_OPERATIONS)}", uid)
    item, old = asked.get("object"), asked.get("oldObject")
    if not (item is None or type(item) is dict):
        raise BadReview(f"request.object: a JSON {_name(item)} is no Kubernetes object", uid)
    if not (old is None or type(old) is dict):
        raise BadReview(f"request.oldObject: a JSON {_name(old)} is no Kubernetes object", uid)
    if operation == "DELETE":
        item = None
    if operation in ("UPDATE", "DELETE") and old is None:
        raise BadReview(f"request.oldObject: it is missing; {operation} is judged against what was there", uid)
    if operation in ("CREATE", "UPDATE") and item is None:
        raise BadReview(f"request.object: it is missing; {operation} says what shall be there", uid)
    subject = item if item is not None else old or {}
    metadata = metadata_of(subject)
    who = mapping_of(asked, "userInfo")
    groups = who.get("groups")
    kind = mapping_of(asked, "kind")
    resource = mapping_of(asked, "resource")
    name, group = text_of(kind, "kind"), text_of(kind, "group")
    return Request(
        kind=(f"{name}.{group}" if group else name) if name else kind_of(subject.get("apiVersion"), subject.get("kind")),
        operation=operation,
        # The name is missing on every item of a deleted collection and where the server makes it up.
        name=text_of(asked, "name") or text_of(metadata, "name") or text_of(metadata, "generateName"),
        namespace=text_of(asked, "namespace") or text_of(metadata, "namespace"),
        object=item,
        old=old,
        resource=text_of(resource, "resource"),
        subresource=text_of(asked, "subResource"),
        uid=uid,
        user=User(
            text_of(who, "username"),
            tuple([one for one in groups if isinstance(one, str)]) if type(groups) is list else (),
        ),
        options=mapping_of(asked, "options"),
        dry_run=asked.get("dryRun") is True,
    )


def _name(value: Any) -> str:
    return {list: "list", str: "string", bool: "boolean", int: "number", float: "number", type(None): "null"}.get(
        type(value), "object"
    )


def _shown(value: Any) -> str:
    if value is None:
        return "nothing"
    text = value if isinstance(value, str) else repr(value)
    return f'"{text[:60]}"'
