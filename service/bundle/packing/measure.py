"""Measures a model on its validation rows and gathers the reference from training and validation."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray
from sklearn.metrics import f1_score, log_loss, r2_score

from service.bundle.objectives import Measured, measured_accuracy, measured_calibration, measured_mae
from service.bundle.packing.reference_bins import confidence_bins, feature_reference, numeric_reference
from service.bundle.packing.table import Row
from service.bundle.packing.validation import Validation
from service.bundle.reference import FeatureReference, Reference
from service.bundle.signature import Signature


def measure(signature: Signature, validation: Validation) -> tuple[Measured, dict[str, float]]:
    """Give the score that objectives are set by, and all scores for the manifest."""
    truths, predictions = validation.targets, validation.predictions
    if signature.task == "regression":
        errors = predictions - truths
        measured = measured_mae(errors)
        scores = {
            "mae": measured.value,
            "rmse": float(np.sqrt(np.mean(errors**2))),
            "r2": float(r2_score(truths, predictions)) if len(truths) > 1 else 0.0,
        }
        return measured, scores
    is_correct = predictions == truths
    measured = measured_accuracy(signature.task, is_correct)
    scores = {
        "accuracy": measured.value,
        "f1_macro": float(f1_score(truths, predictions, average="macro", zero_division=0.0)),
    }
    if validation.probabilities is not None:
        labels = np.arange(len(signature.classes or ()))
        scores["log_loss"] = float(log_loss(truths, validation.probabilities, labels=labels))
    if validation.confidences is not None:
        calibration = measured_calibration(confidence_bins(validation.confidences, is_correct))
        measured = replace(measured, calibration=calibration)
        scores["calibration_error"] = calibration.value
    return measured, scores


def build_reference(
    signature: Signature,
    training_rows: list[Row],
    training_targets: NDArray[np.float64],
    validation: Validation,
    unmonitored: Collection[str],
) -> Reference:
    """Build the reference: features from training, everything about outputs from validation.

    Args:
        signature: the model's inputs and output.
        training_rows: n rows in signature order.
        training_targets: shape (n,).
        validation: rows that the model had not seen.
        unmonitored: features without bins.
    """
    is_regression = signature.classes is None
    counts = {} if is_regression else _class_counts(signature, validation)
    is_correct = validation.predictions == validation.targets
    return Reference(
        rows=len(training_rows),
        features=_features(signature, training_rows, unmonitored),
        class_counts=counts,
        prediction=numeric_reference(validation.predictions, 0, whole=False) if is_regression else None,
        target_stddev=float(np.std(training_targets)) if is_regression else None,
        confidence_bins=(
            () if validation.confidences is None else confidence_bins(validation.confidences, is_correct)
        ),
        validation_rows=len(validation.rows),
        out_of_distribution_rows=int(validation.is_out.sum()),
        text_novelty=validation.text_novelty,
    )


def build_unpredicted_reference(
    signature: Signature,
    training_rows: list[Row],
    training_targets: NDArray[np.float64],
    is_out: NDArray[np.bool_],
    unmonitored: Collection[str],
) -> Reference:
    """Build the reference of a model of which no prediction is known: nothing is said about outputs.

    Args:
        signature: the model's inputs and output.
        training_rows: n rows in signature order.
        training_targets: shape (n,).
        is_out: which of m unseen rows are out of distribution, shape (m,).
        unmonitored: features without bins.
    """
    return Reference(
        rows=len(training_rows),
        features=_features(signature, training_rows, unmonitored),
        target_stddev=float(np.std(training_targets)) if signature.classes is None else None,
        validation_rows=len(is_out),
        out_of_distribution_rows=int(is_out.sum()),
    )


def _features(
    signature: Signature, rows: list[Row], unmonitored: Collection[str]
) -> dict[str, FeatureReference]:
    columns = zip(*rows, strict=True)
    return {
        feature.name: feature_reference(feature, column)
        for feature, column in zip(signature.features, columns, strict=True)
        if feature.type != "text" and feature.name not in unmonitored
    }


def _class_counts(signature: Signature, validation: Validation) -> dict[str, int]:
    names = signature.class_names
    counts = np.bincount(validation.predictions, minlength=len(names))
    return {name: int(count) for name, count in zip(names, counts, strict=True)}
