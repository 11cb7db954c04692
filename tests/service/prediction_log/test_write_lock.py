"""One process at a time, until it lets go or ends."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from service.errors import StoreUnavailableError
from service.prediction_log.write_lock import WriteLock

ROOT = Path(__file__).resolve().parents[3]
HOLD = """
import sys, time
from pathlib import Path
from service.prediction_log.write_lock import WriteLock
lock = WriteLock(Path(sys.argv[1]))
lock.acquire(1.0)
print("held", flush=True)
time.sleep(60)
"""


def test_second_waits_until_the_first_lets_go(tmp_path: Path) -> None:
    """And no longer than it was told."""
    first, second = WriteLock(tmp_path / "new" / "lock"), WriteLock(tmp_path / "new" / "lock")
    first.acquire(0.0)
    with pytest.raises(StoreUnavailableError, match=r"new/lock: another process writes"):
        second.acquire(0.03)
    first.release()
    second.acquire(0.0)
    for lock in (first, second):
        lock.close()


def test_killed_process_holds_nothing(tmp_path: Path) -> None:
    """The kernel takes the lock back."""
    path = tmp_path / "lock"
    with subprocess.Popen(
        [sys.executable, "-c", HOLD, str(path)], cwd=ROOT, stdout=subprocess.PIPE
    ) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == b"held\n"
        lock = WriteLock(path)
        with pytest.raises(StoreUnavailableError):
            lock.acquire(0.0)
        holder.kill()
        holder.wait()
        lock.acquire(5.0)
        lock.close()


def test_folder_that_cannot_be_made(tmp_path: Path) -> None:
    """Unavailable, with the path and the reason."""
    (tmp_path / "file").touch()
    with pytest.raises(StoreUnavailableError, match=r"file/lock: (File exists|Not a directory)"):
        WriteLock(tmp_path / "file" / "lock")
