"""The CustomResourceDefinitions of WardPolicy and WardWaiver. `docs/generate.py` writes them into `manifests/crds/`.

They say what an API server can say by itself: types, words, sizes. What needs the rules (whether there is a rule of that
name, whether an expression compiles) the policy's own parser says, and the WardPolicy's status.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from stateward.kube.definition import column, definition
from stateward.policies.match import FIELDS
from stateward.policies.modes import MODES
from stateward.policies.profiles import titles
from stateward.policies.user_rules import MOST

Schema = dict[str, Any]

VERSION: Final = "v1alpha1"
_RULES: Final = 256
"""Rules that a policy or a waiver names: more than there are."""
_ROWS: Final = 32
_NAMES: Final = 64
_LABELS: Final[Schema] = {
    "type": "object",
    "maxProperties": _NAMES,
    "additionalProperties": {"type": "string", "maxLength": 63},
}


def documents() -> dict[str, dict[str, Any]]:
    """File name → CustomResourceDefinition."""
    return {"wardpolicies.yaml": ward_policy(), "wardwaivers.yaml": ward_waiver()}


def ward_policy() -> dict[str, Any]:
    """Cluster-scoped: what each rule does, and where."""
    columns = [
        column("Profile", "string", ".spec.profile"),
        column("Mode", "string", ".spec.mode"),
        column("Loaded", "string", '.status.conditions[?(@.type=="Loaded")].status'),
        column("Reason", "string", '.status.conditions[?(@.type=="Loaded")].message', wide=True),
        column("Age", "date", ".metadata.creationTimestamp"),
    ]
    return _crd("WardPolicy", "wardpolicies", "Cluster", ["wp"], columns, _policy_spec(), _STATUS)


def ward_waiver() -> dict[str, Any]:
    """Namespaced: which rule may be broken, by what, until when and why."""
    columns = [
        column("Rules", "string", ".spec.rules"),
        column("Kind", "string", ".spec.target.kind"),
        column("Target", "string", ".spec.target.name"),
        column("Until", "string", ".spec.until"),
        column("Reason", "string", ".spec.reason", wide=True),
        column("Age", "date", ".metadata.creationTimestamp"),
    ]
    return _crd("WardWaiver", "wardwaivers", "Namespaced", ["ww"], columns, _waiver_spec(), None)


# --- WardPolicy ------------------------------------------------------------------------------------------------------


def _policy_spec() -> Schema:
    return _mapping(
        {
            "profile": {**_word("What rules do where nothing else is said.", 32), "enum": [*_profiles()]},
            "mode": {**_word("What becomes of a denial, where a namespace's label says nothing else.", 8), "enum": [*MODES]},
            "unknown": {
                **_word("What a rule does that could not see what it needs.", 8),
                "enum": ["silent", "warn", "deny"],
            },
            "exempt": _mapping(
                {
                    "users": _list(_word("The name of an account; no pattern.", 253, _NO_PATTERN)),
                    "groups": _list(_word("The name of a group; no pattern.", 253, _NO_PATTERN)),
                },
                "Accounts that are never judged.",
            ),
            "rules": {
                "type": "object",
                "description": "Rule (id or name) to an action, or a mapping (or several) with action, params, match.",
                "maxProperties": _RULES,
                # An action, a mapping or a list of mappings: no structural schema says that. The parser does.
                "additionalProperties": {"x-kubernetes-preserve-unknown-fields": True},
            },
            "mutate": {
                "type": "object",
                "description": 'Default (id or name, or all) to "on", "off", or a mapping (or several) with fill, match.',
                "maxProperties": 64,
                "additionalProperties": {"x-kubernetes-preserve-unknown-fields": True},
            },
            "userRules": {
                **_list(_user_rule(), MOST, "Rules of one's own, in CEL."),
                "x-kubernetes-list-type": "map",
                "x-kubernetes-list-map-keys": ["id"],
            },
            "adapters": _list(
                {"type": "object", "x-kubernetes-preserve-unknown-fields": True},
                128,
                "Kinds of one's own: which field is what. See docs/adapter-fields.md.",
            ),
        },
        "What each rule does, and where. Nothing said is the built-in policy.",
    )


def _user_rule() -> Schema:
    rule = _mapping(
        {
            "id": _word("SW901 to SW999.", 5, "^SW9[0-9][0-9]$"),
            "name": _word("Lower-case words joined by dashes.", 63, "^[a-z][a-z0-9]*(-[a-z0-9]+)*$"),
            "summary": _word("What it finds, in a sentence.", 500),
            "why": _word("What goes wrong otherwise.", 2000),
            "remedy": _word("What to do instead.", 2000),
            "nature": {
                **_word("state: judges the object; transition: judges the change.", 16),
                "enum": ["state", "transition"],
            },
            # YAML 1.1 reads a bare off as false; the API server gets a boolean then.
            "action": {
                "description": 'deny, warn, audit or "off".',
                "x-kubernetes-preserve-unknown-fields": True,
            },
            "match": _match("kinds", "operations"),
            "params": {"type": "object", "maxProperties": 64, "x-kubernetes-preserve-unknown-fields": True},
            "variables": _list(
                _mapping({"name": _word("", 63), "expression": _word("CEL.", 8192)}, "", ("name", "expression")), _NAMES
            ),
            "validations": {
                **_list(
                    _mapping(
                        {
                            "expression": _word("CEL: true where all is well.", 8192),
                            "message": _word("", 500),
                            "messageExpression": _word("CEL: a message.", 8192),
                            "field": _word("The path that is pointed at.", 500),
                        },
                        "",
                        ("expression",),
                    ),
                    _NAMES,
                ),
                "minItems": 1,
            },
        },
        "",
        ("id", "name", "validations"),
    )
    rule["x-kubernetes-validations"] = [
        {
            "rule": "!has(self.validations) || self.validations.all(v, has(v.message) || has(v.messageExpression))",
            "message": "each validation needs a message or a messageExpression",
        }
    ]
    return rule


def _match(*extra: str) -> Schema:
    lists = {name: _list(_word("", 253), _NAMES) for name in dict.fromkeys((*extra, *FIELDS)) if name != "labels"}
    return _mapping({**lists, "labels": _LABELS}, "All that is given must hold; * and ? are patterns.")


_STATUS: Final[Schema] = {
    "type": "object",
    "description": "Whether it is in force.",
    "properties": {
        "observedGeneration": {"type": "integer", "format": "int64"},
        "conditions": {
            "type": "array",
            "maxItems": 8,
            "x-kubernetes-list-type": "map",
            "x-kubernetes-list-map-keys": ["type"],
            "items": {
                "type": "object",
                "required": ["type", "status", "reason", "message", "lastTransitionTime"],
                "properties": {
                    "type": {"type": "string", "maxLength": 316},
                    "status": {"type": "string", "enum": ["True", "False", "Unknown"]},
                    "reason": {"type": "string", "maxLength": 1024},
                    "message": {"type": "string", "maxLength": 32768},
                    "observedGeneration": {"type": "integer", "format": "int64", "minimum": 0},
                    "lastTransitionTime": {"type": "string", "format": "date-time"},
                },
            },
        },
    },
}


# --- WardWaiver ------------------------------------------------------------------------------------------------------


def _waiver_spec() -> Schema:
    kind = _word("The kind, with its group (StatefulSet.apps) or without.", 316)
    labels = {**_LABELS, "minProperties": 1}
    spec = _mapping(
        {
            "rules": {**_list(_word("Id or name of a rule.", 63), _RULES, "What is waived."), "minItems": 1},
            "target": _mapping({"kind": kind, "name": _word("", 253)}, "One object.", ("kind", "name")),
            "selector": _mapping({"kind": kind, "matchLabels": labels}, "Objects by their labels.", ("matchLabels",)),
            "until": {
                "type": "string",
                "format": "date-time",
                "description": "RFC 3339; at most 90 days ahead of now, or it does not hold.",
            },
            "reason": {**_word("Why; it is shown in the audit log.", 500), "minLength": 1},
        },
        "Which rules, of what, until when, why.",
        ("rules", "until", "reason"),
    )
    spec["x-kubernetes-validations"] = [
        {
            "rule": "has(self.target) != has(self.selector)",
            "message": "either target (kind and name) or selector (matchLabels) is wanted",
        }
    ]
    return spec


# --- schemas ---------------------------------------------------------------------------------------------------------

_NO_PATTERN: Final = r"^[^*?\[]+$"


def _profiles() -> list[str]:
    """A profile with its version, or its first one without."""
    return sorted({*titles(), *(title.partition("@")[0] for title in titles())})


def _word(description: str, longest: int, pattern: str = "") -> Schema:
    found: Schema = {"type": "string", "maxLength": longest}
    if description:
        found["description"] = description
    if pattern:
        found["pattern"] = pattern
    return found


def _list(items: Schema, most: int = _ROWS, description: str = "") -> Schema:
    return {"type": "array", "maxItems": most, "items": items, **({"description": description} if description else {})}


def _mapping(properties: Mapping[str, Schema], description: str = "", required: tuple[str, ...] = ()) -> Schema:
    found: Schema = {"type": "object", "properties": dict(properties)}
    if description:
        found["description"] = description
    if required:
        found["required"] = list(required)
    return found


def _crd(
    kind: str, plural: str, scope: str, short: list[str], columns: list[dict[str, Any]], spec: Schema, status: Schema | None
) -> dict[str, Any]:
    schema = _mapping(
        {"apiVersion": {"type": "string"}, "kind": {"type": "string"}, "metadata": {"type": "object"}, "spec": spec},
        "",
        ("spec",),
    )
    if status is not None:
        schema["properties"]["status"] = status
    version = {
        "name": VERSION,
        "served": True,
        "storage": True,
        "additionalPrinterColumns": columns,
        "schema": {"openAPIV3Schema": schema},
        **({"subresources": {"status": {}}} if status is not None else {}),
    }
    return definition(kind, plural, scope, short, [version])
