"""What CEL does not have and users of Kubernetes expect: quantities and versions.

They are written out as plain CEL before an expression is compiled: the runtime carries them out by itself, in
microseconds. A function in Python would be simpler to read, but each call of one leaks its arguments (see cel.py).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final

import orjson

_TOKEN: Final = re.compile(
    r"""(?P<text>[rRbB]{0,2}(?:\"\"\"(?:[^\\]|\\.)*?\"\"\"|'''(?:[^\\]|\\.)*?'''|"(?:[^"\\\n]|\\.)*"|'(?:[^'\\\n]|\\.)*'))
    |(?P<comment>//[^\n]*)|(?P<name>[A-Za-z_]\w*)|(?P<space>\s+)|(?P<other>.)""",
    re.VERBOSE | re.DOTALL,
)
_RAW: Final = re.compile(r"""[rR]("[^"\n]*"|'[^'\n]*')""")

# Expressions are compiled at each match: counted repetitions cost a hundred times what the rest does.
_NUMBER: Final = "[+-]?([0-9]+[.]?[0-9]*|[.][0-9]+)"
_BINARY: Final = ", ".join(f"'{suffix}i': {2.0 ** (10 * power)!r}" for power, suffix in enumerate("KMGTPE", 1))
_DECIMAL: Final = "'n': 1e-9, 'u': 1e-6, 'm': 1e-3, 'k': 1e3, 'M': 1e6, 'G': 1e9, 'T': 1e12, 'P': 1e15, 'E': 1e18"
_HEAD: Final = "^v?[0-9]+([.][0-9]+)*$"
_PARTS: Final = "size(sw_n) <= 6 && sw_n.all(sw_i, size(sw_i) <= 9)"
_BEFORE: Final = "^(snapshot|preview|pre|alpha|m|beta|rc)[.]?[0-9]*$"


def quantity(value: str) -> str:
    """A quantity as a number: `10Gi`, `1.5G`, `100m`, `12e6`, `5`. An evaluation error where it is none."""
    return (
        f"cel.bind(sw_q, string({value}), "
        f"sw_q.matches('^{_NUMBER}[KMGTPE]i$') ? double(sw_q.substring(0, size(sw_q) - 2)) * "
        f"{{{_BINARY}}}[sw_q.substring(size(sw_q) - 2)] : "
        f"sw_q.matches('^{_NUMBER}[numkMGTPE]$') ? double(sw_q.substring(0, size(sw_q) - 1)) * "
        f"{{{_DECIMAL}}}[sw_q.substring(size(sw_q) - 1)] : "
        # Without the test double() would take inf and nan as well.
        f"double(sw_q.matches('^{_NUMBER}([eE][+-]?[0-9]+)?$') ? sw_q : 'none'))"
    )


def is_quantity(value: str) -> str:
    """Whether a value is a quantity."""
    return (
        f"cel.bind(sw_v, dyn({value}), type(sw_v) in [int, uint, double] || (type(sw_v) == string && "
        f"sw_v.matches('^{_NUMBER}([numkMGTPE]|[KMGTPE]i|[eE][+-]?[0-9]+)?$')))"
    )


def compare_versions(one: str, other: str) -> str:
    """-1, 0 or 1. An evaluation error where one of them is no version."""
    return (
        f"cel.bind(sw_a, {_version_key(one)}, cel.bind(sw_b, {_version_key(other)}, "
        "sw_a < sw_b ? -1 : sw_a == sw_b ? 0 : 1))"
    )


def is_version(value: str) -> str:
    """Whether a text begins with a version."""
    return (
        f"cel.bind(sw_p, {_pieces(value)}, {_head()}.matches('{_HEAD}') && "
        f"cel.bind(sw_n, {_head()}.replace('v', '').split('.'), {_PARTS}))"
    )


def _pieces(value: str) -> str:
    # 17rc1, 4.0.0.beta2 and 4.0.0-rc.1 are cut alike: the number, then what comes before the release.
    text = f"string({value}).lowerAscii()"
    for word in ("alpha", "beta", "rc"):
        text += f".replace('{word}', '-{word}')"
    return f"{text}.replace('--', '-').replace('.-', '-').split('-')"


def _head() -> str:
    return "sw_p[0].split('+')[0].split('_')[0]"


def _version_key(value: str) -> str:
    """A text that sorts as versions do: six parts of nine digits, then the rank and number of a candidate."""
    part = "('000000000' + sw_n[sw_i]).substring(size(sw_n[sw_i]))"
    rank = (
        "sw_r.startsWith('snapshot') ? '0' : sw_r.startsWith('beta') ? '2' : sw_r.startsWith('rc') ? '3' : '1'",
        "sw_r.replace('snapshot', '').replace('preview', '').replace('pre', '').replace('alpha', '').replace('beta', '')"
        ".replace('rc', '').replace('m', '').replace('.', '')",
    )
    before = (
        f"cel.bind(sw_r, size(sw_p) > 1 ? sw_p[1] : '', !sw_r.matches('{_BEFORE}') ? '9' : "
        f"({rank[0]}) + cel.bind(sw_d, {rank[1]}, ('000000' + sw_d).substring(size(sw_d))))"
    )
    return (
        f"cel.bind(sw_p, {_pieces(value)}, cel.bind(sw_h, {_head()}, "
        f"cel.bind(sw_n, sw_h.replace('v', '').split('.'), "
        f"!(sw_h.matches('{_HEAD}') && {_PARTS}) ? string(int('none' + sw_h)) : "
        f"[0, 1, 2, 3, 4, 5].map(sw_i, sw_i < size(sw_n) ? {part} : '000000000').join('') + {before})))"
    )


FUNCTIONS: Final[Mapping[str, tuple[int, Callable[..., str]]]] = {
    "quantity": (1, quantity),
    "isQuantity": (1, is_quantity),
    "compareVersions": (2, compare_versions),
    "isVersion": (1, is_version),
}
"""Name → how many arguments, and the CEL that it stands for."""


def expand(text: str) -> str:
    """An expression (that was checked) with our functions and `variables.NAME` written out."""
    tokens = list(_tokens(text))
    return _expanded(tokens)


def variable(name: str) -> str:
    """What a named sub-expression is called inside an expression."""
    return f"sw_variable_{name}_"


def mentions(text: str, name: str) -> bool:
    """Whether an expression uses a variable."""
    tokens = [token for token in _tokens(text) if token[0] not in ("space", "comment")]
    return any(token == ("name", name) and (index == 0 or tokens[index - 1][1] != ".") for index, token in enumerate(tokens))


def literal(value: Any) -> str:
    """A value of a policy as CEL: JSON is CEL."""
    return orjson.dumps(value).decode()


_Token = tuple[str, str]


def _tokens(text: str) -> Iterator[_Token]:
    at = 0
    while at < len(text):
        raw = _RAW.match(text, at)
        if raw is not None:
            yield "text", raw[0]
            at = raw.end()
            continue
        found = _TOKEN.match(text, at)
        if found is None:
            return
        yield str(found.lastgroup), found[0]
        at = found.end()


def _expanded(tokens: list[_Token]) -> str:
    written: list[str] = []
    at = 0
    last = ""
    while at < len(tokens):
        sort, text = tokens[at]
        if sort == "name" and last != "." and text in FUNCTIONS:
            arguments, after = _arguments(tokens, at + 1)
            count, write = FUNCTIONS[text]
            if len(arguments) == count:
                written.append(write(*(_expanded(argument) for argument in arguments)))
                last, at = ")", after
                continue
        if (sort, text) == ("name", "variables") and last != ".":
            dot = _next(tokens, at + 1)
            name = _next(tokens, dot + 1)
            if name < len(tokens) and tokens[dot][1] == "." and tokens[name][0] == "name":
                written.append(variable(tokens[name][1]))
                last, at = "name", name + 1
                continue
        # A comment would swallow what is written after it.
        written.append(" " if sort == "comment" else text)
        if sort not in ("space", "comment"):
            last = text
        at += 1
    return "".join(written)


def _next(tokens: list[_Token], at: int) -> int:
    while at < len(tokens) and tokens[at][0] in ("space", "comment"):
        at += 1
    return at


def _arguments(tokens: list[_Token], at: int) -> tuple[list[list[_Token]], int]:
    """The arguments of a call whose bracket is next, and where it ends; none where no bracket is."""
    at = _next(tokens, at)
    if at >= len(tokens) or tokens[at][1] != "(":
        return [], at
    found: list[list[_Token]] = [[]]
    depth = 0
    for index in range(at, len(tokens)):
        text = tokens[index][1] if tokens[index][0] == "other" else ""
        depth += (text in ("(", "[", "{") and text != "") - (text in (")", "]", "}") and text != "")
        if depth == 0:
            return found, index + 1
        if text == "," and depth == 1:
            found.append([])
        elif index > at:
            found[-1].append(tokens[index])
    return [], at
