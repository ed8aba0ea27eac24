"""Which rules are reported: `--select` and `--ignore`, by id, name, or the beginning of an id."""

from __future__ import annotations

from collections.abc import Iterable

from stateward.cli import inputs
from stateward.policies.rules import RULES


def chosen(select: Iterable[str], ignore: Iterable[str], own: Iterable[tuple[str, str]] = ()) -> frozenset[str] | None:
    """The ids of the rules that are reported; None where all are. `own`: (id, name) of a user's rules.

    Values are separated by commas or given several times. Ends the command where one means no rule.
    """
    wanted, unwanted = _words(select), _words(ignore)
    if not wanted and not unwanted:
        return None
    known = {rule.id: rule.name for rule in RULES} | dict(own)
    taken = frozenset().union(*(_meant("--select", word, known) for word in wanted)) if wanted else frozenset(known)
    return taken.difference(*(_meant("--ignore", word, known) for word in unwanted))


def _words(values: Iterable[str]) -> list[str]:
    return [word.strip() for value in values for word in value.split(",") if word.strip()]


def _meant(option: str, word: str, known: dict[str, str]) -> frozenset[str]:
    found = {rule for rule, name in known.items() if name == word.lower()}
    if word[:2].upper() == "SW":
        found |= {rule for rule in known if rule.startswith(word.upper())}
    if not found:
        inputs.stop(f'{option}: "{word}" is no rule and no beginning of one; {near(word, known)}')
    return frozenset(found)


def near(word: str, known: dict[str, str]) -> str:
    """What may have been meant: `near it: SW302 skipped-hop`."""
    import difflib

    names = {name: rule for rule, name in known.items()}
    close = [f"{rule} {known[rule]}" for rule in difflib.get_close_matches(word.upper(), known, 3, 0.6)]
    close += [f"{names[name]} {name}" for name in difflib.get_close_matches(word.lower(), names, 3, 0.5)]
    close += [f"{rule} {name}" for name, rule in names.items() if word.lower() in name and len(word) > 3]
    return f"near it: {', '.join(list(dict.fromkeys(close))[:3])}" if close else "`stateward rules` lists them"
