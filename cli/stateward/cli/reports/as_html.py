"""A report as one HTML file that needs nothing else: no network, no script to be read, paper as well as screen."""

from __future__ import annotations

from collections.abc import Iterator
from html import escape
from pathlib import Path
from typing import Final

from stateward.cli.reports.report import Finding, Item, Line, Problem, Report, Totals

_HERE: Final = Path(__file__).parent
_WORDS: Final = {
    "deny": ("refused", "✕"),
    "warn": ("warning", "!"),
    "waived": ("waived", "◦"),
    "audit": ("audit", "◦"),
    "known": ("known", "◦"),
}
_WIDEST: Final = 400
"""Characters of a line that are shown: one-line JSON is cut around the place."""
# The page loads nothing, ever: not even what a manifest might smuggle in.
_RULES_OF_PAGE: Final = (
    "default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; base-uri 'none'; form-action 'none'"
)


def write(report: Report) -> str:
    """The whole page."""
    return "".join(_page(report))


def _page(report: Report) -> Iterator[str]:
    total = report.totals()
    style = (_HERE / "page.css").read_text(encoding="utf-8")
    script = (_HERE / "page.js").read_text(encoding="utf-8")
    told = [item for item in report.items if item.findings or item.notes or item.faults]
    yield (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        f'<meta http-equiv="Content-Security-Policy" content="{_RULES_OF_PAGE}">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        '<meta name="color-scheme" content="light dark">\n<meta name="robots" content="noindex">\n'
        f"<title>{_title(total)} · Stateward</title>\n<style>\n{style}</style>\n</head>\n<body>\n<main>\n"
    )
    yield _head(report, total)
    if report.problems:
        yield _problems(report.problems)
    yield "".join(f'<p class="note">{_text(note)}</p>\n' for note in report.notes)
    if any(item.findings for item in told):
        yield _filter(told)
    yield from map(_item, sorted(told, key=_urgency))
    yield _untold(report, len(report.items) - len(told))
    yield f"</main>\n{_foot(report)}<script>\n{script}</script>\n</body>\n</html>\n"


def _title(total: Totals) -> str:
    if total.errors:
        return f"{_count(total.errors, 'input error')}, {total.denied} refused"
    return f"{total.denied} refused" if total.denied else f"{total.warned} warned" if total.warned else "Nothing refused"


def _urgency(item: Item) -> int:
    order = ("deny", "warn", "waived", "known", "audit")
    return min((order.index(finding.shown) for finding in item.findings), default=len(order))


# --- the top -------------------------------------------------------------------------------------------------------


def _head(report: Report, total: Totals) -> str:
    if total.errors:
        refused = f"{_count(total.denied, 'finding')} would be refused, and some" if total.denied else "Some"
        state, words = "deny", f"{refused} input cannot be used"
    elif total.denied:
        state, words = "deny", f"{_count(total.denied, 'finding')} would be refused"
    elif total.warned:
        state, words = "warn", f"Nothing refused, {_count(total.warned, 'warning')}"
    else:
        state, words = "allow", "Nothing refused"
    tiles = [
        ("objects", total.objects, "judged", f"in {_count(total.files, 'file')}"),
        ("deny", total.denied, "refused", ""),
        ("warn", total.warned, "warned", ""),
        ("waived", total.waived, "waived", ""),
    ]
    if report.baseline is not None:
        tiles.append(("known", total.known, "known", f"accepted by {report.baseline.file}"))
    if total.audited:
        tiles.append(("audit", total.audited, "audited", ""))
    if total.errors:
        tiles.append(("deny", total.errors, "input error" if total.errors == 1 else "input errors", ""))
    cells = "".join(
        f'<div class="tile {state if number else "none"}"><dt>{_text(label)}</dt><dd>{number:,}</dd>'
        f"{f'<small>{_text(more)}</small>' if more else ''}</div>"
        for state, number, label, more in tiles
    )
    return (
        f'<header class="{state}">\n<p class="brand">Stateward lint</p>\n<h1>{words}</h1>\n'
        f'<p class="when">Judged as of <time datetime="{_text(report.judged_at)}">{_moment(report.judged_at)}</time>, '
        f"profile {_text(report.profile)}</p>\n<dl>{cells}</dl>\n</header>\n"
    )


def _moment(rfc3339: str) -> str:
    return _text(rfc3339.replace("T", " ").replace("Z", " UTC"))


def _problems(problems: list[Problem]) -> str:
    rows = "".join(f"<li><code>{_text(one.where)}</code> {_text(one.message)}</li>" for one in problems)
    return f'<section class="errors">\n<h2>Input that cannot be used</h2>\n<ul>{rows}</ul>\n</section>\n'


def _filter(items: list[Item]) -> str:
    findings = [finding for item in items for finding in item.findings]
    rules = sorted({(one.rule, one.name) for one in findings})
    actions = [action for action in _WORDS if any(one.shown == action for one in findings)]
    boxes = "".join(
        f'<label class="{action}"><input type="checkbox" name="action" value="{action}" checked>{_WORDS[action][0]}</label>'
        for action in actions
    )
    choices = "".join(f'<option value="{_text(rule)}">{_text(rule)} {_text(name)}</option>' for rule, name in rules)
    return (
        '<form id="filter" hidden>\n<input type="search" name="text" placeholder="Find an object, a file, a word" '
        'aria-label="Find an object, a file, a word">\n'
        f'<select name="rule" aria-label="Rule"><option value="">All rules</option>{choices}</select>\n'
        f'<fieldset><legend>Show</legend>{boxes}</fieldset>\n<output name="count"></output>\n</form>\n'
    )


# --- objects and findings ------------------------------------------------------------------------------------------


def _item(item: Item) -> str:
    notes = "".join(f'<p class="note">{_text(note)}</p>' for note in item.notes)
    faults = "".join(
        f'<p class="note">{_text(rule)} could not judge this object ({_text(fault)}); please report it</p>'
        for rule, fault in item.faults.items()
    )
    order = list(_WORDS)
    findings = "".join(map(_finding, sorted(item.findings, key=lambda one: order.index(one.shown))))
    return (
        f'<section class="object">\n<h2>{_text(item.subject.title)}</h2>\n'
        f'<p class="where"><span class="operation">{_text(item.operation.lower())}</span> '
        f"<code>{_text(item.file)}</code></p>\n{findings}{notes}{faults}</section>\n"
    )


def _finding(one: Finding) -> str:
    place = one.place
    word, sign = _WORDS[one.shown]
    rows = [_row("why", one.why)]
    if one.unknown:
        rows.append(_row("note", f"{', '.join(one.unknown)} not given: what is there might excuse this"))
    if one.state == "waived":
        rows.append(_row("waived", f"until {one.until}: {one.reason}"))
    else:
        rows.append(_row("do", one.remedy))
    if one.waive and one.state == "new":
        rows.append(
            f'<dt>or</dt><dd class="waive"><code>{_text(one.waive)}</code>'
            '<button type="button" class="copy" hidden>Copy</button><small>waives this rule here, for an hour</small></dd>'
        )
    # What is accepted already is folded away; without a script it opens just the same.
    summary = (
        f'<span class="action" title="{word}"><span aria-hidden="true">{sign}</span> {word}</span> '
        f'<span class="rule">{_text(one.rule)} <b>{_text(one.name)}</b></span>'
    )
    body = f'<p class="headline">{_text(one.headline)}</p>\n{_excerpt(one)}<dl>{"".join(rows)}</dl>\n'
    opened = " open" if one.state == "new" and one.action != "audit" else ""
    return (
        f'<details class="finding {one.shown}" data-rule="{_text(one.rule)}" data-action="{one.shown}"{opened}>\n'
        f'<summary>{summary}<span class="at">{_text(_base(place.file))}:{place.line}:{place.column}</span></summary>\n'
        f'<div class="body">{body}</div>\n</details>\n'
    )


def _base(file: str) -> str:
    return file.replace("\\", "/").rpartition("/")[2]


def _row(label: str, text: str) -> str:
    return f"<dt>{label}</dt><dd>{_words(text)}</dd>" if text else ""


def _words(text: str) -> str:
    """Text in which what stands in backticks is code."""
    pieces = text.split("`")
    if len(pieces) % 2 == 0:
        return _text(text)
    return "".join(f"<code>{_text(piece)}</code>" if number % 2 else _text(piece) for number, piece in enumerate(pieces))


def _excerpt(one: Finding) -> str:
    lines = "".join(_line(line, one) for line in one.place.lines)
    return f'<pre tabindex="0"><code>{lines}</code></pre>\n' if lines else ""


def _line(line: Line, one: Finding) -> str:
    if line.number != one.place.line:
        text = _text(line.text if len(line.text) <= _WIDEST else f"{line.text[:_WIDEST]}…")
        return f'<span class="line"><i>{line.number}</i>{text}\n</span>'
    start, end = one.place.mark
    first = max(0, start - _WIDEST // 3) if len(line.text) > _WIDEST else 0
    last = min(len(line.text), first + _WIDEST)
    end = max(start, min(end, last))
    before = ("…" if first else "") + line.text[first:start]
    after = line.text[end:last] + ("…" if last < len(line.text) else "")
    return (
        f'<span class="line here"><i>{line.number}</i>{_text(before)}<mark>{_text(line.text[start:end])}</mark>'
        f"{_text(after)}\n</span>"
    )


# --- the rest ------------------------------------------------------------------------------------------------------


def _untold(report: Report, count: int) -> str:
    parts = []
    if count:
        rows = "".join(
            f"<li><b>{_text(item.subject.title)}</b> <span>{_text(item.operation.lower())}</span> "
            f"<code>{_text(item.file)}:{item.line}</code></li>"
            for item in report.items
            if not (item.findings or item.notes or item.faults)
        )
        words = _count(count, "object") + " without a finding"
        parts.append(f"<details><summary>{words}</summary><ul>{rows}</ul></details>\n")
    if report.skipped:
        rows = "".join(f"<li><code>{_text(file)}</code></li>" for file in report.skipped)
        words = _count(len(report.skipped), "file") + " without Kubernetes objects passed over"
        parts.append(f"<details><summary>{words}</summary><ul>{rows}</ul></details>\n")
    if report.baseline is not None and report.baseline.stale:
        rows = "".join(f"<li>{_text(entry)}</li>" for entry in report.baseline.stale)
        count = len(report.baseline.stale)
        words = f"{count} {'entry' if count == 1 else 'entries'} of {report.baseline.file} did not occur"
        parts.append(f"<details><summary>{_text(words)}</summary><ul>{rows}</ul></details>\n")
    return f'<section class="rest">\n{"".join(parts)}</section>\n' if parts else ""


def _foot(report: Report) -> str:
    return (
        f"<footer>Stateward {_text(report.version)} · <code>stateward explain RULE</code> says more of a rule; values of "
        "Secrets, variables and arguments are left out</footer>\n"
    )


def _count(number: int, noun: str) -> str:
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def _text(text: str) -> str:
    return escape(text, quote=True)
