"""Objects of ours in another version of theirs: ConversionReview in, ConversionReview out; pure.

What the API server wants back (k8s.io/apiextensions-apiserver, pkg/apiserver/conversion/webhook_converter.go): the uid, as
many objects in the same order, each with the wanted apiVersion and otherwise the metadata that it came with. Nothing is
lost either way: each version has a place for everything that the other one says, and what neither knows stays where it is.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

import orjson

from stateward.kube.definition import GROUP

KIND: Final = "StatefulService"
REVIEW: Final = "apiextensions.k8s.io/v1"

Object = dict[str, Any]

_MOVED: Final = (("retentionDays", "days"), ("retentionCopies", "copies"))
"""Below `backup` in v1alpha1; below `backup.retention` in v1beta1."""


class ConversionError(Exception):
    """An object, or the whole review, cannot be converted: what and why."""


def convert(body: bytes) -> bytes:
    """The answer to a review, as JSON. What cannot be converted is a Failure with a message, never an exception."""
    uid = ""
    try:
        request = _request(body)
        uid = _text(request, "uid")
        objects = request.get("objects")
        if type(objects) is not list:
            raise ConversionError("request.objects: a list is wanted; send a ConversionReview of apiextensions.k8s.io/v1")
        wanted = _text(request, "desiredAPIVersion")
        converted = [_converted(one, wanted, f"request.objects[{index}]") for index, one in enumerate(objects)]
        return _answer(uid, {"status": "Success"}, converted)
    except ConversionError as error:
        message = str(error)
    except orjson.JSONEncodeError:
        message = "request.objects: nested too deep to be written again; no StatefulService is"
    return _answer(uid, {"status": "Failure", "message": message}, [])


def to_v1beta1(item: Object) -> Object:
    """From v1alpha1. The object given stays as it is."""
    return _with_backup(item, _gathered)


def to_v1alpha1(item: Object) -> Object:
    """From v1beta1. The object given stays as it is."""
    return _with_backup(item, _spread)


_STEPS: Final[Mapping[tuple[str, str], Callable[[Object], Object]]] = {
    ("v1alpha1", "v1beta1"): to_v1beta1,
    ("v1beta1", "v1alpha1"): to_v1alpha1,
}


def _request(body: bytes) -> Object:
    try:
        review = orjson.loads(body)
    except orjson.JSONDecodeError:
        raise ConversionError("the body is no JSON; send a ConversionReview of apiextensions.k8s.io/v1") from None
    request = review.get("request") if type(review) is dict else None
    if type(request) is not dict or review.get("apiVersion") != REVIEW or review.get("kind") != "ConversionReview":
        raise ConversionError(f"the body is no ConversionReview of {REVIEW}; name v1 in conversionReviewVersions")
    return request


def _converted(item: Any, wanted: str, where: str) -> Object:
    if type(item) is not dict:
        raise ConversionError(f"{where}: an object is wanted")
    given = _text(item, "apiVersion")
    if given == wanted:
        return item
    group, _, version = given.partition("/")
    step = _STEPS.get((version, wanted.removeprefix(f"{GROUP}/")))
    if group != GROUP or item.get("kind") != KIND or step is None:
        what = f"{item.get('kind')} {given}"
        raise ConversionError(
            f"{where}: {what} → {wanted}: there is no such conversion; {GROUP}/v1alpha1 and v1beta1 of {KIND} there are"
        )
    return {**step(item), "apiVersion": wanted}


def _with_backup(item: Object, change: Callable[[Object], Object]) -> Object:
    spec = item.get("spec")
    backup = spec.get("backup") if type(spec) is dict else None
    if type(spec) is not dict or type(backup) is not dict:
        return item
    return {**item, "spec": {**spec, "backup": change(backup)}}


def _gathered(backup: Object) -> Object:
    retention = backup.get("retention", {})
    # A retention that v1alpha1 cannot have written (of another type, or empty) is nobody's: it stays what it is.
    if type(retention) is not dict or (not retention and "retention" in backup):
        return backup
    moved = {new: backup[old] for old, new in _MOVED if old in backup and new not in retention}
    if not moved:
        return backup
    taken = {old for old, new in _MOVED if new in moved}
    return {**{key: value for key, value in backup.items() if key not in taken}, "retention": {**retention, **moved}}


def _spread(backup: Object) -> Object:
    retention = backup.get("retention")
    if type(retention) is not dict:
        return backup
    moved = {old: retention[new] for old, new in _MOVED if new in retention and old not in backup}
    if not moved:
        return backup
    taken = {new for old, new in _MOVED if old in moved}
    left = {key: value for key, value in retention.items() if key not in taken}
    kept = {key: value for key, value in backup.items() if key != "retention"}
    return {**kept, **moved, **({"retention": left} if left else {})}


def _text(found: Object, key: str) -> str:
    value = found.get(key)
    return value if type(value) is str else ""


def _answer(uid: str, result: Mapping[str, str], objects: list[Object]) -> bytes:
    response = {"uid": uid, "result": result, "convertedObjects": objects}
    return orjson.dumps({"apiVersion": REVIEW, "kind": "ConversionReview", "response": response})
