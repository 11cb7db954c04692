"""Counts what a worker knows of the prediction log: records spooled or not, truths refused at once."""

from __future__ import annotations

from collections.abc import Iterable
from threading import Lock

from service.events import OTHER_MODEL, Announcer, GroundTruthRefused, ModelKey, PredictionLogWritten
from service.observability import metric_names as names
from service.observability.label_values import SPOOL_RESULTS
from service.observability.value_files import ValueFiles

NAME = "prediction_log"


class PredictionLogMetrics:
    """Listens to the prediction log of this worker.

    Args:
        files: of this worker.
        keys: the loaded versions.
    """

    def __init__(self, files: ValueFiles, keys: Iterable[ModelKey]) -> None:
        # Predictions come from the inference thread, truths from the event loop.
        self._lock = Lock()
        self._records = {
            result: files.value(names.ML_PREDICTION_LOG_RECORDS, result) for result in SPOOL_RESULTS
        }
        self._invalid = {
            key: files.value(names.ML_GROUND_TRUTH, *key, "invalid") for key in (*keys, OTHER_MODEL)
        }

    def subscribe(self, announcer: Announcer) -> None:
        """Listen to `announcer`."""
        announcer.subscribe(NAME, PredictionLogWritten, self.on_written)
        announcer.subscribe(NAME, GroundTruthRefused, self.on_refused)

    def on_written(self, event: PredictionLogWritten) -> None:
        """Count the rows by what became of them."""
        with self._lock:
            self._records[event.result].add(event.rows)

    def on_refused(self, event: GroundTruthRefused) -> None:
        """Count truths that can belong to no prediction of ours."""
        with self._lock:
            self._invalid.get(event.key, self._invalid[OTHER_MODEL]).add(event.count)
