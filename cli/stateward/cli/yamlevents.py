"""The events of a YAML text, by PyYAML's C parser where there is one; every error is a Fault that says what to do."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any, Final

import yaml
from yaml.events import ScalarEvent, StreamEndEvent
from yaml.reader import ReaderError

from stateward.cli.scalars import Event, Fault


class PythonLoader(yaml.SafeLoader):
    """The parser for a PyYAML without libyaml: the same events, ten times slower."""

    def get_event(self) -> Event:
        """The next event; half a surrogate pair, written as an escape, is an error as it is in the C parser."""
        event: Event = super().get_event()  # type: ignore[no-untyped-call]
        if type(event) is ScalarEvent and any("\ud800" <= character <= "\udfff" for character in event.value):
            mark: Any = event.start_mark
            raise yaml.MarkedYAMLError(problem="found invalid Unicode character escape code", problem_mark=mark)
        return event


_Loader: Any = getattr(yaml, "CSafeLoader", PythonLoader)


def events(text: str) -> Iterator[Event]:
    """The YAML events of a text, from the C parser where there is one; text that is not YAML raises Fault."""
    loader = None
    try:
        loader = _Loader(text)
        while type(event := loader.get_event()) is not StreamEndEvent:
            yield event
    except ReaderError as error:
        raise _unprintable(text) from error
    except yaml.MarkedYAMLError as error:
        raise _syntax(text, error) from error
    except (ValueError, OverflowError) as error:  # the Python parser, at numbers and escapes beyond Unicode
        raise Fault(f"YAML syntax error: {error}. Correct the escapes and directives.", 0) from error
    finally:
        if loader is not None:
            loader.dispose()


# What YAML 1.1 allows in a stream; the C parser names a byte, this finds the character.
_UNPRINTABLE: Final = re.compile("[^\t\n\r -~\x85\xa0-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
_ADVICE: Final = {
    "mapping values are not allowed": 'Put a text that holds ": " in quotes, or correct the indentation.',
    "could not find expected ':'": "Write a colon and a space after the key, or correct the indentation.",
    "did not find expected key": "Correct the indentation: every key of a mapping starts in the same column.",
    "did not find expected '-' indicator": "Correct the indentation: every item of a list starts in the same column.",
    "found unexpected ':'": "Write a space after the colon.",
    "cannot start any token": "Put the text in quotes.",
    "unexpected end of stream": "Close what is open before the end of the document.",
    "unexpected document indicator": "Close the quotes before the end of the document.",
}


def _unprintable(text: str) -> Fault:
    match = _UNPRINTABLE.search(text)
    if not match:  # the parser knows one more; the place is then unknown
        return Fault("a character that YAML does not allow. Remove it, or write it as an escape in double quotes.", 0)
    number = f"U+{ord(match[0]):04X}"
    return Fault(
        f"character {number} is not allowed in YAML. Remove it, or write it as an escape in double quotes.",
        match.start(),
    )


def _syntax(text: str, error: yaml.MarkedYAMLError) -> Fault:
    mark = error.problem_mark or error.context_mark
    index = min(mark.index, len(text)) if mark else 0
    problem = error.problem or error.context or "the text cannot be read"
    line = text[text.rfind("\n", 0, index) + 1 : index + 1]
    if "\t" in line and not line.lstrip(" \t").strip():
        return Fault("a tab indents this line; YAML allows spaces only. Replace the tab by spaces.", index)
    if "{{" in text:
        advice = "This looks like a template: render it first (helm template) and give the result."
    else:
        advice = next((a for p, a in _ADVICE.items() if p in problem), "Correct the line.")
    context = f" {error.context}" if error.context and error.problem else ""
    return Fault(f"YAML syntax error{context}: {problem}. {advice}", index)
