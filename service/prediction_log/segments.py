"""Reads the spool: which segments there are, whether their worker lives, and what they hold."""

from __future__ import annotations

import fcntl
import os
from dataclasses import dataclass
from pathlib import Path

from service.prediction_log.records import FRAME, MAX_PAYLOAD_BYTES, read_frames
from service.prediction_log.spool import SEGMENT_SUFFIX

READ_BYTES = 1024 * 1024


@dataclass(frozen=True, slots=True)
class SegmentPart:
    """What was read of a segment.

    Args:
        payloads: whole records, each with the offset behind it.
        size: of the segment when it was read, bytes.
        is_ended: whether nobody will write to it any more; found out before it was read.
        is_damaged: whether what follows the last whole record can never become one.
    """

    payloads: list[tuple[bytes, int]]
    size: int
    is_ended: bool
    is_damaged: bool


def segment_names(folder: Path) -> list[str]:
    """List the segments, the oldest first; none if there is no folder."""
    try:
        names = os.listdir(folder)  # noqa: PTH208 - names only
    except FileNotFoundError:
        return []
    return sorted(name for name in names if name.endswith(SEGMENT_SUFFIX))


def segment_created(name: str) -> float:
    """Return when a segment was begun, Unix seconds, which its name says; 0 for a name that is not ours."""
    digits = name.partition("-")[0]
    return int(digits) / 1e9 if digits.isdigit() else 0.0


def read_segment(path: Path, offset: int) -> SegmentPart:
    """Read whole records from an offset on, about 1 MiB of them.

    Raises:
        OSError: it cannot be read.
    """
    with path.open("rb") as file:
        is_ended = _is_ended(file.fileno())
        size = os.fstat(file.fileno()).st_size
        file.seek(offset)
        data = file.read(READ_BYTES)
        needed = _first_frame_bytes(data)
        if needed > len(data):
            data += file.read(needed - len(data))
    payloads = [(payload, offset + end) for payload, end in read_frames(data)]
    # In a segment that somebody writes to the rest may be a record on its way into the file.
    is_damaged = is_ended and not payloads and offset < size
    return SegmentPart(payloads, size, is_ended, is_damaged)


def _first_frame_bytes(data: bytes) -> int:
    if len(data) < FRAME.size:
        return 0
    length, _ = FRAME.unpack_from(data)
    return FRAME.size + length if length <= MAX_PAYLOAD_BYTES else 0


def _is_ended(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
