"""Answers hold each row's own prediction and id, in the order of the request."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import pytest

from service.api.prediction_answers import batch_answer, single_answer
from service.bundle.row_schema import Row
from service.inference.jobs import MicroBatchResult, PredictedRows, Segment
from tests.fakes import make_served_model

MODEL = make_served_model()


def micro_batch(rows: Sequence[Row]) -> MicroBatchResult:
    """Score rows as the inference thread does."""
    scores = MODEL.bundle.scorer.score(rows)
    assert scores.class_indices is not None
    assert scores.confidences is not None
    predictions: list[Any] = [("low", "high")[index] for index in scores.class_indices.tolist()]
    return MicroBatchResult(
        predictions,
        scores.confidences.tolist(),
        scores.distribution.tolist(),
        scores.probabilities,
        scores,
    )


ROWS: list[Row] = [(0.75, 1.0), (0.125, None), (11.0, 1.0)]


def test_single_answer() -> None:
    """The id is the one that the prediction log gave; the time is in milliseconds, to the microsecond."""
    predicted = PredictedRows([Segment(micro_batch(ROWS), 1, 2)], ["an-id"])
    assert json.loads(single_answer(MODEL, ROWS[1], predicted, False, 0.0123456)) == {
        "prediction_id": "an-id",
        "prediction": "low",
        "confidence": 0.875,
        "out_of_distribution": False,
        "warnings": [],
        "model_name": "fake",
        "model_version": "1",
        "latency_ms": 12.346,
    }


def test_unusual_row_is_explained() -> None:
    """A warning names the feature of the row at hand."""
    predicted = PredictedRows([Segment(micro_batch(ROWS), 2, 3)], ["an-id"])
    answer = json.loads(single_answer(MODEL, ROWS[2], predicted, True, 0.001))
    assert answer["out_of_distribution"] is True
    assert answer["warnings"] == [{"field": "x", "reason": "outside the training data's range"}]
    assert answer["probabilities"] == {"low": 0.0, "high": 1.0}


def test_rows_of_several_micro_batches_keep_their_order_and_ids() -> None:
    """A batch in parts of larger micro-batches is put together row by row."""
    first, second = micro_batch([(0.0, 1.0), *ROWS[:2]]), micro_batch([ROWS[2], (0.5, 1.0), (1.0, 2.0)])
    predicted = PredictedRows([Segment(first, 1, 3), Segment(second, 0, 1)], ["id-0", "id-1", "id-2"])
    answer = json.loads(batch_answer(MODEL, ROWS, predicted, False, 0.002))
    assert [one["prediction_id"] for one in answer["predictions"]] == ["id-0", "id-1", "id-2"]
    assert [one["prediction"] for one in answer["predictions"]] == ["high", "low", "high"]
    assert [one["confidence"] for one in answer["predictions"]] == [0.75, 0.875, 1.0]
    assert [one["out_of_distribution"] for one in answer["predictions"]] == [False, False, True]
    assert answer["model_version"] == "1"
    assert answer["latency_ms"] == 2.0


@pytest.mark.parametrize("ids", [["id-0", "id-1"], ["id-0", "id-1", "id-2", "id-3"]])
def test_row_without_an_id_of_its_own_is_a_mistake_of_ours(ids: list[str]) -> None:
    """No row is answered with another's id, or with none."""
    predicted = PredictedRows([Segment(micro_batch(ROWS), 0, 3)], ids)
    with pytest.raises(ValueError, match="zip"):
        batch_answer(MODEL, ROWS, predicted, False, 0.002)
