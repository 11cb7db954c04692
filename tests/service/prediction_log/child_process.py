"""Runs a part of a test in a forked process that may be killed."""

from __future__ import annotations

import os
import traceback
from collections.abc import Callable
from pathlib import Path

from service.prediction_log.segments import read_segment, segment_names


def fork(work: Callable[[], None]) -> int:
    """Run `work` in a child that ends without any clean-up, and gives 1 if it raised; return its pid."""
    child = os.fork()
    if child == 0:
        try:
            work()
        except BaseException:
            traceback.print_exc()
            os._exit(1)
        os._exit(0)
    return child


def exit_code(child: int) -> int:
    """Wait for a child; give its code, or the negative number of the signal that ended it."""
    _, status = os.waitpid(child, 0)
    return os.waitstatus_to_exitcode(status)


def spooled(folder: Path) -> list[bytes]:
    """Read every whole record of every segment, the oldest segment first."""
    found: list[bytes] = []
    for name in segment_names(folder):
        offset = 0
        while payloads := read_segment(folder / name, offset).payloads:
            found += [payload for payload, _ in payloads]
            offset = payloads[-1][1]
    return found


def names_in(folder: Path) -> list[str]:
    """List what lies in a folder, hidden files too."""
    return sorted(path.name for path in folder.iterdir())
