"""The drainer, the one writer of the prediction log's database. Use: `python -m service.drainer`."""

from __future__ import annotations

import fcntl
import logging
import os
import signal
import sys
import threading
import time
from functools import partial
from pathlib import Path

from service.errors import PlumblineError, SettingsError, StoreUnavailableError
from service.observability.logs import set_up_logs
from service.observability.truth_metrics import TruthMetrics
from service.prediction_log.drain import Drain
from service.prediction_log.location import database_target, writer_name
from service.prediction_log.retention import Retention, policy_of
from service.prediction_log.store import Store
from service.prediction_log.versions import KnownVersions
from service.settings import Settings, load_settings

IDLE_SECONDS = 0.1
RETRY_SECONDS = 1.0
"""Wait after the database, or the disk, refused."""
END_SECONDS = 5.0
"""How long the end is held up by a database that hangs; what was not committed is drained again."""
_SECONDS_BETWEEN_LOGS = 60.0
_LOCK_FILE = "drainer.lock"
_EXIT_CONFIGURATION = 78
_log = logging.getLogger("service.drainer")


class Drainer:
    """Drains until told to stop; a database that is down is tried again for ever.

    Args:
        settings: where the log lies, and how long its rows stay.
        stopping: set when the process has to end.
    """

    def __init__(self, settings: Settings, stopping: threading.Event) -> None:
        self._stopping = stopping
        self._drain = Drain(
            settings.log_dir,
            writer_name(settings.log_dir),
            partial(Store.open, database_target(settings)),
            KnownVersions(settings.bundle_dir),
            TruthMetrics(settings.log_dir).show,
        )
        self._retention = Retention(policy_of(settings))
        self._logged = -_SECONDS_BETWEEN_LOGS

    def run(self) -> None:
        """Drain."""
        while not self._stopping.is_set():
            try:
                has_more = self._drain.step()
                self._retention.step(self._drain.store)
            except (StoreUnavailableError, OSError) as error:
                self._report(error)
                self._stopping.wait(RETRY_SECONDS)
                continue
            if not has_more:
                self._stopping.wait(IDLE_SECONDS)
        self._drain.close()

    def _report(self, error: Exception) -> None:
        now = time.monotonic()
        if now - self._logged >= _SECONDS_BETWEEN_LOGS:
            self._logged = now
            _log.error("nothing is drained until this is over, nothing is lost meanwhile: %s", error)


def main() -> int:
    """Drain until SIGTERM or SIGINT."""
    try:
        settings = load_settings()
        set_up_logs(settings.log_level)
        stopping = threading.Event()
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: _stop(stopping))
        _lock(settings.log_dir, stopping)
        if not stopping.is_set():
            Drainer(settings, stopping).run()
    except PlumblineError as error:
        sys.stderr.write(f"plumbline: {error}\n")
        return _EXIT_CONFIGURATION
    return 0


def _stop(stopping: threading.Event) -> None:
    """End soon: by itself between two steps, else in the middle of one, which is as good as a rollback."""
    stopping.set()
    end = threading.Timer(END_SECONDS, os._exit, (0,))
    end.daemon = True
    end.start()


def _lock(log_dir: Path, stopping: threading.Event) -> None:
    """Wait until this folder is ours alone; the kernel gives it back when the process ends."""
    try:
        log_dir.mkdir(parents=True, exist_ok=True, mode=0o700)
        descriptor = os.open(log_dir / _LOCK_FILE, os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise SettingsError(f"the folder of the prediction log cannot be used: {error}") from error
    is_told = False
    while not stopping.is_set():
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if not is_told:
                _log.warning("another drainer works in %s; waiting for its end", log_dir)
                is_told = True
            stopping.wait(RETRY_SECONDS)
        else:
            return


if __name__ == "__main__":
    sys.exit(main())
