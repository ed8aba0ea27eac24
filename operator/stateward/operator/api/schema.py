"""From a pydantic model to the structural schema that a CustomResourceDefinition takes.

A structural schema (Kubernetes documentation, CustomResourceDefinitions: specifying a structural schema) knows no $ref, no
title, no null as a type, and an alternative of types only as int-or-string.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from pydantic import BaseModel

Schema = dict[str, Any]

_KEPT: Final = frozenset(
    {
        *("type", "format", "description", "default", "enum", "pattern", "required", "minLength", "maxLength"),
        *("minimum", "maximum", "minItems", "maxItems", "minProperties", "maxProperties"),
    }
)


def of_kind(model: type[BaseModel]) -> Schema:
    """The openAPIV3Schema of a kind. Raises ValueError where the model says what no structural schema can."""
    whole = model.model_json_schema(by_alias=True)
    found = _made({key: value for key, value in whole.items() if key != "$defs"}, whole.get("$defs", {}), model.__name__)
    found["properties"].update(
        {"apiVersion": {"type": "string"}, "kind": {"type": "string"}, "metadata": {"type": "object"}}
    )
    found["properties"]["status"].pop("default", None)
    found["required"] = ["spec"]
    return found


def _made(given: Mapping[str, Any], definitions: Mapping[str, Any], where: str) -> Schema:
    schema = _plain(given, definitions, where)
    found = {key: value for key, value in schema.items() if key in _KEPT or key.startswith("x-kubernetes-")}
    if "const" in schema:
        found.update(type="string", enum=[schema["const"]])
    if "properties" in schema:
        found["properties"] = {
            name: _made(one, definitions, f"{where}.{name}") | _default(name, one, schema)
            for name, one in schema["properties"].items()
        }
    if "items" in schema:
        found["items"] = _made(schema["items"], definitions, f"{where}[]")
    more = schema.get("additionalProperties")
    if isinstance(more, Mapping):
        found["additionalProperties"] = _made(more, definitions, f"{where}[*]")
    _limited(found, where)
    return found


def _default(name: str, given: Mapping[str, Any], parent: Mapping[str, Any]) -> Schema:
    """A mapping that may be left out, but never is nothing: an empty one, into which its fields' own defaults go."""
    return {"default": {}} if "$ref" in given and name not in parent.get("required", ()) else {}


def _plain(given: Mapping[str, Any], definitions: Mapping[str, Any], where: str) -> Schema:
    """Without references and alternatives."""
    schema = dict(given)
    if "$ref" in schema:
        target = definitions[schema.pop("$ref").rpartition("/")[2]]
        # What is said where it is used counts more: the description of a field, its default.
        schema = {**_plain(target, definitions, where), **schema}
    # A default of nothing is no default.
    if schema.get("default", ...) is None:
        del schema["default"]
    if schema.get("default") in ([], "") or (schema.get("default") == {} and "additionalProperties" in schema):
        del schema["default"]
    either = [one for one in schema.pop("anyOf", ()) if one.get("type") != "null"]
    if not either:
        return schema
    if len(either) == 1:
        return {**_plain(either[0], definitions, where), **schema}
    if sorted(str(one.get("type")) for one in either) == ["integer", "string"]:
        return {**schema, "x-kubernetes-int-or-string": True}
    raise ValueError(f"{where}: a structural schema has no alternatives; give it one type")


def _limited(found: Mapping[str, Any], where: str) -> None:
    """Every text, list and mapping has a limit: the cost of a rule in CEL is reckoned from them."""
    kind = found.get("type")
    if kind == "string" and not ({"maxLength", "enum", "format"} & found.keys()):
        raise ValueError(f"{where}: a text without maxLength; give it one")
    if kind == "array" and "maxItems" not in found:
        raise ValueError(f"{where}: a list without maxItems; give it one")
    if "additionalProperties" in found and "maxProperties" not in found:
        raise ValueError(f"{where}: a mapping without maxProperties; give it one")
