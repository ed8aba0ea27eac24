"""Plain text tables that fit their content."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import click


def table(head: Sequence[str], rows: Sequence[Sequence[str]], colours: Mapping[str, str] | None = None) -> str:
    """Columns aligned left; empty columns left out; a first cell is coloured by its text."""
    used = [index for index in range(len(head)) if any(row[index] for row in rows)]
    widths = [max(len(head[index]), *(len(row[index]) for row in rows)) for index in used]
    lines = ["  ".join(head[index].ljust(width) for index, width in zip(used, widths, strict=True)).rstrip()]
    for row in rows:
        cells = [row[index].ljust(width) for index, width in zip(used, widths, strict=True)]
        if colours and row[0] in colours:
            cells[0] = click.style(cells[0], fg=colours[row[0]])
        lines.append("  ".join(cells).rstrip())
    return "\n".join(lines if any(head[index] for index in used) else lines[1:])
