"""The fast reader against the careful one, and both against sigs.k8s.io/yaml itself where Go is there."""

import math
import shutil
import subprocess
from pathlib import Path

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stateward.cli import manifests, yamlread
from stateward.cli.files import Given, decoded
from stateward.cli.limits import Budget
from stateward.cli.scalars import Fault

# Every spelling that one reader of YAML or another takes for something else.
SCALARS = r"""
a|b c|name|y|n|on|off|yes|No|TRUE|true|null|~|Null|0644|0o7|08|0x1F|1e3|.5|1.|1_000|+5|-5|-|--|---|...|-a|- a|1:30
2001-01-01|2001-01-01T10:00:00Z|.inf|.nan|<<|=|?|? a|:|:a|a:|a: b|a:b|a#b|a #b|#|@x|`x|%x|&x|*x|&x a|!x|!!str 1|""|''
"a"|'a'|"a" b|"a''b"|'a''b'|"a\nb"|"\x41"|"\u00e9"|"a\|"a|'a|"a # b"|'#'|[]|{}|[a, b]|[a,b]|[a ,b]|[a,]|[,]|{a: b}
{a:b}|{a: }|{a}|{a: b, c: d}|{"a": b}|{"a":b}|{a: b, a: c}|[a|{a: b|[[a], b]|[{a: b}]|{a: [b]}|[a]]|[a] b|[a] # c
[a]#c|[a: b]|[-a, - b]|[-]|[1, 0644, on]|[~]|["a\"b"]|['a''b']|[a#b]|[a #b]|{<<: a}|{1: 2}|{on: 1}|[http://a]|[a:b]
[a:]|10Gi|9223372036854775808|99999999999999999999999|1e400|0.5|3.0|-0.0|0b11|0b-1|$(A)|a\b|\|(a)|^a|/a|~a|+a|+|.|..
._|_|=a|<a|>a|;a|a&b|a*b|a!b|a'b|a"b|a%b|a@b|a?b|a?|-?|?-|-:|-:a|-,|-[|-#|.a:|..:|{{ x }}|a  b|é|x é|{a : b}|
[a"b, c'd]|[a*b&c!d]|[a@b`c%d]|[(a)b]|[a , b]
{a: b , c : d}
""".strip().replace("\n", "|").split("|")  # fmt: skip
STRANGE = [
    "\x85",
    "a\x85b",
    "a\u2028b",
    "\ufeffa",
    "a\x00",
    "\x07",
    "\x7f",
    "x\xa0",
    "x\U0001f600",
    "\ud800",
    "a\tb",
    "\ta",
    "a\t",
    "a\rb",
]
KEYS = [
    "on",
    "y",
    "1",
    "0x1",
    ".a",
    ".5",
    "null",
    "~",
    '"a"',
    "'a'",
    '"a b"',
    '"a:b"',
    "a b",
    "-a",
    "--",
    "é",
    "<<",
    "?",
    "a#",
    '""',
]
KEYS += ['"a\\nb"', '"a\tb"', '"a" ', "true", "_", "/", "..", "1.2.3", "2001-01-01", '"on"', "a" * 600]
HEADERS = ["|", ">", "|-", ">-", "|+", ">+", "|2", "|-1", "| # c", "|# c", "> a"]
COMMENTS = ["", "", "", "", " ", " # c", "  #", "#c", " # a: b", "\t# c"]
LOOSE = ["", " ", "# c", "  # d: e", "\t", "   ", "...", "---", "%A", "]", "- a", "b", "  c", "    d: e"]
FLOWS = ["[a,", '["a",', "{a: b,", "[", "{", "[a, # c", "{a:", '"a', "'a", "a"]
FURTHER = ["b,", "b", "]", "}", '"c",', "c: d", "# x", "- a", "b] # c", "c: [d]}", 'b"', "b'", ""]


@st.composite
def texts(draw: st.DrawFn) -> str:
    """Text that is YAML, or nearly: blocks of keys and items, with something odd here and there."""
    lines: list[str] = []

    def odd(chances: int) -> bool:
        return draw(st.integers(0, chances)) == 0

    def block(indent: int, depth: int) -> None:
        mapping = draw(st.booleans())
        for number in range(draw(st.integers(1, 3))):
            if odd(12):
                lines.append(draw(st.sampled_from(LOOSE)))
            place = max(0, indent + (draw(st.integers(-2, 2)) if odd(20) else 0))
            key = draw(st.sampled_from(KEYS)) if odd(6) else f"k{number}"
            colon = draw(st.sampled_from([" :", "::", ""])) if odd(25) else ":"
            dash = draw(st.sampled_from(["- -", "-  ", "-\t", "--"])) if odd(8) else "-"
            head = " " * place + (key + colon if mapping else dash + (f" {key}{colon}" if draw(st.booleans()) else ""))
            value(head, indent, depth)

    def value(head: str, indent: int, depth: int) -> None:
        form = draw(st.integers(0, 9))
        deeper = indent + draw(st.sampled_from([2, 2, 2, 4, 1, 0, 3]))
        if form < 3 and depth < 3:
            lines.append(head + draw(st.sampled_from(COMMENTS)))
            block(deeper, depth + 1)
        elif form == 3:
            lines.append(f"{head} {draw(st.sampled_from(HEADERS))}")
            for _ in range(draw(st.integers(0, 3))):
                lines.append(" " * draw(st.sampled_from([deeper, deeper, deeper - 1, deeper + 1, 0])) + scalar())
        elif form == 4:
            lines.append(f"{head} {draw(st.sampled_from(FLOWS))}")
            for _ in range(draw(st.integers(0, 2))):
                lines.append(" " * deeper + draw(st.sampled_from(FURTHER)))
        else:
            lines.append(f"{head}{draw(st.sampled_from(['  ', '', chr(9)])) if odd(15) else ' '}{scalar()}{comment()}")

    def scalar() -> str:
        return draw(st.sampled_from(STRANGE if odd(15) else SCALARS))

    def comment() -> str:
        return draw(st.sampled_from(COMMENTS)) if odd(4) else ""

    if odd(8):
        lines.append(draw(st.sampled_from(["---", "--- # c", "---#c", "--- a", "---  ", "%YAML 1.1", "--- # \x85a", "# c"])))
    block(draw(st.sampled_from([0, 0, 0, 2])), 0)
    end = draw(st.sampled_from(["\n", "\n", "\r\n", "\r"])) if odd(10) else "\n"
    return end.join(lines) + draw(st.sampled_from([end, end, "", end * 2, " "]))


def typed(value: object) -> object:
    """A value with its types and the order of its keys: 1, 1.0 and true are different."""
    if isinstance(value, dict):
        return [(key, typed(each)) for key, each in value.items()]
    return [typed(each) for each in value] if isinstance(value, list) else (type(value), value)


def check(text: str) -> bool:
    """Whether the fast reader reads a text; then the careful one reads the same, and one document without repeated keys."""
    fast = manifests._plain_value(text)
    if fast is None:
        return False
    (careful,) = yamlread.documents(text, Budget())
    assert typed(fast) == typed(careful.value)
    assert not careful.repeats
    return True


@settings(max_examples=1500, deadline=None)
@given(texts())
def test_what_the_fast_reader_reads_the_careful_one_reads_alike(text):
    check(text)


@settings(max_examples=500, deadline=None)
@given(
    st.sampled_from(SCALARS + STRANGE),
    st.sampled_from(COMMENTS),
    st.sampled_from(["a: ", "- ", "a: [", "a: {b: ", "- - ", "b"]),
)
def test_every_scalar_in_every_place(scalar, comment, before):
    after = {"a: [": "]", "a: {b: ": "}", "b": ": c"}.get(before, "")
    check(f"{before}{scalar}{after}{comment}\nz: y\n" if before != "- " else f"{before}{scalar}{comment}\n")


@given(st.data())
@settings(max_examples=300, deadline=None)
def test_a_slip_in_a_real_manifest_is_read_alike_or_not_at_all(data):
    folder = Path(__file__).parents[2] / "demo" / "before"
    text = data.draw(st.sampled_from(sorted(folder.glob("*.yaml")))).read_text().split("\n---")[0]
    for _ in range(data.draw(st.integers(0, 3))):
        place = data.draw(st.integers(0, len(text)))
        slip = data.draw(
            st.sampled_from(["", " ", "\n", "\t", ":", "- ", "#", '"', "'", ",", "[", "}", "&", "*", "|", ">", " #", ": "])
        )
        text = text[:place] + slip + text[place + data.draw(st.integers(0, 2)) :]
    check(text)


def test_the_manifests_of_the_demonstration_are_read_fast():
    files = sorted((Path(__file__).parents[2] / "demo").rglob("*.yaml"))
    chunks = [file.read_text()[start:end] for file in files for start, end in manifests._chunks(file.read_text())]
    assert chunks
    assert all(map(check, chunks))


@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_either_reader_finds_the_same_objects_and_places(tmp_path, monkeypatch, end):
    text = "".join(
        f"--- # {number}\napiVersion: v1\nkind: ConfigMap\nmetadata: {{name: n{number}}}\ndata:\n  a: |\n    b\n  c: d # e\n"
        for number in range(3)
    )
    file = tmp_path / "three.yaml"
    file.write_bytes(text.replace("\n", end).encode())
    fast = manifests.load([file])
    monkeypatch.setattr(manifests, "_plain_value", lambda _: None)
    careful = manifests.load([file])
    assert fast.problems == careful.problems == []
    for one, other in zip(fast.documents, careful.documents, strict=True):
        assert (one.object, one.index) == (other.object, other.index)
        assert one.locate(("data", "c")) == other.locate(("data", "c"))


def test_documents_read_fast_count_against_an_expansion_bomb():
    # Each alone is below the limit of aliases to what is written; the plain ones are part of what is written.
    plain = "apiVersion: v1\nkind: List\nitems: []\nl: [" + ", ".join(["a"] * 30_000) + "]\n"
    bomb = "apiVersion: v1\nkind: A\nl: &l [" + ", ".join(["a"] * 9_000) + "]\nm: [" + ", ".join(["*l"] * 30) + "]\n"
    for text, refused in ((bomb, 1), (f"{plain}---\n{bomb}", 0)):
        loaded = manifests.Loaded([], [], [])
        manifests.take(Given("bomb.yaml", named=True), decoded("bomb.yaml", text.encode()), loaded)
        assert len(loaded.problems) == refused


# --- sigs.k8s.io/yaml itself --------------------------------------------------------------------------------------------

ORACLE = Path(__file__).parent / "oracle"


@pytest.fixture(scope="module")
def oracle(tmp_path_factory):
    """A program that turns one YAML text a line (as a JSON string) to JSON, or to nothing where it refuses it."""
    go = shutil.which("go")
    if go is None:
        pytest.skip("Go is not here: nothing to compare with sigs.k8s.io/yaml")
    program = tmp_path_factory.mktemp("oracle") / "oracle"
    built = subprocess.run([go, "build", "-o", program, "."], cwd=ORACLE, capture_output=True, text=True, timeout=300)
    if built.returncode:
        pytest.skip(f"sigs.k8s.io/yaml cannot be built here: {built.stderr.strip().splitlines()[-1]}")

    def read(texts: list[str]) -> list[object]:
        given = b"\n".join(map(orjson.dumps, texts)) + b"\n"
        lines = subprocess.run([program], input=given, capture_output=True, check=True, timeout=60).stdout.splitlines()
        return [orjson.loads(line) if line else REFUSED for line in lines]

    return read


REFUSED = object()


def test_plain_values_are_those_of_kubernetes(oracle):
    found: list[str] = []

    @settings(max_examples=1500, deadline=None, database=None)
    @given(texts())
    def collect(text: str) -> None:
        if manifests._plain_value(text) is not None:
            found.append(text)

    collect()
    found += [f"a: {scalar}\n" for scalar in SCALARS if manifests._plain_value(f"a: {scalar}\n") is not None]
    assert len(found) > 100
    for text, theirs in zip(found, oracle(found), strict=True):
        ours = manifests._plain_value(text)
        assert theirs is not REFUSED, text
        assert _close(ours, theirs), (text, ours, theirs)


def _close(ours: object, theirs: object) -> bool:
    """Alike, but that Go writes a float with an exponent where orjson does not, and sorts the keys."""
    if isinstance(ours, dict) and isinstance(theirs, dict):
        return ours.keys() == theirs.keys() and all(_close(ours[key], theirs[key]) for key in ours)
    if isinstance(ours, list) and isinstance(theirs, list):
        return len(ours) == len(theirs) and all(map(_close, ours, theirs))
    if isinstance(ours, float) or isinstance(theirs, float):
        return type(ours) in (int, float) and type(theirs) in (int, float) and math.isclose(ours, theirs)
    return type(ours) is type(theirs) and ours == theirs


def test_the_careful_reader_reads_as_kubernetes_does(oracle):
    taken = [scalar for scalar in SCALARS if _careful(f"a: {scalar}\n") is not REFUSED]
    for scalar, theirs in zip(taken, oracle([f"a: {scalar}\n" for scalar in taken]), strict=True):
        assert theirs is not REFUSED, scalar
        assert _close(_careful(f"a: {scalar}\n"), theirs), (scalar, theirs)


def _careful(text: str) -> object:
    try:
        (document,) = yamlread.documents(text, Budget())
    except Fault:
        return REFUSED
    return document.value
