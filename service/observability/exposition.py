"""The text that Prometheus scrapes: counters of workers and prediction log, constants, processes."""

from __future__ import annotations

import threading
import time
from functools import partial
from pathlib import Path

from service.bundle.routing import read_routing
from service.events import ModelKey
from service.observability import metrics_dir
from service.observability.constants import Constants
from service.observability.merge import Merger
from service.observability.metric_names import (
    ML_PREDICTION_LOG_BACKLOG,
    ML_PREDICTION_LOG_CAPACITY,
    ML_PREDICTION_LOG_DRAIN_LAG,
    PLUMBLINE_EXPOSITION_BAD_FILES,
    PLUMBLINE_EXPOSITION_DURATION,
    PLUMBLINE_EXPOSITION_FILES,
)
from service.observability.processes import process_text
from service.observability.text_format import family, sample_line
from service.observability.truth_metrics import TOTALS_FOLDER
from service.prediction_log.backlog import read_backlog
from service.prediction_log.spool import SPOOL_FOLDER
from service.settings import Settings

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"


class Exposition:
    """Renders the exposition, one at a time; what it learns about files and bundles serves the next scrape.

    Args:
        settings: folders, and the number of workers there should be.
    """

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._merger = Merger()
        self._constants = Constants(settings.bundle_dir, partial(_roles, settings.bundle_dir))
        self._lock = threading.Lock()
        self._bad_files = 0

    def render(self) -> bytes:
        """Write the exposition; with no predictor there are still the constants and `plumbline_workers 0`."""
        with self._lock:
            start = time.perf_counter()
            folder = metrics_dir.current(self._settings.metrics_dir)
            log = self._settings.log_dir
            merged = self._merger.merge(*([folder] if folder else []), log / TOTALS_FOLDER)
            self._bad_files += merged.bad_files
            backlog = read_backlog(log, log / SPOOL_FOLDER, time.time())
            constants = self._constants.text(merged.models)
            processes = process_text(folder, self._settings.workers)
            own = (
                (ML_PREDICTION_LOG_BACKLOG, backlog.bytes),
                (ML_PREDICTION_LOG_DRAIN_LAG, backlog.lag_seconds),
                (ML_PREDICTION_LOG_CAPACITY, self._settings.log_spool_max_bytes),
                (PLUMBLINE_EXPOSITION_FILES, merged.files),
                (PLUMBLINE_EXPOSITION_BAD_FILES, self._bad_files),
                (PLUMBLINE_EXPOSITION_DURATION, time.perf_counter() - start),
            )
            text = [family(metric, [sample_line(metric, (), number)]) for metric, number in own]
            return "".join((merged.text, constants, processes, *text)).encode()


_expositions: dict[tuple[Path, Path, Path, int], Exposition] = {}


def render_exposition(settings: Settings) -> bytes:
    """Render the exposition for people who ask the predictor itself; call it in a thread."""
    key = (settings.metrics_dir, settings.log_dir, settings.bundle_dir, settings.workers)
    return _expositions.setdefault(key, Exposition(settings)).render()


def _roles(bundle_dir: Path) -> dict[ModelKey, str]:
    return {ModelKey(*pair): "stable" for pair in read_routing(bundle_dir).stable.items()}
