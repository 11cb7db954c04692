"""Counts features by bin, off the path of a request: rows are kept for a moment and counted together."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Sequence

import numpy as np

from service.events import Announcer, PredictionsServed
from service.observability import metric_names as names
from service.observability.binning import FeatureBinner
from service.observability.model_values import Bundle
from service.observability.value_files import ValueFiles

NAME = "feature_bins"
# Rows of one model that may wait for the thread; beyond it whoever brings them counts them.
_MAX_WAITING_ROWS = 20_000


class _ModelBins:
    """The numbers of one version, and the rows that wait to be counted into them."""

    def __init__(self, files: ValueFiles, bundle: Bundle) -> None:
        key = bundle.key
        self.waiting: list[Sequence[object]] = []
        self._text_length = None
        if bundle.signature.input == "text":
            self._text_length = files.histogram(names.ML_TEXT_LENGTH, *key)
        self._binner = FeatureBinner(bundle.signature, bundle.reference)
        self._bins = files.values(names.ML_FEATURE_BIN, [(*key, *labels) for labels in self._binner.bins])
        self._missing, self._out_of_range, self._unknown = (
            files.values(metric, [(*key, name) for name in features])
            for metric, features in (
                (names.ML_FEATURE_MISSING, self._binner.features),
                (names.ML_FEATURE_OUT_OF_RANGE, self._binner.numeric_features),
                (names.ML_FEATURE_UNKNOWN_CATEGORY, self._binner.category_features),
            )
        )

    def count(self, rows: list[Sequence[object]]) -> None:
        """Count rows."""
        if self._text_length is not None:
            self._text_length.observe_many(np.array([len(str(row[0])) for row in rows], dtype=np.float64))
        counts = self._binner.count(rows)
        self._bins.add(counts.bins)
        self._missing.add(counts.missing)
        self._out_of_range.add(counts.out_of_range)
        self._unknown.add(counts.unknown)


class FeatureBins:
    """Listens to served predictions and counts their rows by bin, every `flush_seconds` while there are any.

    Args:
        files: of this worker.
        bundles: the loaded versions.
        flush_seconds: how long a row may wait; what a killed worker may lose.
        on_error: told of a flush that failed; its rows are lost, the next flush goes on.
    """

    def __init__(
        self,
        files: ValueFiles,
        bundles: Iterable[Bundle],
        flush_seconds: float,
        on_error: Callable[[str, Exception], None],
    ) -> None:
        self._models = {bundle.key: _ModelBins(files, bundle) for bundle in bundles}
        self._flush_seconds = flush_seconds
        self._on_error = on_error
        self._rows_lock = threading.Lock()
        self._flush_lock = threading.Lock()
        self._has_rows = threading.Event()
        self._is_closed = threading.Event()
        self._thread = threading.Thread(target=self._run, name=NAME, daemon=True)
        self._thread.start()

    def subscribe(self, announcer: Announcer) -> None:
        """Listen to `announcer`."""
        announcer.subscribe(NAME, PredictionsServed, self.on_predictions_served)

    def on_predictions_served(self, event: PredictionsServed) -> None:
        """Keep the rows for the next flush."""
        model = self._models[event.key]
        with self._rows_lock:
            model.waiting.extend(event.rows)
            is_full = len(model.waiting) > _MAX_WAITING_ROWS
        if not self._has_rows.is_set():
            self._has_rows.set()
        if is_full:
            self.flush()

    def flush(self) -> None:
        """Count every row that waits."""
        with self._flush_lock:
            for model in self._models.values():
                with self._rows_lock:
                    rows, model.waiting = model.waiting, []
                if not rows:
                    continue
                try:
                    model.count(rows)
                except Exception as error:
                    # What goes wrong with one model must not end the counting of the others.
                    self._on_error(NAME, error)

    def close(self) -> None:
        """Stop the thread and count what still waits."""
        self._is_closed.set()
        self._has_rows.set()
        self._thread.join()
        self.flush()

    def _run(self) -> None:
        while not self._is_closed.is_set():
            self._has_rows.wait()
            self._is_closed.wait(self._flush_seconds)
            # Cleared before the flush: a row that comes meanwhile causes another one.
            self._has_rows.clear()
            self.flush()
