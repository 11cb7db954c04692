"""Chooses how the estimator is called, and proves that the served form gives the table's predictions."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from service.bundle.packing.features import example_row
from service.bundle.packing.table import Row, rows_of
from service.bundle.reference import Reference
from service.bundle.scoring import Container, Output, Scorer
from service.bundle.signature import Signature
from service.errors import PackError, one_line

SAMPLE_ROWS = 2000
NO_REFERENCE = Reference(rows=1, features={}, validation_rows=1, out_of_distribution_rows=0)


def estimator_input(estimator: Any, frame: pd.DataFrame, signature: Signature) -> Any:
    """Give a table the way its user calls the estimator: DataFrame, array or list of texts."""
    names = [feature.name for feature in signature.features]
    if signature.input == "text":
        return frame[names[0]].tolist()
    if hasattr(estimator, "feature_names_in_") or not all(
        feature.is_numeric or feature.type == "boolean" for feature in signature.features
    ):
        return frame[names]
    return frame[names].to_numpy(dtype=np.float64)


def complete_rows(signature: Signature, frame: pd.DataFrame) -> tuple[pd.DataFrame, list[Row]]:
    """Take the first rows without a missing value, as table and as served; the row of examples if none is."""
    names = [feature.name for feature in signature.features]
    sample = frame[names].dropna().head(SAMPLE_ROWS)
    if sample.empty:
        sample = pd.DataFrame([example_row(signature.features)], columns=names)
    return sample, rows_of(sample, signature.features)


def choose_container(
    estimator: Any, signature: Signature, frame: pd.DataFrame, rows: Sequence[Row]
) -> Container:
    """Choose the cheapest container whose predictions equal those on the table itself.

    Args:
        estimator: fitted.
        signature: its inputs and output.
        frame: n rows of the table.
        rows: the same n rows as they are served.

    Raises:
        PackError: the estimator cannot predict on its own table, or every served form differs.
    """
    expected = _outputs(estimator, estimator_input(estimator, frame, signature))
    problem = ""
    for container in _candidates(signature):
        scorer = Scorer(signature, NO_REFERENCE, estimator, container, "predict")
        try:
            found = _outputs(estimator, scorer.prepare(rows))
        except Exception as error:
            problem = f"it raised {one_line(error)}"
            continue
        if all(map(_agree, expected, found)):
            return container
        problem = "other predictions came out"
    raise PackError(f"rows as they are served do not give the table's predictions: {problem}")


def choose_output(estimator: Any, signature: Signature, container: Container, rows: Sequence[Row]) -> Output:
    """Choose which methods give the prediction; predict_proba alone if its largest entry is it."""
    if signature.task == "regression" or not hasattr(estimator, "predict_proba"):
        return "predict"
    scorer = Scorer(signature, NO_REFERENCE, estimator, container, "predict_and_probability")
    try:
        scores = scorer.score(rows)
    except Exception:
        return "predict"
    assert scores.probabilities is not None
    assert scores.class_indices is not None
    is_same = np.array_equal(scores.probabilities.argmax(axis=1), scores.class_indices)
    return "argmax" if is_same else "predict_and_probability"


def _candidates(signature: Signature) -> tuple[Container, ...]:
    if signature.input == "text":
        return ("text",)
    if all(feature.is_numeric or feature.type == "boolean" for feature in signature.features):
        return ("array", "frame")
    return ("frame",)


def _agree(expected: NDArray[Any], found: NDArray[Any]) -> bool:
    """Compare labels exactly, numbers but for the rounding that another memory layout brings."""
    if expected.dtype.kind == "f":
        return np.allclose(expected, found, rtol=1e-9, atol=1e-12)
    return np.array_equal(expected, found)


def _outputs(estimator: Any, inputs: Any) -> list[NDArray[Any]]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of names that an array has not; the outputs are compared instead
        try:
            outputs = [np.asarray(estimator.predict(inputs))]
        except Exception as error:
            raise PackError(f"the estimator cannot predict on the table: {one_line(error)}") from error
        if outputs[0].size != len(inputs):
            raise PackError("the estimator predicts several targets at once; pack one model per target")
        if hasattr(estimator, "predict_proba"):
            outputs.append(np.asarray(estimator.predict_proba(inputs)))
    return outputs
