"""How much of the spool is not in the database yet, read from the files alone, whoever lives or not."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from service.prediction_log.segments import segment_created
from service.prediction_log.spool import SEGMENT_SUFFIX

DRAINED_FILE = "drained.json"


@dataclass(frozen=True, slots=True)
class Backlog:
    """What waits.

    Args:
        bytes: of frames that are not in the database.
        lag_seconds: age of the oldest of them, at most; 0 if nothing waits.
    """

    bytes: int
    lag_seconds: float


class Drained(NamedTuple):
    """How far a segment is in the database.

    Args:
        offset: bytes.
        caught_up: Unix time, seconds, at which nothing behind the offset was there yet.
    """

    offset: int
    caught_up: float


def write_drained(folder: Path, segments: Mapping[str, Drained]) -> None:
    """Note how far each segment is, by its name; replaces the file whole."""
    draft = folder / f".{DRAINED_FILE}"
    draft.write_text(json.dumps(segments), "ascii")
    draft.replace(folder / DRAINED_FILE)


def read_backlog(folder: Path, spool: Path, now: float) -> Backlog:
    """Measure the backlog.

    Args:
        folder: of the prediction log; without its note everything in the spool waits.
        spool: folder of the segments.
        now: Unix time, seconds.
    """
    drained = _read_drained(folder)
    waiting, oldest = 0, now
    for name, size, created in _segments(spool):
        offset, caught_up = drained.get(name, (0, created))
        if size > offset:
            waiting += size - offset
            oldest = min(oldest, caught_up)
    return Backlog(waiting, now - oldest)


def _read_drained(folder: Path) -> dict[str, Drained]:
    try:
        content = json.loads((folder / DRAINED_FILE).read_text("ascii"))
        return {name: Drained(int(offset), float(caught_up)) for name, (offset, caught_up) in content.items()}
    except (OSError, ValueError, TypeError, AttributeError, OverflowError):
        return {}


def _segments(spool: Path) -> list[tuple[str, int, float]]:
    """List name, size and time of creation (it is in the name) of each segment."""
    try:
        with os.scandir(spool) as entries:
            named = [entry for entry in entries if entry.name.endswith(SEGMENT_SUFFIX)]
            found = []
            for entry in named:
                try:
                    found.append((entry.name, entry.stat().st_size, segment_created(entry.name)))
                except FileNotFoundError:
                    continue
            return found
    except OSError:
        return []
