"""The spool: append-only segments that a worker writes before an answer leaves, and the drainer empties.

One `os.write` per record is in the kernel's hands when it returns, so nothing acknowledged is lost when a
process dies; a power loss may take what the disk did not have yet, at most the sync interval. A worker
locks its segment while it lives: the drainer knows a segment that no one will write to any more by getting
that lock.
"""

from __future__ import annotations

import fcntl
import logging
import os
import threading
import time
from pathlib import Path

from service.errors import PredictionLogFullError
from service.prediction_log.records import MAX_PAYLOAD_BYTES, framed

SPOOL_FOLDER = "spool"
"""Where the segments lie in the folder of the prediction log."""
SEGMENT_SUFFIX = ".spool"
SEGMENT_MAX_SECONDS = 60.0
"""Age at which a segment with records is closed, so that damage in one never waits long for the drainer."""
RESERVE_BYTES = 64 * 1024 * 1024
RESERVE_SHARE = 0.05
"""The lesser of both, of the disk, is left to the drainer: it needs space to empty the spool."""
_LOOK_SECONDS = 0.2
_SECONDS_BETWEEN_LOGS = 60.0
_log = logging.getLogger("service.prediction_log")


class Spool:
    """The segments of one worker.

    Args:
        folder: shared by all workers and the drainer of this host or volume.
        max_bytes: most bytes in the folder, all workers together, looked at several times a second.
        segment_bytes: size at which a new segment begins.
        sync_seconds: how often what was written is brought to the disk; what a power loss may take.
    """

    def __init__(self, folder: Path, *, max_bytes: int, segment_bytes: int, sync_seconds: float) -> None:
        self._folder = folder
        self._max_bytes = max_bytes
        self._segment_bytes = segment_bytes
        self._sync_seconds = sync_seconds
        self._lock = threading.Lock()
        self._descriptor = -1
        self._length = 0
        self._opened = 0.0
        self._is_dirty = False
        self._is_folder_dirty = False
        self._is_full = False
        self._ended: list[int] = []
        self._logged = 0.0
        self._is_closing = threading.Event()
        self._thread: threading.Thread | None = None

    def open(self) -> None:
        """Make the folder and start syncing; call it after the fork. The first record opens a segment."""
        self._folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        self._look_at_size()
        self._thread = threading.Thread(target=self._run, name="spool", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Bring everything to the disk and let the drainer have it."""
        self._is_closing.set()
        if self._thread is not None:
            self._thread.join()
        with self._lock:
            self._end_segment()
        self._sync_ended()

    @property
    def is_full(self) -> bool:
        """Whether the folder holds as many bytes as it may, or its disk is nearly full."""
        return self._is_full

    def append(self, payload: bytes) -> None:
        """Write one record; when this returns it survives the end of this process.

        Raises:
            PredictionLogFullError: the cap is reached, the disk refuses, or the record is longer than readers
                take; nothing of it stays.
        """
        if len(payload) > MAX_PAYLOAD_BYTES:
            raise PredictionLogFullError(f"a record is longer than {MAX_PAYLOAD_BYTES} bytes")
        frame = framed(payload)
        with self._lock:
            if self._is_full:
                raise PredictionLogFullError("the spool has reached its cap, or the end of its disk")
            try:
                if self._descriptor < 0 or self._length >= self._segment_bytes:
                    self._start_segment()
                written = os.write(self._descriptor, frame)
                if written != len(frame):
                    raise OSError(0, "a write was cut short")
                self._length += written
                self._is_dirty = True
            except OSError as error:
                self._cut_back()
                self._log_refusal(error)
                raise PredictionLogFullError(f"the disk refuses: {error.strerror}") from error

    def _cut_back(self) -> None:
        """Take a torn record off again; where even that fails, nothing is written behind it."""
        if self._descriptor >= 0:
            try:
                os.ftruncate(self._descriptor, self._length)
            except OSError:
                self._end_segment()

    def _start_segment(self) -> None:
        self._end_segment()
        name = f"{time.time_ns():020d}-{os.urandom(6).hex()}"
        # Locked before it has its name: else the drainer might take it for one whose worker is gone.
        draft = self._folder / f".{name}"
        flags = os.O_CREAT | os.O_EXCL | os.O_APPEND | os.O_WRONLY | os.O_CLOEXEC
        descriptor = os.open(draft, flags, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            draft.rename(self._folder / f"{name}{SEGMENT_SUFFIX}")
        except OSError:
            os.close(descriptor)
            draft.unlink(missing_ok=True)
            raise
        self._descriptor, self._length, self._opened = descriptor, 0, time.monotonic()
        self._is_folder_dirty = True

    def _end_segment(self) -> None:
        # Its end is not waited for here, on the path of a request: the thread syncs it and drops the lock.
        if self._descriptor >= 0:
            self._ended.append(self._descriptor)
            self._descriptor = -1
            self._length = 0

    def _run(self) -> None:
        synced = time.monotonic()
        while not self._is_closing.wait(min(_LOOK_SECONDS, self._sync_seconds)):
            self._look_at_size()
            self._sync_ended()
            if time.monotonic() - synced >= self._sync_seconds:
                synced = time.monotonic()
                self._sync()

    def _sync(self) -> None:
        with self._lock:
            if self._length and time.monotonic() - self._opened > SEGMENT_MAX_SECONDS:
                self._end_segment()
            if self._descriptor < 0 or not self._is_dirty:
                return
            try:
                descriptor = os.dup(self._descriptor)
            except OSError as error:  # it is still dirty, and its turn comes again
                self._log_refusal(error)
                return
            self._is_dirty = False
            is_new, self._is_folder_dirty = self._is_folder_dirty, False
        if not (_synced(descriptor) and (not is_new or _is_folder_synced(self._folder))):
            # What a failed sync left behind is not known: the rest goes elsewhere.
            with self._lock:
                self._end_segment()
                self._is_folder_dirty |= is_new
        os.close(descriptor)

    def _sync_ended(self) -> None:
        with self._lock:
            ended, self._ended = self._ended, []
            is_new = bool(ended) and self._is_folder_dirty
            self._is_folder_dirty &= not is_new
        for descriptor in ended:
            _synced(descriptor)
            os.close(descriptor)
        if is_new:
            _is_folder_synced(self._folder)

    def _look_at_size(self) -> None:
        try:
            self._is_full = spool_bytes(self._folder) >= self._max_bytes or _is_disk_short(self._folder)
        except OSError as error:
            self._log_refusal(error)
        if self._is_full:
            # Only what nobody writes to is removed: a segment of ours must not keep the spool full.
            with self._lock:
                self._end_segment()

    def _log_refusal(self, error: OSError) -> None:
        now = time.monotonic()
        if not self._logged or now - self._logged > _SECONDS_BETWEEN_LOGS:
            self._logged = now
            _log.error("the spool in %s cannot be used: %s", self._folder, error)


def spool_bytes(folder: Path) -> int:
    """Add up the sizes of all segments."""
    total = 0
    with os.scandir(folder) as entries:
        for entry in entries:
            if entry.name.endswith(SEGMENT_SUFFIX):
                try:
                    total += entry.stat().st_size
                except FileNotFoundError:  # drained meanwhile
                    continue
    return total


def _is_disk_short(folder: Path) -> bool:
    disk = os.statvfs(folder)
    reserve = min(RESERVE_BYTES, RESERVE_SHARE * disk.f_blocks * disk.f_frsize)
    return disk.f_bavail * disk.f_frsize < reserve


def _synced(descriptor: int) -> bool:
    try:
        os.fdatasync(descriptor)
    except OSError as error:
        _log.error("the spool could not be brought to the disk: %s", error)
        return False
    return True


def _is_folder_synced(folder: Path) -> bool:
    try:
        descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    except OSError as error:
        _log.error("the spool's folder could not be brought to the disk: %s", error)
        return False
    try:
        return _synced(descriptor)
    finally:
        os.close(descriptor)
