from __future__ import annotations

from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from stateward.policies.facts import CLAIM, _names, _names_in
from stateward.policies.view import MemoryView, having

_WORD = st.text("ab-", max_size=4)
_NAME = st.lists(_WORD, max_size=20).map("-".join)
_LABELS = st.dictionaries(_WORD, st.one_of(_WORD, st.integers(0, 1), st.none(), st.lists(_WORD, max_size=1)), max_size=3)


def claim(name: object, labels: object = None) -> dict[str, Any]:
    return {
        "apiVersion": "v1",
        "kind": "PersistentVolumeClaim",
        "metadata": {"name": name, "namespace": "prod", "labels": labels},
    }


@given(_NAME, _LABELS, st.one_of(_NAME, st.integers(0, 1), st.none()))
@example("", {}, "")
@example("a--b", {}, "")
@example("-".join("abcdefghijklmnopqrst"), {}, "o-p-q")
@example("-".join("abcdefghijklmnopqrst"), {}, "o-p")
def test_what_a_claim_names_is_the_same_by_test_and_by_list(name: str, labels: dict[str, Any], value: Any) -> None:
    item = claim(name, labels)
    assert _names(item, value) == (value in _names_in(item))


class Changing:
    """A view that keeps no index."""

    def __init__(self, *items: dict[str, Any]) -> None:
        self._view = MemoryView(items)
        self.get, self.select, self.complete = self._view.get, self._view.select, self._view.complete


@pytest.mark.parametrize("value", ["orders", "data", "orders-0", "0", "rders", "a/b", ""])
def test_a_view_without_an_index_finds_the_same_claims(value: str) -> None:
    items = [claim("data-orders-0"), claim("orders"), claim("data-other-0", {"cluster": "orders"}), claim("x", {"y": "a/b"})]
    without, with_index = Changing(*items), MemoryView(items)
    found = having(without, CLAIM, _names_in, value, "prod")
    assert found == list(having(with_index, CLAIM, _names_in, value, "prod") or ())
