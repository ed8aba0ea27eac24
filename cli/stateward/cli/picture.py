"""A StatefulService drawn for a terminal, from what `standing` says of it."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

import click

from stateward.cli.standing import length, several, since, size
from stateward.policies import quantity, times

NARROWEST: Final = 80
WIDEST: Final = 120
_LABEL: Final = 11
_MARK: Final = "●"
_AWAY: Final = "○"


def drawn(found: Mapping[str, Any], now: float, width: int) -> str:
    """The picture, 80 to 120 columns wide, with colours: who prints it takes them out where none are wanted."""
    width = min(WIDEST, max(NARROWEST, width))
    lines = [*_head(found, now, width), ""]
    if found["members"]:
        lines += [*_members(found, width), ""]
    for label, texts in (
        ("now", _operation(found, now)),
        *((one["type"].lower(), _condition(one, now)) for one in found["wrong"] if not _shown_above(one, found)),
        ("backup", _backup(found, now)),
        ("drill", _drill(found, now)),
        ("decided", _decisions(found, now)),
        ("next", found["next"]),
    ):
        lines += _row(label, texts, width)
    return "\n".join(lines).rstrip()


# --- its parts -----------------------------------------------------------------------------------------------------


def _head(found: Mapping[str, Any], now: float, width: int) -> Iterator[str]:
    version = found["version"]
    running, wanted = version["running"], version["wanted"]
    text = f"{found['engine']} {running} → {wanted}" if running and running != wanted else f"{found['engine']} {wanted}"
    age = since(found["created"], now)
    right = several([f"made {age} ago" if age else "", _volume(found)])
    left = f"{found['namespace']}/{found['name']}   {text}"
    gap = " " * max(3, width - len(left) - len(right))
    yield click.style(f"{found['namespace']}/{found['name']}", bold=True) + f"   {text}{gap}" + click.style(right, dim=True)
    colour, words = _serves(found)
    yield click.style(_MARK, fg=colour) + f" {words}"
    if version["finalised"] and not _is_of(wanted, version["finalised"]):
        yield f"  its data is finalised at {version['finalised']}: until it is at {wanted} there is a way back"


def _serves(found: Mapping[str, Any]) -> tuple[str, str]:
    """The line of the quorum, and its colour."""
    counts = found["quorum"]
    count, ready, must, spare = (counts[name] for name in ("present", "ready", "must", "spare"))
    if found["deleting"]:
        return "yellow", "it is being deleted"
    if not count:
        return "yellow", f"no members yet, {counts['wanted']} are wanted"
    words = f"{ready} of {count} serve, {must} must; "
    if spare < 0:
        words += f"{-spare} must come back before it serves"
    else:
        words += {0: "none may go", 1: "one more may go"}.get(spare, f"{spare} more may go")
    if counts["wanted"] != count:
        words += f"   ({counts['wanted']} are wanted)"
    whole = ready == count == counts["wanted"]
    return "green" if whole and not found["wrong"] else "yellow" if spare >= 0 else "red", words


_HEAD: Final = ("MEMBER", "ROLE", "VERSION", "LAG", "NODE", "ZONE", "VOLUME")


def _members(found: Mapping[str, Any], width: int) -> Iterator[str]:
    rows = [_cells(one, found) for one in found["members"]]
    used = [place for place in range(len(_HEAD)) if any(row[place] for row in rows)]
    widths = [max(len(_HEAD[place]), *(len(row[place]) for row in rows)) for place in used]
    # What does not fit is taken from the names of nodes: they alone may be long and still be told apart.
    over = 2 + sum(widths) + 2 * (len(widths) - 1) - width
    if over > 0 and _HEAD.index("NODE") in used:
        at = used.index(_HEAD.index("NODE"))
        widths[at] = max(8, widths[at] - over)
    yield "  " + click.style(_line([_HEAD[place] for place in used], widths), dim=True)
    for one, row in zip(found["members"], rows, strict=True):
        mark = click.style(_MARK, fg="green") if one["ready"] else click.style(_AWAY, fg="red")
        yield f"{mark} {_line([row[place] for place in used], widths)}"
        if one["message"] and not one["ready"]:
            yield from (click.style(line, fg="red") for line in _wrapped(one["message"], "    ", width, most=2))


def _cells(one: Mapping[str, Any], found: Mapping[str, Any]) -> tuple[str, ...]:
    lag = one["lag"]
    behind = "" if lag is None else size(lag) if one["lagUnit"] == "bytes" else f"{lag} {one['lagUnit'] or ''}".strip()
    return (
        one["name"] or "",
        one["role"] or ("" if one["ready"] else "away"),
        one["version"] or "",
        behind,
        one["node"] or "",
        one["zone"] or "",
        _filled(one["used"], found),
    )


def _filled(used: int | None, found: Mapping[str, Any]) -> str:
    if used is None:
        return ""
    whole = quantity.parse((found["volume"] or {}).get("size"))
    return f"{size(used)}, {100 * used / float(whole):.0f} %" if whole else size(used)


def _volume(found: Mapping[str, Any]) -> str:
    volume, wal = found["volume"] or {}, found["wal"] or {}
    if not volume.get("size"):
        return ""
    more = f", log {_sized(wal, '')}" if wal.get("size") else ""
    return _sized(volume, " each") + more


def _sized(volume: Mapping[str, Any], each: str) -> str:
    return f"{volume['size']}{each}" + (f" of {volume['class']}" if volume.get("class") else "")


def _operation(found: Mapping[str, Any], now: float) -> list[str]:
    one = found["operation"]
    if found["paused"]:
        return ["paused: nothing is touched"]
    if one is None:
        if not found["seen"]:
            return ["its last change has not been looked at yet"]
        return [] if found["wrong"] else ["nothing is being done: all is as wanted"]
    change = " → ".join(str(one[name]) for name in ("from", "to") if one.get(name))
    began, step = since(one.get("started"), now), since(one.get("stepStarted"), now)
    first = f"{one.get('kind')} {change}".strip() + (f", for {began}" if began else "")
    second = f"{one.get('step')} {one.get('member') or ''}".strip()
    second += (f", for {step}" if step else "") + (f": {one['message']}" if one.get("message") else "")
    return [click.style(first, bold=True), second]


def _shown_above(one: Mapping[str, str], found: Mapping[str, Any]) -> bool:
    """Whether the table says it already: members that are away, each with its message."""
    return one["type"] == "Degraded" and one["reason"] == "MembersAway" and bool(found["members"])


def _condition(one: Mapping[str, str], now: float) -> list[str]:
    ago = since(one["since"], now)
    colour = "red" if one["type"] in ("Blocked", "Ready") else "yellow"
    head = click.style(one["reason"] or one["status"], fg=colour, bold=True) + (f", for {ago}" if ago else "")
    return [head, *one["message"].split("\n")]


def _backup(found: Mapping[str, Any], now: float) -> list[str]:
    if not found["backups"] and found["backup"] is None:
        return [click.style("none is taken: spec.backup is not set", fg="yellow")]
    one = found["backup"] or {}
    last, following = one.get("last") or {}, one.get("next")
    texts = []
    if last:
        bytes_ = last.get("size")
        what = several([str(last.get("name") or ""), size(bytes_) if type(bytes_) is int else "", last.get("version") or ""])
        texts.append(f"{since(last.get('time'), now)} ago ({what})")
    else:
        texts.append(click.style("none yet", fg="yellow"))
    moment = times.parse(following)
    if moment is not None:
        texts[0] += f"; next in {length(moment - now)}" if moment > now else "; the next is due"
    if one.get("lastFailure"):
        texts.append(click.style(f"the last one failed: {one['lastFailure']}", fg="red"))
    return texts


def _drill(found: Mapping[str, Any], now: float) -> list[str]:
    one = found["drill"]
    if one is None:
        return []
    passed = one.get("succeeded") is True
    text = f"{'passed' if passed else 'failed'} {since(one.get('time'), now)} ago"
    lost, took = one.get("rpoSeconds"), one.get("rtoSeconds")
    text += f", {length(lost)} of the past missing" if type(lost) is int else ""
    text += f", back after {length(took)}" if type(took) is int else ""
    words = [click.style(text, fg="green" if passed else "red")]
    return [*words, *([str(one["message"])] if one.get("message") and not passed else [])]


def _decisions(found: Mapping[str, Any], now: float) -> list[str]:
    rows = [(since(one.get("time"), now), str(one.get("message") or "")) for one in found["decisions"]]
    longest = max((len(ago) for ago, _ in rows), default=0)
    return [f"{ago.rjust(longest)} ago  {message}" for ago, message in rows]


# --- how it is laid out --------------------------------------------------------------------------------------------


def _row(label: str, texts: Sequence[str], width: int) -> Iterator[str]:
    lead = click.style(label.ljust(_LABEL), dim=True)
    for text in texts:
        further = " " * (_LABEL + _hanging(text))
        first, *rest = _wrapped(text, "", width - _LABEL, most=8, further=further[_LABEL:]) or [""]
        yield lead + first
        yield from (" " * _LABEL + line for line in rest)
        lead = " " * _LABEL


def _hanging(text: str) -> int:
    """Further lines of a decision stand below its words, not below its age."""
    age, ago, _ = text.partition(" ago  ")
    return len(age) + len(ago) if ago and len(age) < 12 else 0


def _wrapped(text: str, lead: str, width: int, *, most: int, further: str | None = None) -> list[str]:
    plain = click.unstyle(text)
    if len(plain) + len(lead) <= width:
        return [lead + text]
    return textwrap.wrap(
        plain,
        width,
        initial_indent=lead,
        subsequent_indent=lead if further is None else further,
        break_long_words=True,
        break_on_hyphens=False,
        max_lines=most,
        placeholder=" …",
    )


def _line(cells: Sequence[str], widths: Sequence[int]) -> str:
    fitted = [cell if len(cell) <= width else f"{cell[: width - 1]}…" for cell, width in zip(cells, widths, strict=True)]
    return "  ".join(cell.ljust(width) for cell, width in zip(fitted, widths, strict=True)).rstrip()


def _is_of(version: str, series: str) -> bool:
    """Whether a version is of a series, as far as that is precise: 17.12 is of 17."""
    parts = series.split(".")
    return version.split(".")[: len(parts)] == parts
