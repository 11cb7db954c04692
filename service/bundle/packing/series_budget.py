"""Counts the time series that a bundle will export, so that a user learns it before Prometheus does.

An upper bound: this layer does not know the metrics, so a test compares it with what a model really exports.
"""

from __future__ import annotations

from typing import get_args

from service.bundle.objectives import REQUEST_DURATION_BOUNDS
from service.bundle.reference import Reference
from service.bundle.signature import Signature
from service.errors import BUNDLE_FAILURES, VIOLATION_REASONS, PackError
from service.events import Outcome

DEFAULT_LIMIT = 15_000
KINDS, STAGES = 2, 4
STAGE_BOUNDS, ROWS_BOUNDS, CONFIDENCE_BOUNDS, TEXT_LENGTH_BOUNDS = 14, 7, 20, 10
DISTRIBUTION, INVALID_OUTPUTS = 4, 2
SINGLES = 7
"""Queue, readiness, load time, info, reference rows, share out of distribution and its rows."""
TRUTH_RESULTS, CLASS_ASPECTS, CALIBRATION_BINS = 6, 3, 20
SCORE_BOUNDS, DELAY_BOUNDS = 101, 17
MAX_MATRIX_CLASSES = 20
"""Most classes of a model whose truths are counted by pairs of predicted and actual class."""


def count_series(signature: Signature, reference: Reference, objectives: int) -> int:
    """Count the series of one version per scrape target, children at 0 included.

    Args:
        signature: its inputs and output.
        reference: its bins.
        objectives: how many objectives it carries.
    """
    requests = len(get_args(Outcome)) + KINDS * _histogram(len(REQUEST_DURATION_BOUNDS))
    calls = STAGES * _histogram(STAGE_BOUNDS) + _histogram(ROWS_BOUNDS)
    if signature.input == "text":
        calls += _histogram(TEXT_LENGTH_BOUNDS)
    if signature.classes is not None:
        calls += _histogram(CONFIDENCE_BOUNDS)
    # A bin has its counter and its share of the reference; so has a class, or a bin of the prediction.
    bins = sum(len(feature.counts) for feature in reference.features.values())
    bins += len(signature.classes or ()) if reference.prediction is None else len(reference.prediction.counts)
    features = len(reference.features)
    # By feature: missing, and out of range or unknown category; then the refusals.
    inputs = 2 * bins + 2 * features + (features + 1) * len(VIOLATION_REASONS)
    constant = DISTRIBUTION + INVALID_OUTPUTS + SINGLES + len(BUNDLE_FAILURES) + objectives
    return requests + calls + inputs + constant + _count_truths(signature)


def _count_truths(signature: Signature) -> int:
    """Count the series that say how right the model was."""
    always = TRUTH_RESULTS + _histogram(DELAY_BOUNDS) + len(["time of the last one"])
    if signature.classes is None:
        return always + len(["over", "under", "squared error", "spread of the target"])
    classes = len(signature.classes)
    pairs = classes**2 if classes <= MAX_MATRIX_CLASSES else 0
    calibration = 3 * CALIBRATION_BINS + len(["squared probability error"])
    scores = 2 * _histogram(SCORE_BOUNDS) if signature.task == "binary" else 0
    return always + CLASS_ASPECTS * classes + pairs + calibration + scores


def refuse_beyond(series: int, limit: int) -> None:
    """Raise if a bundle would export more series than the limit."""
    if series > limit:
        raise PackError(
            f"would export {series} time series, the limit is {limit}: monitor fewer features "
            "(--unmonitored), or raise it with --series-limit"
        )


def _histogram(bounds: int) -> int:
    """Count the series of a histogram: its buckets, +Inf, sum and count."""
    return bounds + 3
