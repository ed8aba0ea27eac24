"""Who is asked: the rules for each kind of request."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Final

from stateward.policies.adapters.catalogue import ADAPTERS
from stateward.policies.operations import OPERATIONS
from stateward.policies.rule import SCALE, Rule
from stateward.policies.view import Kind

ANY_SERVICE: Final = "*"
"""Stands for custom kinds without an adapter: those that ask for volumes are judged as far as their shape tells."""


class Rota:
    """The rules that are asked about one kind of request, in the order of their ids."""

    __slots__ = ("_concerned", "_plain", "of_metadata", "rules")

    def __init__(self, rules: Iterable[Rule]) -> None:
        self.rules = tuple(rules)
        self.of_metadata = tuple(rule for rule in self.rules if rule.judges.metadata)
        """Those that an update of nothing but metadata concerns."""
        self._plain = tuple(rule for rule in self.rules if not rule.judges.operators)
        self._concerned: dict[tuple[frozenset[str], bool], tuple[Rule, ...]] = {}

    def concerned(self, touched: frozenset[str] | None, operator: bool = True) -> tuple[Rule, ...]:
        """The rules that a change of these parts of the model concerns (None: of all).

        `operator`: whether the operator of a stateful service runs in what is changed.
        """
        rules = self.rules if operator else self._plain
        if touched is None:
            return rules
        found = self._concerned.get((touched, operator))
        if found is None:
            found = self._concerned[touched, operator] = tuple(
                rule for rule in rules if not rule.about or not touched.isdisjoint(rule.about)
            )
        return found

    @property
    def mixed(self) -> bool:
        """Whether some of the rules are about operators alone."""
        return len(self._plain) < len(self.rules)


Rotas = Mapping[tuple[Kind, str, str], Rota]
"""(kind, operation, subresource) → the rules that are asked."""

NOBODY: Final = Rota(())


def dispatch(rules: Iterable[Rule], kinds: Iterable[Kind] | None = None) -> dict[tuple[Kind, str, str], Rota]:
    """(kind, operation, subresource) → the rules that are asked, in the order of their ids.

    `kinds`: those with an adapter; the ones in use without.
    """
    adapted = (*(ADAPTERS if kinds is None else kinds), ANY_SERVICE)
    found: dict[tuple[Kind, str, str], list[Rule]] = {}
    for rule in sorted(rules, key=lambda one: one.id):
        for operation in rule.judges.operations:
            for subresource in rule.judges.subresources:
                # A request on `<resource>/scale` is a Scale, whatever the rule judges beside it.
                asked = [kind for kind in rule.judges.kinds if (kind == SCALE) == (subresource == "scale")]
                if rule.judges.services:
                    asked += [SCALE] if subresource == "scale" else adapted
                changes = operation == "UPDATE" and not subresource
                if rule.judges.configs and changes:
                    asked.append("ConfigMap")
                for kind in dict.fromkeys(asked):
                    found.setdefault((kind, operation, subresource), []).append(rule)
                # A request to an operator is created, and asks for a change.
                for kind in OPERATIONS if rule.judges.services and changes else ():
                    found.setdefault((kind, "CREATE", ""), []).append(rule)
    return {key: Rota(those) for key, those in found.items()}
