"""A lock between the processes that write an SQLite file."""

from __future__ import annotations

import fcntl
import time
from pathlib import Path

from service.errors import StoreUnavailableError

_POLL_SECONDS = 0.01


class WriteLock:
    """Lets one process at a time write; it ends with the process that holds it.

    Args:
        path: the file that stands for the lock; made if it is not there, with its folder.

    Raises:
        StoreUnavailableError: it cannot be opened.
    """

    def __init__(self, path: Path) -> None:
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._file = path.open("ab")
        except OSError as error:
            raise StoreUnavailableError(f"{path}: {error.strerror}") from error

    def acquire(self, seconds: float) -> None:
        """Wait for the lock.

        Raises:
            StoreUnavailableError: another process held it for so long.
        """
        end = time.monotonic() + seconds
        while True:
            try:
                fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                if time.monotonic() > end:
                    raise StoreUnavailableError(f"{self._file.name}: another process writes") from None
                time.sleep(_POLL_SECONDS)
            else:
                return

    def release(self) -> None:
        """Let the next one write."""
        fcntl.flock(self._file, fcntl.LOCK_UN)

    def close(self) -> None:
        """Close the file of the lock."""
        self._file.close()
