"""How a kind states its engine's version: an image, a text, a catalog of images."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any

from stateward.policies import images, version
from stateward.policies.adapters import derive
from stateward.policies.adapters.grammar import GrammarError, Reader, compile_expression
from stateward.policies.engines import recognise
from stateward.policies.engines.profile import Profile
from stateward.policies.model import EngineVersion, Service
from stateward.policies.paths import Path
from stateward.policies.view import UNKNOWN


def versions(spec: Any, where: str) -> Callable[[Service], EngineVersion] | None:
    """What reads the first row that states a version, None of a kind without rows."""
    if spec is None:
        return None
    readers: list[tuple[str, Reader, re.Pattern[str] | None]] = []
    for index, row in enumerate(spec if isinstance(spec, list) else [spec]):
        place = f"{where}[{index}]"
        if not isinstance(row, Mapping):
            raise GrammarError(f"{place}: a mapping with one of image, text, catalog is wanted")
        stray = sorted(set(row) - {"image", "text", "catalog", "pattern"})
        forms = [form for form in ("image", "text", "catalog") if form in row]
        if stray or len(forms) != 1:
            raise GrammarError(f'{place}: "{(stray or ["nothing"])[0]}" is none of image, text, catalog')
        pattern = re.compile(row["pattern"]) if "pattern" in row else None
        readers.append((forms[0], compile_expression(row[forms[0]], place), pattern))

    def read(service: Service) -> EngineVersion:
        path: Path = ()
        for form, reader, pattern in readers:
            value, at = reader(service.object, (), service.object)
            path = path or at
            if value is None or value == "":
                continue
            if pattern is not None and isinstance(value, str):
                match = pattern.search(value)
                if match is None:
                    return EngineVersion("opaque", None, value, at)
                return EngineVersion("known", version.parse(match[1]), value, at)
            return _engine_version(form, value, at, service)
        return EngineVersion("unset", None, "", path)

    return read


def _engine_version(form: str, value: Any, at: Path, service: Service) -> EngineVersion:
    if form == "catalog":
        found = derive.catalog_image(value, service)
        if found is UNKNOWN or found is None:
            return EngineVersion("opaque", None, "", at)
        value, readable = found
        form, at = "image", (*at, "major")
        if not readable:
            return EngineVersion("opaque", None, value, at)
    text = str(value) if isinstance(value, int) and not isinstance(value, bool) else value
    if not isinstance(text, str):
        return EngineVersion("opaque", None, "", at)
    if form == "image":
        return recognise_tag(text, at, service.engine)
    parsed = version.parse(text)
    return EngineVersion("known" if parsed is not None else "opaque", parsed, text, at)


def recognise_tag(reference: str, at: Path, engine: Profile | None = None) -> EngineVersion:
    """The version in an image's tag: as the engine's own images spell it, else where the tag begins with it."""
    found = recognise.recognise_image(reference)
    if found is not None and found.profile is engine:
        return EngineVersion(found.state, found.version, found.text, at)
    image = images.parse(reference)
    parsed = version.parse(image.tag) if image.tag else None
    if parsed is not None:
        return EngineVersion("known", parsed, image.tag, at)
    return EngineVersion("opaque" if image.tag or image.digest else "unset", None, image.tag or image.digest, at)
