"""The folder of the shared counter files: a fresh one per start of the arbiter, found by the link `current`.

A folder of an earlier start must never be continued (its counts belong to other processes, perhaps with our
slots), nor deleted while an arbiter being replaced (USR2) or an orphaned worker still counts in it. So each
arbiter holds a lock on a file in its folder, which its workers inherit; the kernel drops it with the last of
them, and a folder whose lock can be had is a leftover.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import tempfile
from pathlib import Path

CURRENT = "current"
LOCK_FILE = "lock"
_PREFIX = "run-"

_started: Path | None = None
_lock_descriptor: int | None = None


def start(metrics_dir: Path) -> list[Path]:
    """Make this process's folder and point `current` at it; folders left by dead predictors are removed.

    Returns:
        folders that other live predictors use; they are no longer scraped.
    """
    global _started, _lock_descriptor  # noqa: PLW0603 - state must survive a reload of the configuration
    metrics_dir = metrics_dir.absolute()
    metrics_dir.mkdir(parents=True, exist_ok=True)
    folder = Path(tempfile.mkdtemp(prefix=_PREFIX, dir=metrics_dir))
    folder.chmod(0o755)
    _lock_descriptor = _lock(folder)
    others = [
        path for path in metrics_dir.glob(f"{_PREFIX}*") if path != folder and not _remove_if_left(path)
    ]
    link = metrics_dir / f"{CURRENT}.{folder.name}"
    link.symlink_to(folder.name)
    link.replace(metrics_dir / CURRENT)
    _started = folder
    return others


def folder() -> Path:
    """Return the folder that this process, or the arbiter it was forked from, started.

    Raises:
        RuntimeError: none was started.
    """
    if _started is None:
        raise RuntimeError("no metrics folder was started")
    return _started


def is_started() -> bool:
    """Tell whether this process, or the arbiter it was forked from, started a folder."""
    return _started is not None


def current(metrics_dir: Path) -> Path | None:
    """Return the folder that the running predictor counts in; None if there is none (exporter)."""
    try:
        return (metrics_dir / CURRENT).resolve(strict=True)
    except (OSError, RuntimeError):
        return None


def pid_file(slot: int) -> Path:
    """Return the path of the file that holds the pid of the worker in `slot`."""
    return folder() / f"w{slot}.pid"


def write_pid_file(slot: int) -> None:
    """Note that this process holds `slot`, with its start time, since the kernel gives pids again."""
    stat = Path("/proc/self/stat").read_text("ascii")
    pid_file(slot).write_text(f"{os.getpid()} {start_ticks(stat)}\n", "ascii")


def forget_worker(slot: int) -> None:
    """Remove what stands for a live worker in `slot`: its pid and its gauges (arbiter, after the reap)."""
    pid_file(slot).unlink(missing_ok=True)
    for path in folder().glob(f"gauge_live*_w{slot}.db"):
        path.unlink(missing_ok=True)


def start_ticks(stat: str) -> int:
    """Read the start time of a process from its `/proc/<pid>/stat`."""
    # The name of the program stands in parentheses and may hold spaces; the start time is field 22.
    return int(stat.rpartition(")")[2].split()[19])


def _lock(folder: Path) -> int:
    descriptor = os.open(folder / LOCK_FILE, os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o644)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(descriptor)
        raise
    return descriptor


def _remove_if_left(folder: Path) -> bool:
    try:
        descriptor = _lock(folder)
    except BlockingIOError:
        return False
    except FileNotFoundError:
        return True
    shutil.rmtree(folder, ignore_errors=True)
    os.close(descriptor)
    return True
