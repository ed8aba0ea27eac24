"""What a part of a policy holds for: namespaces, names, kinds, labels."""

from __future__ import annotations

from collections.abc import Mapping
from fnmatch import fnmatchcase
from typing import Any, Final

from stateward.policies.fields import PolicyError, known, texts
from stateward.policies.structs import dataclass, field
from stateward.policies.view import Kind, Object, kind_of_object, mapping_of, metadata_of, text_of

FIELDS: Final = ("namespaces", "exceptNamespaces", "names", "kinds", "labels")


@dataclass(frozen=True, slots=True)
class Match:
    """All that is given must hold; what is not given holds for everything. Namespaces, names and kinds may be globs."""

    namespaces: tuple[str, ...] = ()
    except_namespaces: tuple[str, ...] = ()
    names: tuple[str, ...] = ()
    kinds: tuple[Kind, ...] = ()
    """`StatefulSet.apps`; without its group a kind of any group."""
    labels: Mapping[str, str] = field(default_factory=dict)

    @property
    def everything(self) -> bool:
        """Whether nothing is left out."""
        return not (self.namespaces or self.except_namespaces or self.names or self.kinds or self.labels)

    def holds(self, namespace: str, item: Object) -> bool:
        """Whether it holds for an object."""
        if self.namespaces and not _any(namespace, self.namespaces):
            return False
        if self.except_namespaces and _any(namespace, self.except_namespaces):
            return False
        metadata = metadata_of(item)
        # A name that the server makes up is known by its beginning.
        if self.names and not _any(text_of(metadata, "name") or text_of(metadata, "generateName"), self.names):
            return False
        if self.kinds:
            kind = kind_of_object(item)
            if not any(fnmatchcase(kind if "." in one else kind.partition(".")[0], one) for one in self.kinds):
                return False
        if not self.labels:
            return True
        labels = mapping_of(metadata, "labels")
        return all(labels.get(key) == value for key, value in self.labels.items())


def read(content: Any, where: str, extra: tuple[str, ...] = ()) -> Match:
    """A match as it is written. `extra`: fields beside its own that the caller reads. Raises PolicyError."""
    content = {} if content is None else content
    wanted = (*extra, *(name for name in FIELDS if name not in extra))
    if not isinstance(content, Mapping):
        raise PolicyError(f"{where}: a mapping with {', '.join(wanted[:-1])} and {wanted[-1]} is wanted")
    known(content, where, wanted)
    labels = content.get("labels") or {}
    if not isinstance(labels, Mapping):
        raise PolicyError(f"{where}.labels: a mapping is wanted")
    return Match(
        namespaces=texts(content.get("namespaces"), f"{where}.namespaces"),
        except_namespaces=texts(content.get("exceptNamespaces"), f"{where}.exceptNamespaces"),
        names=texts(content.get("names"), f"{where}.names"),
        kinds=() if "kinds" in extra else texts(content.get("kinds"), f"{where}.kinds"),
        labels={str(key): str(value) for key, value in labels.items()},
    )


def _any(text: str, patterns: tuple[str, ...]) -> bool:
    return any(fnmatchcase(text, pattern) for pattern in patterns)
