"""Counts and logs what listeners raise; requests never notice."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from threading import Lock

from service.observability import metric_names as names
from service.observability.label_values import LISTENERS, OTHER
from service.observability.value_files import Value, ValueFiles

_SECONDS_BETWEEN_LOGS = 60.0

_LOG = logging.getLogger(__name__)


class ListenerErrors:
    """The error callback of the announcer: counts each error, logs one a minute per listener.

    It stands before the counter files are open, since the announcer needs it first.

    Args:
        clock: monotonic seconds.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._lock = Lock()
        self._counters: dict[str, Value] = {}
        self._early: list[str] = []
        self._logged_at: dict[str, float] = {}

    def count_in(self, files: ValueFiles) -> None:
        """Count in `files` from now on, also what was raised before."""
        with self._lock:
            self._counters = {name: files.value(names.ML_LISTENER_ERRORS, name) for name in LISTENERS}
            for name in self._early:
                self._count(name)
            self._early.clear()

    def __call__(self, listener: str, error: Exception) -> None:
        """Count the error, and log it unless this listener's last log is less than a minute old."""
        now = self._clock()
        with self._lock:
            if self._counters:
                self._count(listener)
            else:
                self._early.append(listener)
            last = self._logged_at.get(listener)
            if last is not None and now - last < _SECONDS_BETWEEN_LOGS:
                return
            self._logged_at[listener] = now
        _LOG.error("listener failed", exc_info=error, extra={"listener": listener})

    def _count(self, listener: str) -> None:
        self._counters.get(listener, self._counters[OTHER]).add()
