"""Tables for a terminal: aligned, folded to its width, coloured only where a person looks."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

Style = Literal["plain", "bold", "dim", "red", "yellow", "green"]
Paint = Callable[[str, Style], str]

_CODES: dict[Style, str] = {"bold": "1", "dim": "2", "red": "31", "yellow": "33", "green": "32"}
# One character each, so that columns stay aligned where the output takes only ASCII.
_PLAIN = str.maketrans({"±": "~", "≥": ">", "≤": "<", "…": "~"})


@dataclass(frozen=True)
class Cell:
    """One value of a table.

    Args:
        text: what stands in the column.
        style: how it looks on a terminal.
        mark: stands behind the text, outside of its alignment.
    """

    text: str
    style: Style = "plain"
    mark: str = ""


@dataclass(frozen=True)
class Column:
    """One column: the lines of its title, its cells, and their side."""

    title: tuple[str, ...]
    cells: Sequence[Cell]
    align: Literal["left", "right"] = "right"

    @property
    def mark_width(self) -> int:
        """Characters that marks take beside the text."""
        return max((len(cell.mark) for cell in self.cells), default=0)

    @property
    def width(self) -> int:
        """Characters that the column takes."""
        widest = max((len(cell.text) for cell in self.cells), default=0)
        return max(widest + self.mark_width, *map(len, self.title))


def table(
    columns: Sequence[Column], width: int, paint: Paint, notes: Mapping[int, Sequence[str]] | None = None
) -> list[str]:
    """Write a table as lines.

    Where it is too wide it continues below, each part with the first column again.

    Args:
        columns: all with as many cells and as many title lines as the first.
        width: of the terminal, in characters.
        paint: gives a text its style.
        notes: lines to stand below a row, by its number.
    """
    gap = 2 if _width(columns, 2) <= width else 1
    lines: list[str] = []
    for number, part in enumerate(_folded(columns, width, gap)):
        lines += [""] if number else []
        for level in range(len(part[0].title)):
            titles = [(column, Cell(column.title[level], "bold")) for column in part]
            lines.append(_line((_placed(column, cell, paint) for column, cell in titles), gap))
        for row in range(len(part[0].cells)):
            cells = [(column, column.cells[row]) for column in part]
            lines.append(_line((_placed(column, cell, paint) for column, cell in cells), gap))
            if notes and not number:
                lines += notes.get(row, ())
    return lines


def colours() -> Paint:
    """Return what paints for standard output: nothing, unless it is a terminal and NO_COLOR is unset."""
    if sys.stdout.isatty() and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb":
        return lambda text, style: f"\x1b[{_CODES[style]}m{text}\x1b[0m" if style in _CODES and text else text
    return lambda text, _style: text


def show(text: str) -> None:
    """Print a text, with ASCII in place of signs that standard output cannot take."""
    encoding = sys.stdout.encoding or "ascii"
    try:
        text.encode(encoding)
    except UnicodeEncodeError:
        text = text.translate(_PLAIN).encode(encoding, "replace").decode(encoding)
    print(text)


def shortened(text: str, width: int) -> str:
    """Take out the middle of a text that is too long; what tells names apart is at either end."""
    if len(text) <= width:
        return text
    tail = (width - 1) // 2
    return f"{text[: width - 1 - tail]}…{text[len(text) - tail :]}"


def _line(placed: Iterable[str], gap: int) -> str:
    return (" " * gap).join(placed).rstrip()


def _placed(column: Column, cell: Cell, paint: Paint) -> str:
    # Marks hang over on the right; a title that is wider than the text beside them takes their room too.
    mark_width = min(column.mark_width, column.width - len(cell.text))
    padding = " " * (column.width - mark_width - len(cell.text))
    text = paint(cell.text, cell.style)
    aligned = padding + text if column.align == "right" else text + padding
    return aligned + paint(cell.mark, cell.style) + " " * (mark_width - len(cell.mark))


def _folded(columns: Sequence[Column], width: int, gap: int) -> list[list[Column]]:
    first, *others = columns
    parts = [[first]]
    for column in others:
        if len(parts[-1]) > 1 and _width([*parts[-1], column], gap) > width:
            parts.append([first])
        parts[-1].append(column)
    return parts


def _width(columns: Sequence[Column], gap: int) -> int:
    return sum(column.width for column in columns) + gap * (len(columns) - 1)
