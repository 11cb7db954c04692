"""Every statistic of quality from the truths themselves, by scikit-learn and numpy, named as in the rules."""

from __future__ import annotations

import numpy as np
from sklearn.metrics import (
    accuracy_score,
    brier_score_loss,
    cohen_kappa_score,
    mean_absolute_error,
    precision_recall_fscore_support,
    roc_auc_score,
    root_mean_squared_error,
)

from tests.prometheus.quality_events import (
    POSITIVE,
    ClassTruths,
    Floats,
    NumberTruths,
    calibration_bin,
)

Statistics = dict[tuple[str, str], dict[tuple[str, str] | None, float]]
"""Level and metric, operation without its window; then by the label beside the pair, if there is one."""


def share_errors(hits: Floats, samples: Floats) -> Floats:
    """Return the standard error of each share, of smoothed counts; shape (n,)."""
    smoothed = (hits + 0.5) / (samples + 1)
    return np.asarray(np.sqrt(smoothed * (1 - smoothed) / samples))


def wilson(share: float, sample: float, sign: int) -> float:
    """Return Wilson's bound at z = 3."""
    z = 3.0
    middle = share + z**2 / (2 * sample)
    spread = z * np.sqrt(share * (1 - share) / sample + z**2 / (4 * sample**2))
    return float((middle + sign * spread) / (1 + z**2 / sample))


def of_classes(truths: ClassTruths) -> Statistics:
    """Return what is recorded of a classifier whose samples are all large enough."""
    size = float(len(truths.actual))
    statistics: Statistics = {("model:ml_ground_truth", "increase"): {None: size}}
    accuracy = float(accuracy_score(truths.actual, truths.predicted))
    stderr = float(share_errors(np.array([accuracy * size]), np.array([size]))[0])
    lower, upper = wilson(accuracy, size, -1), wilson(accuracy, size, 1)
    for name, value, low, high in (
        ("model:ml_accuracy", accuracy, lower, upper),
        ("model:ml_error_rate", 1 - accuracy, 1 - upper, 1 - lower),
    ):
        operations = {"ratio": value, "stderr": stderr, "lower": low, "upper": high}
        statistics |= {(name, operation): {None: number} for operation, number in operations.items()}
    shares = [
        np.bincount(which, minlength=len(truths.classes)) / size
        for which in (truths.actual, truths.predicted)
    ]
    statistics["model:ml_kappa", "ratio"] = {None: float(cohen_kappa_score(truths.actual, truths.predicted))}
    statistics["model:ml_kappa", "stderr"] = {None: stderr / (1 - float(shares[0] @ shares[1]))}
    return statistics | _by_class(truths) | _calibration(truths) | _ranking(truths)


def _by_class(truths: ClassTruths) -> Statistics:
    labels = np.arange(len(truths.classes))
    precision, recall, f1, _ = precision_recall_fscore_support(
        truths.actual, truths.predicted, labels=labels, average=None
    )
    actual = np.array([(truths.actual == label).sum() for label in labels], dtype=np.float64)
    predicted = np.array([(truths.predicted == label).sum() for label in labels], dtype=np.float64)
    both = actual + predicted
    smoothed = (f1 * both + 0.5) / (both + 1)
    f1_error = np.sqrt(smoothed * (1 - smoothed) * (2 - smoothed) / both)
    columns: dict[tuple[str, str], Floats] = {
        ("model_class:ml_class_outcomes_actual", "increase"): actual,
        ("model_class:ml_class_outcomes_predicted", "increase"): predicted,
        ("model_class:ml_class_outcomes_correct", "increase"): recall * actual,
        ("model_class:ml_precision", "ratio"): precision,
        ("model_class:ml_precision", "stderr"): share_errors(precision * predicted, predicted),
        ("model_class:ml_recall", "ratio"): recall,
        ("model_class:ml_recall", "stderr"): share_errors(recall * actual, actual),
        ("model_class:ml_f1", "ratio"): f1,
        ("model_class:ml_f1", "stderr"): f1_error,
    }
    statistics: Statistics = {
        name: {("class", label): float(value) for label, value in zip(truths.classes, column, strict=True)}
        for name, column in columns.items()
    }
    macro = {"avg": f1.mean(), "stderr": f1_error.mean(), "count": len(labels)}
    return statistics | {
        ("model:ml_f1_macro", operation): {None: float(value)} for operation, value in macro.items()
    }


def _calibration(truths: ClassTruths) -> Statistics:
    bins = calibration_bin(truths.confidence)
    is_correct = (truths.actual == truths.predicted).astype(np.float64)
    size = np.bincount(bins, minlength=20).astype(np.float64)
    used = size > 0
    n = size[used]
    sums = [np.bincount(bins, weights, minlength=20)[used] for weights in (truths.confidence, is_correct)]
    confident, correct = sums
    variance = np.clip(confident * (1 - confident / n), 0, None)
    total = n.sum()
    gap = float(truths.confidence.mean() - is_correct.mean())
    brier = float(brier_score_loss(is_correct, truths.confidence))
    mean = confident / n
    fourth = (correct * (1 - mean) ** 4 + (n - correct) * mean**4).sum() / total
    values: dict[tuple[str, str], float] = {
        ("model:ml_calibration_predictions", "increase"): total,
        ("model:ml_ece", "ratio"): np.abs(correct - confident).sum() / total,
        ("model:ml_ece", "floor"): np.sqrt(2 / np.pi) * np.sqrt(variance).sum() / total,
        ("model:ml_ece", "stddev"): np.sqrt(1 - 2 / np.pi) * np.sqrt(variance.sum()) / total,
        ("model:ml_calibration_error", "debiased"): np.sqrt(
            max(0.0, (((correct - confident) ** 2 - variance) / n).sum() / total)
        ),
        ("model:ml_calibration_gap", "ratio"): gap,
        ("model:ml_calibration_gap", "stderr"): np.sqrt(variance.sum()) / total,
        ("model:ml_brier", "ratio"): brier,
        ("model:ml_brier", "stderr"): np.sqrt((fourth - brier**2) / total),
    }
    return {name: {None: float(value)} for name, value in values.items()}


def _ranking(truths: ClassTruths) -> Statistics:
    if truths.score is None:
        return {}
    is_positive = truths.actual == POSITIVE
    positives, negatives = float(is_positive.sum()), float((~is_positive).sum())
    auc = float(roc_auc_score(is_positive, truths.score))
    variance = (
        auc * (1 - auc)
        + (positives - 1) * (auc / (2 - auc) - auc**2)
        + (negatives - 1) * (2 * auc**2 / (1 + auc) - auc**2)
    ) / (positives * negatives)
    return {
        ("model_actual:ml_score", "increase"): {
            ("actual", "positive"): positives,
            ("actual", "negative"): negatives,
        },
        ("model:ml_auc", "ratio"): {None: auc},
        ("model:ml_auc", "stderr"): {None: float(np.sqrt(variance))},
    }


def of_numbers(truths: NumberTruths) -> Statistics:
    """Return what is recorded of a regression model whose sample is large enough."""
    error = truths.error
    size = len(error)
    zero = np.zeros(size)
    absolute = float(mean_absolute_error(zero, error))
    absolute_error = float(np.abs(error).std() / np.sqrt(size))
    values: dict[tuple[str, str], float] = {
        ("model:ml_ground_truth", "increase"): size,
        ("model:ml_mae", "ratio"): absolute,
        ("model:ml_mae", "stderr"): absolute_error,
        ("model:ml_mae", "lower"): absolute - 3 * absolute_error,
        ("model:ml_rmse", "ratio"): float(root_mean_squared_error(zero, error)),
        ("model:ml_bias", "ratio"): error.mean(),
        ("model:ml_bias", "stderr"): error.std() / np.sqrt(size),
    }
    return {name: {None: float(value)} for name, value in values.items()}
