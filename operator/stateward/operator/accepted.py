"""What was accepted last of a service: its spec, kept in the cluster beside it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

import orjson
from pydantic import ValidationError

from stateward.operator.api.spec import StatefulServiceSpec
from stateward.operator.api.v1beta1 import StatefulService
from stateward.operator.objects.common import Item, named
from stateward.operator.service import Service
from stateward.policies.view import Object, mapping_of, text_of

_SPEC: Final = "spec.json"
_GENERATION: Final = "generation"
_LONGEST: Final = 60
_HIDDEN: Final = "parameters"
"""Settings are named, their values are the engine's business."""


@dataclass(frozen=True, slots=True)
class Accepted:
    """A spec that was accepted, as the API server gave it, and of which generation it was."""

    spec: Mapping[str, Any]
    generation: int

    @classmethod
    def of(cls, record: Object) -> Accepted | None:
        """What a record says; None where it cannot be read: then what runs says what was accepted."""
        data = mapping_of(record, "data")
        try:
            spec = orjson.loads(text_of(data, _SPEC))
            StatefulServiceSpec.model_validate(spec)
        except (orjson.JSONDecodeError, ValidationError):
            return None
        number = text_of(data, _GENERATION)
        return cls(spec, int(number) if number.isascii() and number.isdecimal() else 0)

    def same(self, item: Object, model: StatefulService) -> bool:
        """Whether an object asks for nothing else. Defaults that a newer version fills in are no difference."""
        spec = mapping_of(item, "spec")
        return self.spec == spec or StatefulServiceSpec.model_validate(self.spec) == model.spec


def name_of(service: Service) -> str:
    """The ConfigMap that keeps it."""
    return f"{service.name}-accepted"


def record(service: Service, spec: Mapping[str, Any], generation: int) -> Item:
    """The ConfigMap. Not an annotation: a spec may be larger than those can be, and it outlives the StatefulSet."""
    text = orjson.dumps(spec, option=orjson.OPT_SORT_KEYS).decode()
    return named(service, "v1", "ConfigMap", name_of(service), data={_SPEC: text, _GENERATION: str(generation)})


def changed(before: Mapping[str, Any], after: Mapping[str, Any]) -> str:
    """`version: 3.4.27 → 3.5.21, members: 3 → 5`; "" where nothing that was written differs."""
    return ", ".join(_changes(before, after, ""))


def _changes(before: Mapping[str, Any], after: Mapping[str, Any], path: str) -> Iterator[str]:
    for name in sorted({*before, *after}):
        one, other = before.get(name), after.get(name)
        where = f"{path}{name}"
        if one == other:
            continue
        if type(one) is dict and type(other) is dict:
            yield from _changes(one, other, f"{where}.")
        else:
            hidden = where.partition(".")[0] == _HIDDEN
            yield where if hidden else f"{where}: {_shown(one)} → {_shown(other)}"


def _shown(value: object) -> str:
    if value is None:
        return "none"
    text = value if isinstance(value, str) else orjson.dumps(value).decode()
    return text if len(text) <= _LONGEST else "another value"
