"""What an object's annotations say of its engine, over what is recognised.

metadata:
  annotations:
    stateward.dev/engine: postgresql     # or none: no engine that is known
    stateward.dev/version: "16.4"        # where the image's tag does not tell

The author's word counts as much as an image's name. It is a mapping of annotations alone: a Service reads its own, and
may be read as if it carried those of its past.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from stateward.policies import version
from stateward.policies.engines.profile import Profile
from stateward.policies.engines.recognise import PROFILES
from stateward.policies.structs import dataclass
from stateward.policies.version import Version

ENGINE: Final = "stateward.dev/engine"
VERSION: Final = "stateward.dev/version"
NO_ENGINE: Final = "none"


@dataclass(frozen=True, slots=True)
class Override:
    """What is said; nothing where an annotation is missing or cannot be used."""

    engine: Profile | None = None
    no_engine: bool = False
    """Whether it says that no engine runs here."""
    version: Version | None = None
    problems: tuple[str, ...] = ()
    """What cannot be used, and why, for the author."""
    supposed: bool = False
    """Whether the engine is only supposed, by a label or a port: its image's maker may count versions otherwise."""

    @property
    def names_engine(self) -> bool:
        """Whether it says which engine runs, or that none does."""
        return self.no_engine or self.engine is not None

    def same(self, other: Override) -> bool:
        """Whether both say the same."""
        return (self.engine, self.no_engine, self.version) == (other.engine, other.no_engine, other.version)


NOTHING: Final = Override()


def read(annotations: Mapping[str, Any]) -> Override:
    """The overrides in an object's annotations."""
    name, written = annotations.get(ENGINE), annotations.get(VERSION)
    if name is None and written is None:
        return NOTHING
    problems = []
    engine = PROFILES.get(name.strip().lower()) if isinstance(name, str) else None
    no_engine = isinstance(name, str) and name.strip().lower() == NO_ENGINE
    if name is not None and engine is None and not no_engine:
        problems.append(f"{ENGINE}: {_shown(name)} is no engine and is passed over; {_near(name)}")
    found = version.parse(written.strip()) if isinstance(written, str) else None
    if written is not None and found is None:
        problems.append(f'{VERSION}: {_shown(written)} is no version and is passed over; write one such as "16.4"')
    return Override(engine, no_engine, found, tuple(problems))


def _shown(value: object) -> str:
    return f'"{value[:40]}"' if isinstance(value, str) else "what stands there"


def _near(name: object) -> str:
    from difflib import get_close_matches  # only where something is misspelt

    near = get_close_matches(name.lower()[:64], list(PROFILES), 1) if isinstance(name, str) else []
    return f"did you mean {near[0]}?" if near else "`stateward engines` lists them"
