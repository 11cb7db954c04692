"""The series budget holds what a model really exports."""

from __future__ import annotations

from typing import Any, cast

import pytest

from service.bundle.loader import describe_bundle
from service.bundle.packing.series_budget import MAX_MATRIX_CLASSES, count_series, refuse_beyond
from service.bundle.reference import Reference
from service.bundle.signature import Feature, Signature
from service.errors import PackError
from service.events import ModelKey
from service.observability import metric_names as names
from service.observability.constants import constant_lines
from service.observability.feature_bins import FeatureBins
from service.observability.metric import Metric
from service.observability.model_values import LoadValues, ModelValues
from service.observability.value_files import ValueFiles
from service.prediction_log.outcomes import CALIBRATION_BOUNDS
from tests import builders


class CountingFiles:
    """Stands in for the shared files and counts the series that are asked for."""

    def __init__(self) -> None:
        self.series: set[tuple[str, ...]] = set()

    def value(self, metric: Metric, *labels: str) -> None:
        """Count one number."""
        self.series.add((metric.name, *labels))

    def values(self, metric: Metric, rows: Any) -> None:
        """Count one number per row of labels."""
        for labels in rows:
            self.value(metric, *labels)

    def histogram(self, metric: Metric, *labels: str) -> None:
        """Count the buckets, +Inf, sum and count."""
        for part in (*metric.bounds, "+Inf", "sum", "count"):
            self.series.add((metric.name, *labels, str(part)))


def ask_for_truths(files: Any, key: ModelKey, signature: Signature) -> None:
    """Ask for every series about ground truth of docs/metrics.md; the drainer makes them."""
    classes = signature.class_names
    for result in ("counted", "duplicate", "conflict", "revised", "unknown_version", "invalid"):
        files.value(names.ML_GROUND_TRUTH, *key, result)
    files.histogram(names.ML_GROUND_TRUTH_DELAY, *key)
    files.value(names.ML_GROUND_TRUTH_LAST_TIMESTAMP, *key)
    if signature.task == "regression":
        for metric in (names.ML_OVERESTIMATE, names.ML_UNDERESTIMATE, names.ML_SQUARED_ERROR):
            files.value(metric, *key)
        return
    for aspect in ("actual", "predicted", "correct"):
        files.values(names.ML_CLASS_OUTCOMES, [(*key, name, aspect) for name in classes])
    if len(classes) <= 20:
        files.values(names.ML_OUTCOMES, [(*key, one, other) for one in classes for other in classes])
    for metric in (
        names.ML_CALIBRATION_PREDICTIONS,
        names.ML_CALIBRATION_CORRECT,
        names.ML_CALIBRATION_CONFIDENCE,
    ):
        files.values(metric, [(*key, str(bound)) for bound in CALIBRATION_BOUNDS])
    files.value(names.ML_SQUARED_PROBABILITY_ERROR, *key)
    if signature.task == "binary":
        for actual in ("positive", "negative"):
            files.histogram(names.ML_SCORE, *key, actual)


@pytest.mark.parametrize("name", builders.MODELS)
def test_budget_covers_what_is_exported_and_little_more(name: str) -> None:
    """A metric that is added without its place in the budget fails here."""
    bundle = describe_bundle(builders.bundle_dir() / name / builders.VERSION)
    counting = CountingFiles()
    files = cast(ValueFiles, counting)
    ModelValues(files, bundle)
    LoadValues(files, bundle.key)
    FeatureBins(files, [bundle], 1.0, lambda name, error: None)
    ask_for_truths(files, bundle.key, bundle.signature)
    constants = constant_lines(bundle.key, bundle.manifest, bundle.reference)
    exported = len(counting.series) + sum(map(len, constants.values())) + len(["ml_model_info", "load time"])
    assert exported <= bundle.manifest.series <= 1.15 * exported


@pytest.mark.parametrize("count", [2, MAX_MATRIX_CLASSES, MAX_MATRIX_CLASSES + 1])
def test_truths_of_many_classes_have_no_pairs(count: int) -> None:
    """The square of the classes ends where the drainer ends it."""
    features = (Feature(name="x", type="number"),)
    classes = tuple(range(count))
    task = "binary" if count == 2 else "multiclass"
    of_classes = Signature(task=task, input="tabular", features=features, classes=classes)
    of_two = Signature(task="multiclass", input="tabular", features=features, classes=(0, 1))
    reference = Reference(rows=1, features={}, validation_rows=1, out_of_distribution_rows=0)
    found = []
    for signature in (of_classes, of_two):
        counting = CountingFiles()
        ask_for_truths(counting, ModelKey("m", "1"), signature)
        # A class also has its counter of predictions and its share of the reference.
        found.append(len(counting.series) + 2 * len(signature.class_names))
    counted = count_series(of_classes, reference, 4) - count_series(of_two, reference, 4)
    assert counted == found[0] - found[1]


def test_budget_beyond_the_limit_is_refused() -> None:
    """The line says what to do."""
    refuse_beyond(300, 300)
    with pytest.raises(PackError, match=r"would export 301 time series, the limit is 300: .*--unmonitored"):
        refuse_beyond(301, 300)
