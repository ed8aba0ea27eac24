"""What of a configuration is not as it is wanted, and who changed it."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from typing import Any

from stateward.kube.registration import MANAGED_BY, MANAGER
from stateward.policies.view import Object, items_of, mapping_of, metadata_of, text_of


def differences(found: Object, wanted: Mapping[str, Any]) -> str:
    """What of a configuration is not as it is wanted, in words; "" where all is. Labels of others do not count."""
    labels = mapping_of(metadata_of(found), "labels")
    if any(labels.get(key) != value for key, value in mapping_of(metadata_of(wanted), "labels").items()):
        return "metadata.labels"
    owners = [text_of(one, "uid") for one in items_of(metadata_of(found), "ownerReferences")]
    if any(text_of(one, "uid") not in owners for one in items_of(metadata_of(wanted), "ownerReferences")):
        return "metadata.ownerReferences"
    there, should = items_of(found, "webhooks"), items_of(wanted, "webhooks")
    if [text_of(one, "name") for one in there] != [text_of(one, "name") for one in should]:
        return "webhooks"
    for one, other in zip(there, should, strict=True):
        for key in sorted(one.keys() | other.keys()):
            if one.get(key) != other.get(key):
                return f"webhooks[{text_of(other, 'name')}].{key}"
    return ""


def owned(wanted: Mapping[str, Any], owner: Mapping[str, Any] | None) -> dict[str, Any]:
    """With the reference of what it goes with."""
    if owner is None:
        return dict(wanted)
    return {**wanted, "metadata": {**metadata_of(wanted), "ownerReferences": [dict(owner)]}}


def merged(found: Object, should: Mapping[str, Any]) -> dict[str, Any]:
    """What is there with what it should be; labels and annotations of others stay."""
    before, ours_ = metadata_of(found), metadata_of(should)
    metadata = {key: value for key, value in before.items() if key != "managedFields"} | dict(ours_)
    metadata["labels"] = {**mapping_of(before, "labels"), **mapping_of(ours_, "labels")}
    return {**should, "metadata": metadata}


def ours(found: Object, uid: str = "") -> bool:
    """Whether a configuration is ours: by its label, or as the one that we made (`uid`)."""
    metadata = metadata_of(found)
    return mapping_of(metadata, "labels").get(MANAGED_BY) == MANAGER or (bool(uid) and metadata.get("uid") == uid)


def by(found: Object) -> str:
    """` by kubectl-edit`: who wrote last, as the API server notes it."""
    entries = [one for one in items_of(metadata_of(found), "managedFields") if text_of(one, "manager") != "stateward"]
    last = max(entries, key=lambda one: text_of(one, "time"), default={})
    return f" by {text_of(last, 'manager')}" if text_of(last, "manager") else ""


def trusts(found: Object, bundle: bytes) -> bool:
    """Whether each webhook of a configuration makes the API server trust everything in a bundle (PEM), and perhaps more."""
    wanted = certificates(bundle)
    clients = [mapping_of(one, "clientConfig") for one in items_of(found, "webhooks")]
    return all(wanted <= certificates(base64.b64decode(text_of(client, "caBundle"))) for client in clients)


def certificates(bundle: bytes) -> set[bytes]:
    """The certificates in a bundle (PEM), each as its base64."""
    blocks = bundle.replace(b"\r", b"").split(b"-----END CERTIFICATE-----")
    return {block.partition(b"-----BEGIN CERTIFICATE-----")[2].strip() for block in blocks if b"BEGIN CERTIFICATE" in block}


def version(found: object) -> str:
    """The resourceVersion of an object; of what is none (absent, unknown) something that differs from any."""
    return text_of(metadata_of(found), "resourceVersion") if isinstance(found, dict) else repr(found)
