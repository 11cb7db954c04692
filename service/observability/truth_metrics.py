"""Shows the totals of the prediction log as counters, in files that the exporter merges with others.

The drainer calls this after each commit. The numbers are set, not added to: what a reader sees is what the
database holds, and if the drainer ends between a commit and this, the next one catches up. It goes on in the
files of the last one: a number that is 0 for one scrape is a counter that was reset, and the next increase of
it would be the whole total.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from service.events import ModelKey
from service.observability import metric_names as names
from service.observability.metric import Metric
from service.observability.value_files import Histogram, Value, ValueFiles
from service.prediction_log.outcomes import DELAY_BOUNDS, SCORE_BOUNDS, Cell, Cells
from service.prediction_log.totals import RECORDS, VersionTotals

TOTALS_FOLDER = "totals"
"""Where these files lie in the folder of the prediction log."""

_COUNTERS: Mapping[str, Metric] = {
    "ground_truth": names.ML_GROUND_TRUTH,
    "outcome": names.ML_OUTCOMES,
    "class": names.ML_CLASS_OUTCOMES,
    "over": names.ML_OVERESTIMATE,
    "under": names.ML_UNDERESTIMATE,
    "squared_error": names.ML_SQUARED_ERROR,
    "calibration_predictions": names.ML_CALIBRATION_PREDICTIONS,
    "calibration_correct": names.ML_CALIBRATION_CORRECT,
    "calibration_confidence": names.ML_CALIBRATION_CONFIDENCE,
    "squared_probability_error": names.ML_SQUARED_PROBABILITY_ERROR,
    "records": names.ML_PREDICTION_LOG_RECORDS,
}
"""Cells by their first word; what follows it are the labels after the pair, which `records` has not."""
_HISTOGRAMS: Mapping[str, tuple[Metric, int]] = {
    "score": (names.ML_SCORE, len(SCORE_BOUNDS) + 1),
    "delay": (names.ML_GROUND_TRUTH_DELAY, len(DELAY_BOUNDS) + 1),
}
"""Cells `(word, *labels, bucket)` with their `(word_sum, *labels)`: metric and number of buckets."""
_SUM = "_sum"


class TruthMetrics:
    """Writes totals.

    Args:
        log_dir: folder of the prediction log.
    """

    def __init__(self, log_dir: Path) -> None:
        self._folder = log_dir / TOTALS_FOLDER
        self._folder.mkdir(parents=True, exist_ok=True, mode=0o755)
        self._is_complete = False
        self._open()

    def show(self, totals: Mapping[ModelKey, VersionTotals]) -> None:
        """Show the totals of some versions, the first time of all; a number that is new is made."""
        self._show_versions(totals)
        if not self._is_complete and self._files.has_others():
            # Of another database, or of a Plumbline that described its metrics otherwise.
            for path in self._folder.glob("*.db"):
                path.unlink()
            self._open()
            self._show_versions(totals)
        self._is_complete = True

    def _open(self) -> None:
        self._files = ValueFiles(self._folder, 0)
        self._counters: dict[tuple[ModelKey, Cell], Value] = {}
        self._histograms: dict[tuple[ModelKey, Cell], Histogram] = {}

    def _show_versions(self, totals: Mapping[ModelKey, VersionTotals]) -> None:
        for key, one in totals.items():
            self._show_version(key, one.cells, one.timestamp)

    def _show_version(self, key: ModelKey, cells: Cells, last_timestamp: float | None) -> None:
        for cell, value in cells.items():
            metric = _COUNTERS.get(cell[0])
            if metric is not None:
                self._counter(metric, key, cell).set(value)
            elif cell[0].endswith(_SUM):
                self._show_histogram(key, cell, cells)
        if last_timestamp is not None:
            last = ("last_timestamp",)
            if (key, last) not in self._counters:
                self._counters[key, last] = self._files.value(names.ML_GROUND_TRUTH_LAST_TIMESTAMP, *key)
            self._counters[key, last].set(last_timestamp)

    def _counter(self, metric: Metric, key: ModelKey, cell: Cell) -> Value:
        value = self._counters.get((key, cell))
        if value is None:
            pair = () if key == RECORDS else key
            value = self._counters[key, cell] = self._files.value(metric, *pair, *cell[1:])
        return value

    def _show_histogram(self, key: ModelKey, cell: Cell, cells: Cells) -> None:
        word, labels = cell[0].removesuffix(_SUM), cell[1:]
        metric, buckets = _HISTOGRAMS[word]
        histogram = self._histograms.get((key, cell))
        if histogram is None:
            histogram = self._histograms[key, cell] = self._files.histogram(metric, *key, *labels)
        counts = [cells.get((word, *labels, str(bucket)), 0.0) for bucket in range(buckets)]
        histogram.replace(counts, cells[cell])
