"""From rows to scores: the one place that calls an estimator, for serving, packing and checking alike."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from service.bundle.distribution import InputJudge, Rows
from service.bundle.reference import Reference
from service.bundle.signature import Scalar, Signature

Container = Literal["array", "frame", "text"]
Output = Literal["argmax", "predict_and_probability", "predict"]

OUTPUT_OK, OUTPUT_NOT_FINITE, OUTPUT_OUT_OF_BOUNDS = 0, 1, 2


@dataclass(frozen=True, slots=True)
class Scores:
    """What a model says of n rows.

    Args:
        class_indices: shape (n,), positions in the signature's classes; None for regression.
        values: shape (n,), predicted numbers; None for classification.
        probabilities: shape (n, classes); None if the estimator has none.
        confidences: shape (n,), probability of the predicted class; None if the estimator has none.
        distribution: shape (n,), why a row is out of distribution (codes in `service.events`).
        invalid: shape (n,), OUTPUT_OK, OUTPUT_NOT_FINITE or OUTPUT_OUT_OF_BOUNDS.
    """

    class_indices: NDArray[np.intp] | None
    values: NDArray[np.float64] | None
    probabilities: NDArray[np.float64] | None
    confidences: NDArray[np.float64] | None
    distribution: NDArray[np.int8]
    invalid: NDArray[np.int8]

    def part(self, start: int, stop: int) -> Scores:
        """Return rows [start, stop)."""
        rows = slice(start, stop)
        return Scores(
            None if self.class_indices is None else self.class_indices[rows],
            None if self.values is None else self.values[rows],
            None if self.probabilities is None else self.probabilities[rows],
            None if self.confidences is None else self.confidences[rows],
            self.distribution[rows],
            self.invalid[rows],
        )


@dataclass(frozen=True, slots=True)
class RawOutput:
    """What the estimator returned: labels (or numbers) and probabilities, each if it was asked for."""

    predictions: NDArray[Any] | None
    probabilities: NDArray[np.float64] | None


class Scorer:
    """Calls one estimator and judges what goes in and what comes out.

    The three steps are separate so that the caller can time them; `score` does all three.

    Args:
        signature: the model's inputs and output.
        reference: ranges and novelty thresholds; features without a reference are not judged.
        estimator: a fitted scikit-learn estimator or pipeline.
        container: what the estimator is called with.
        output: which of its methods give the prediction.
    """

    def __init__(
        self, signature: Signature, reference: Reference, estimator: Any, container: Container, output: Output
    ) -> None:
        self.estimator = estimator
        self._signature = signature
        self._container = container
        self._output = output
        self._fills = tuple(feature.fill for feature in signature.features)
        self._has_fills = any(fill is not None for fill in self._fills)
        self._class_positions = {label: index for index, label in enumerate(signature.classes or ())}
        self._judge = InputJudge(signature, reference)

    def score(self, rows: Rows) -> Scores:
        """Score rows; see `Scores` for what comes back.

        Args:
            rows: n rows of values in signature order, as `RowParser` gives them.

        Raises:
            ValueError: the estimator's output has another number of rows or classes.
            Exception: whatever the estimator raises.
        """
        inputs = self.prepare(rows)
        return self.finish(rows, inputs, self.run(inputs))

    def prepare(self, rows: Rows) -> Any:
        """Turn rows into what the estimator takes: float64 array (n, features), DataFrame or texts."""
        if self._container == "text":
            return [row[0] for row in rows]
        if self._has_fills:
            rows = [self._filled(row) for row in rows]
        if self._container == "array":
            return np.array(rows, dtype=np.float64)
        return self._frame(rows)

    def _filled(self, row: Sequence[Scalar]) -> Sequence[Scalar]:
        if None not in row:
            return row
        return [fill if value is None else value for value, fill in zip(row, self._fills, strict=True)]

    def run(self, inputs: Any) -> RawOutput:
        """Call the estimator."""
        with warnings.catch_warnings():
            # Fitted on named columns, it warns of an array on each call; packing has compared the two.
            warnings.simplefilter("ignore")
            predictions = None if self._output == "argmax" else np.asarray(self.estimator.predict(inputs))
            probabilities = None if self._output == "predict" else self.estimator.predict_proba(inputs)
        return RawOutput(predictions, probabilities)

    def finish(self, rows: Rows, inputs: Any, raw: RawOutput) -> Scores:
        """Turn the estimator's output into scores."""
        count = len(rows)
        invalid = np.zeros(count, dtype=np.int8)
        # An array for the estimator spares the judge the conversion of every row.
        numbers = inputs if self._container == "array" else None
        if self._signature.task == "regression":
            assert raw.predictions is not None
            values = raw.predictions.astype(np.float64).reshape(count)
            finite = np.isfinite(values)
            invalid[~finite] = OUTPUT_NOT_FINITE
            low, high = self._signature.output_minimum, self._signature.output_maximum
            invalid[finite & outside(values, low, high)] = OUTPUT_OUT_OF_BOUNDS
            return Scores(None, values, None, None, self._judge.verdicts(rows, None, numbers), invalid)
        probabilities = raw.probabilities
        if probabilities is not None:
            self._check_shape(probabilities, (count, len(self._class_positions)))
            sums = probabilities.sum(axis=1)
            invalid[(probabilities < 0).any(axis=1) | (sums > 1.0 + 1e-6)] = OUTPUT_OUT_OF_BOUNDS
            invalid[~np.isfinite(sums)] = OUTPUT_NOT_FINITE
        if raw.predictions is None:
            assert probabilities is not None
            indices = probabilities.argmax(axis=1)
        else:
            positions = self._class_positions
            indices = np.array([positions[label] for label in raw.predictions.tolist()], dtype=np.intp)
            self._check_shape(indices, (count,))
        confidences = None if probabilities is None else probabilities[np.arange(count), indices]
        distribution = self._judge.verdicts(rows, confidences, numbers)
        return Scores(indices, None, probabilities, confidences, distribution, invalid)

    def explain(self, row: Sequence[Scalar]) -> list[tuple[str, Literal["range", "category"]]]:
        """Name the features of a row that lie outside the reference's range or categories."""
        return self._judge.explain(row)

    @staticmethod
    def _check_shape(found: NDArray[Any], wanted: tuple[int, ...]) -> None:
        if found.shape != wanted:
            raise ValueError(f"the estimator's output has shape {found.shape} instead of {wanted}")

    def _frame(self, rows: Rows) -> pd.DataFrame:
        columns: dict[str, NDArray[Any]] = {}
        for position, feature in enumerate(self._signature.features):
            values = [row[position] for row in rows]
            if feature.type == "number" or (feature.is_numeric and feature.nullable):
                columns[feature.name] = np.array(values, dtype=np.float64)
            elif feature.type == "integer":
                columns[feature.name] = np.array(values, dtype=np.int64)
            else:
                cells = np.array(values, dtype=object)
                cells[np.array([value is None for value in values])] = np.nan
                columns[feature.name] = cells
        return pd.DataFrame(columns)


def outside(values: NDArray[np.float64], low: float | None, high: float | None) -> NDArray[np.bool_]:
    """Tell which numbers lie outside the bounds, shape (n,); None is no bound."""
    return (values < (-np.inf if low is None else low)) | (values > (np.inf if high is None else high))
