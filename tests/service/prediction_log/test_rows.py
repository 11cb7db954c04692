"""Records become rows: by the signature that the version has now, or without it."""

from __future__ import annotations

import json

import numpy as np
import pytest

from service.bundle.signature import Feature, Signature
from service.events import NOT_JUDGED, OUT_BY_CATEGORY, OUT_BY_NOVELTY, OUT_BY_RANGE, ModelKey, ServedRequest
from service.prediction_log.ids import IdMaker, fingerprint_of, id_key, id_texts
from service.prediction_log.records import CorruptRecordError, PostedTruth, PredictionRecord, TruthRecord
from service.prediction_log.rows import arrived_truths, prediction_rows
from service.prediction_log.truth_rules import ArrivedTruth
from service.prediction_log.versions import KnownVersion

KEY = ModelKey("flats", "2")
SIGNATURE = Signature(
    task="binary",
    input="tabular",
    classes=(False, True),
    features=(
        Feature(name="area", type="number"),
        Feature(name="owner", type="category", categories=("ann",), sensitive=True),
    ),
)


class Known:
    """One version, or none."""

    def __init__(self, signature: Signature | None = SIGNATURE, *, store_features: bool = True) -> None:
        self.version = None if signature is None else KnownVersion(KEY, signature, True, 1.0, store_features)

    def find(self, fingerprint: bytes) -> KnownVersion | None:
        """Return it."""
        return self.version if fingerprint == fingerprint_of(KEY) else None


def record(
    *requests: ServedRequest, codes: tuple[int, ...] = (), confidences: bool = True
) -> PredictionRecord:
    """Make a record of alternating classes, 0 first."""
    rows = sum(request.rows for request in requests)
    maker = IdMaker(id_key(bytes(range(32))))
    shares = np.linspace(0.5, 0.75, rows)
    ids = maker.many(fingerprint_of(KEY), 1_000_000.25, np.arange(rows) % 2, None, shares)
    distribution = np.array(codes or (0,) * rows, dtype=np.int8).tobytes()
    return PredictionRecord(KEY, ids, distribution, shares if confidences else None, requests)


def request(rows: int, content: object, request_id: str = "request-1") -> ServedRequest:
    """Make a request with this body."""
    return ServedRequest(request_id, "alice", rows, json.dumps(content).encode() if content else b"")


def test_rows_of_several_requests_keep_their_order() -> None:
    """Each row has its id, its class, its request, and its features without the sensitive one."""
    made = record(
        request(1, {"features": {"owner": "ann", "area": 70.5}}),
        request(2, {"batch": [[31, "bob"], [32, None]]}, "request-2"),
    )
    rows = prediction_rows(made, Known())
    assert [row.prediction_id for row in rows] == id_texts(made.ids)
    assert [row.prediction for row in rows] == ["false", "true", "false"]
    assert [row.confidence for row in rows] == [0.5, 0.625, 0.75]
    assert [row.features for row in rows] == ['{"area":70.5}', '{"area":31}', '{"area":32}']
    assert [row.request_id for row in rows] == ["request-1", "request-2", "request-2"]
    assert {(row.model_name, row.model_version, row.caller) for row in rows} == {("flats", "2", "alice")}
    assert {row.predicted_timestamp for row in rows} == {1_000_000.25}


def test_reasons_of_the_distribution() -> None:
    """In distribution, and not judged, have none."""
    codes = (NOT_JUDGED, 0, OUT_BY_RANGE, OUT_BY_CATEGORY, OUT_BY_NOVELTY)
    rows = prediction_rows(record(request(5, None), codes=codes), Known())
    assert [row.out_of_distribution for row in rows] == [None, None, "range", "category", "novelty"]


def test_version_that_stores_no_features() -> None:
    """Not even those that an older worker wrote."""
    rows = prediction_rows(record(request(1, {"features": [1, "ann"]})), Known(store_features=False))
    assert rows[0].features is None


def test_version_whose_bundle_is_gone_or_was_replaced() -> None:
    """The class is kept as its number; nothing raises."""
    made = record(request(2, {"batch": [[1, "ann"], [2, "ann"]]}), confidences=False)
    gone = prediction_rows(made, Known(None))
    assert [(row.prediction, row.features, row.confidence) for row in gone] == [
        ("0", None, None),
        ("1", None, None),
    ]
    smaller = SIGNATURE.model_copy(update={"classes": ("only",)})
    assert [row.prediction for row in prediction_rows(made, Known(smaller))] == ['"only"', "1"]


def test_numbers_of_a_regression() -> None:
    """Written exactly."""
    signature = SIGNATURE.model_copy(update={"task": "regression", "classes": None})
    maker = IdMaker(id_key(bytes(range(32))))
    ids = maker.many(fingerprint_of(KEY), 5.0, None, np.array([0.1, -1e300]), None)
    made = PredictionRecord(KEY, ids, bytes(2), None, [request(2, None)])
    assert [row.prediction for row in prediction_rows(made, Known(signature))] == ["0.1", "-1e+300"]


@pytest.mark.parametrize(
    "body",
    [b"{", b'{"batch": [[1, "ann"], [2, "ann"]]}', b'{"features": 5}', b'{"features": [1]}', b"7"],
)
def test_body_that_does_not_fit_is_a_corrupt_record(body: bytes) -> None:
    """It says whose."""
    made = record(ServedRequest("request-1", "", 1, body))
    with pytest.raises(CorruptRecordError, match="flats"):
        prediction_rows(made, Known())


def test_truths() -> None:
    """Each gets the time and the caller of its request."""
    posted = [PostedTruth("x", True, 0), PostedTruth("y", 2.5, 3)]
    assert arrived_truths(TruthRecord(12.5, "bob", posted)) == [
        ArrivedTruth("x", True, 0, 12.5, "bob"),
        ArrivedTruth("y", 2.5, 3, 12.5, "bob"),
    ]
