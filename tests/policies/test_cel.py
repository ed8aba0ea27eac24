"""CEL: what compiles, what it gives, what a fault says (and never says), and our functions against our own modules."""

from __future__ import annotations

import contextlib
import threading
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stateward.policies import cel, cel_functions, quantity, version

OBJECT = {
    "metadata": {"name": "db", "labels": {"app": "db"}},
    "spec": {
        "replicas": 3,
        "size": "10Gi",
        "version": "3.6.2",
        "hidden": "s3cr3t",
        "list": list(range(50)),
        "nothing": None,
    },
}


def values(item: Any = OBJECT) -> dict[str, Any]:
    return {"object": item, "oldObject": None, "request": {"operation": "UPDATE"}, "service": None, "oldService": None}


def evaluate(text: str, params: dict[str, Any] | None = None, item: Any = OBJECT) -> Any:
    return cel.Scope(params or {}).compile(text).evaluate(cel.activation(values(item)))


# --- expressions -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "text",
    [
        "object.spec.replicas >= 3",
        "has(object.spec.size) && !has(object.spec.nope)",
        "object.spec.?nope.orValue(7) == 7",
        "object.metadata.labels['app'] == 'db'",
        "object.spec.list.all(x, x < 50) && object.spec.list.exists_one(x, x == 7)",
        "oldObject == null && service == null",
        "request.operation in ['CREATE', 'UPDATE']",
        "object.metadata.name.matches('^[a-z]+$') && object.metadata.name.upperAscii() == 'DB'",
        "math.greatest(1, object.spec.replicas) == 3",
        "cel.bind(n, object.spec.replicas, n * n == 9)",
        "base64.encode(b'x') == 'eA=='",
        "object.spec.replicas < 3.5",
        "'%d members'.format([object.spec.replicas]) == '3 members'",
        "timestamp('2026-11-21T12:00:00Z') < timestamp('2027-01-01T00:00:00Z')",
    ],
)
def test_what_users_of_kubernetes_write_is_understood(text: str) -> None:
    assert evaluate(text) is True


def test_parameters_are_values_of_any_shape() -> None:
    params = {"n": 3, "f": 1.5, "text": "a\"'\n\u00fc\U0001f600\\", "list": ["a", 1, None], "map": {"a b": {"c": True}}}
    assert evaluate("params.n == 3 && params.f == 1.5 && params.list[2] == null && params.map['a b'].c", params) is True
    assert evaluate("params.text", params) == params["text"]


def test_named_expressions_are_asked_only_where_they_are_needed() -> None:
    scope = cel.Scope({"least": 3})
    scope.define("members", "object.spec.replicas")
    scope.define("enough", "variables.members >= params.least")
    scope.define("broken", "1 / 0")
    over = cel.activation(values())
    assert scope.compile("variables.enough || variables.broken == 1").evaluate(over) is True
    with pytest.raises(cel.EvaluationFault, match="divides by zero"):
        scope.compile("variables.broken == 1 && variables.enough").evaluate(over)
    with pytest.raises(cel.CompileError, match=r"variables\.later"):
        scope.define("early", "variables.later")


MISTAKES = [
    ("object.spec.replicas >=", "column 24: it ends too early"),
    ("object.spec.replicas = 3", "column 22: this is no CEL: '= '"),
    ("objekt.spec == 1", "column 7: undeclared reference to 'objekt.spec'; there are object, oldObject, request"),
    ("1 + 'a' == 2", "column 3: found no matching overload for '_+_' applied to '(int, string)'"),
    ("object.x ==\n  1 + 'a'", "line 2, column 5: found no matching overload"),
    ("variables.x == 1", "column 10: undeclared reference to 'variables.x'"),
    ("quantity(1, 2) == 1.0", "column 9: quantity takes 1 argument"),
    ("compareVersions('1') == 1", "column 16: compareVersions takes 2 arguments"),
    ("compareVersions(1, '2') == 1", "column 16: found no matching overload for 'compareVersions'"),
    ("quantity('1') + 1 > 1.0", "column 15: found no matching overload for '_+_' applied to '(double, int)'"),
    (f"{'(' * 60}1{')' * 60} == 1", "column 1: it nests deeper than 32; name parts of it under variables"),
    ("'" + "x" * 9000 + "' == ''", "column 8192: 9008 characters are too many; use at most 8192"),
]


@pytest.mark.parametrize(("text", "told"), MISTAKES, ids=[row[1][:40] for row in MISTAKES])
def test_a_mistake_is_told_with_its_column(text: str, told: str) -> None:
    with pytest.raises(cel.CompileError) as caught:
        cel.Scope({}).compile(text)
    assert str(caught.value).startswith(told)


FAULTS = [
    ("object.spec.nope == 1", 'there is no "nope"; guard it with has()'),
    ("object.metadata.labels[object.spec.hidden] == ''", "a key is missing; guard it with has() or in"),
    ("object.spec.hidden > 5", ">(string, int64): a value is of another type than the expression takes"),
    ("object.spec.hidden - 1 == 0", "-(string, int64): a value is of another type than the expression takes"),
    ("oldObject.spec.x == 1", "a field is asked of null or of a plain value; guard it with has() or != null"),
    ("object.spec.replicas / 0 == 1", "it divides by zero"),
    ("int(object.spec.hidden) == 1", "a text is no number, quantity or version"),
    ("quantity(object.spec.hidden) > 1.0", "a text is no number, quantity or version"),
    ("compareVersions(object.spec.hidden, '1') > 0", "a text is no number, quantity or version"),
    ("'x'.matches('(' + object.spec.hidden)", "a text is no regular expression"),
    ("object.spec.list[object.spec.replicas * 99] == 1", "a number or an index is out of range"),
    (
        "object.spec.list.all(a, object.spec.list.all(b, object.spec.list.all(c, a < 99)))",
        "it iterates more than 10,000 times",
    ),
]


@pytest.mark.parametrize(("text", "reason"), FAULTS, ids=[row[0][:40] for row in FAULTS])
def test_a_fault_says_why_and_no_value(text: str, reason: str) -> None:
    with pytest.raises(cel.EvaluationFault) as caught:
        evaluate(text)
    assert str(caught.value) == reason
    assert "s3cr3t" not in repr(caught.value)


@pytest.mark.parametrize("value", [2**70, "\ud800", object(), float("nan")], ids=["large", "surrogate", "foreign", "nan"])
def test_a_value_that_cel_does_not_have_is_a_fault_at_most(value: Any) -> None:
    with contextlib.suppress(cel.EvaluationFault):
        assert evaluate("object.x == object.x", item={"x": value}) in (True, False)


def test_an_object_nested_as_deep_as_json_may_be_is_read() -> None:
    item: Any = {"x": 1}
    for _ in range(900):
        item = {"a": item}
    assert evaluate("has(object.a)", item=item) is True


def test_threads_share_a_program() -> None:
    program = cel.Scope({}).compile("object.spec.list.all(x, x < 50) && quantity(object.spec.size) > 1.0")
    found: list[Any] = []

    def work() -> None:
        found.extend(program.evaluate(cel.activation(values())) for _ in range(200))

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == [True] * 800


# --- our functions -----------------------------------------------------------------------------------------------------

QUANTITY = cel.Scope({}).compile("quantity(object)")
IS_QUANTITY = cel.Scope({}).compile("isQuantity(object)")
quantities = st.one_of(
    st.from_regex(r"\A[+-]?[0-9]{0,6}[.]?[0-9]{0,4}([numkMGTPEK]i?|[eE][+-]?[0-9]{1,2})?\Z"),
    st.integers(-(10**12), 10**12),
    st.sampled_from(
        ["", "10Gi", "1.5G", ".5", "5.", "nan", "inf", "-inf", "0x10", "1_000", " 1", "1 ", "1Ki1", "12E", "12E2", "K"]
    ),
    st.floats(allow_nan=False, allow_infinity=False, width=32),
    st.booleans(),
    st.none(),
)


@settings(max_examples=400, deadline=None, derandomize=True)
@given(quantities)
def test_quantities_are_those_of_kubernetes(value: Any) -> None:
    wanted = quantity.parse(value)
    over = cel.activation(values(value))
    assert IS_QUANTITY.evaluate(over) is (wanted is not None)
    if wanted is None:
        with pytest.raises(cel.EvaluationFault):
            QUANTITY.evaluate(over)
    else:
        assert QUANTITY.evaluate(over) == pytest.approx(float(wanted), rel=1e-12)


VERSIONS = [
    "1", "v1", "1.0", "1.0.0", "1.2", "1.10", "1.2.3", "16.4", "17.11", "3.5.9", "v3.5.17", "2025.1.9", "8.0.36-28.1",
    "17.6-system-trixie", "4.1-IV2", "17rc1", "17beta2", "17-beta.3", "17.0", "4.0.0-rc1", "4.0.0-RC.2", "4.0.0-alpha",
    "4.0.0", "4.0.0-SNAPSHOT", "8.0.0-M1", "5.0-preview", "16.4-alpine3.20", "7.2.4-debian-12-r4", "9.9.9.9.9.9",
]  # fmt: skip
COMPARE = cel.Scope({}).compile("compareVersions(object.a, object.b)")


@pytest.mark.parametrize("one", VERSIONS)
def test_versions_are_ordered_as_rules_order_them(one: str) -> None:
    mine = version.parse(one)
    assert mine is not None
    assert evaluate("isVersion(object)", item=one) is True
    for other in VERSIONS:
        theirs = version.parse(other)
        assert theirs is not None
        wanted = (theirs < mine) - (mine < theirs)
        assert COMPARE.evaluate(cel.activation(values({"a": one, "b": other}))) == wanted, (one, other)


@pytest.mark.parametrize("text", ["", "latest", "main", "v", "..", "1.", "RELEASE.2022-07-30T05-21-40Z", "9999999999"])
def test_what_is_no_version_is_none(text: str) -> None:
    assert evaluate("isVersion(object)", item=text) is False
    with pytest.raises(cel.EvaluationFault):
        evaluate("compareVersions(object, '1') > 0", item=text)


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("'quantity(1)' == \"quantity(1)\"", True),
        (r"r'quantity(\d)' != '''quantity('x')'''", True),
        ("quantity( /* */ '1' ) == 1.0".replace(" /* */", ""), True),
        ("quantity('1') // quantity(\n == 1.0", True),
        ("quantity(string(quantity('1Ki'))) == 1024.0", True),
        ("[1, 2].all(i, compareVersions('1.' + string(i), '1.0') > 0)", True),
        ("{'quantity': 1}.quantity == 1", True),
        ("quantity(['1', '2'][1]) == 2.0 && quantity({'a': '3'}['a']) == 3.0", True),
    ],
)
def test_functions_are_written_out_where_they_are_called_and_nowhere_else(text: str, wanted: bool) -> None:
    assert evaluate(text) is wanted


def test_a_variable_is_mentioned_by_its_own_name_alone() -> None:
    assert cel_functions.mentions("oldObject == null", "oldObject")
    for text in ("object.oldObject == 1", "'oldObject' == ''", "oldObjects == 1", "true // oldObject"):
        assert not cel_functions.mentions(text, "oldObject")
