"""Versions, signed ids, rows and truths for tests of the prediction log's database."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from service.bundle.signature import ClassLabel, Feature, Signature
from service.events import ModelKey
from service.prediction_log.consistency import find_differences
from service.prediction_log.database import Database
from service.prediction_log.ids import IdMaker, fingerprint_of, id_key, id_texts
from service.prediction_log.reader import LogReader
from service.prediction_log.schema import PredictionRow
from service.prediction_log.store import Store
from service.prediction_log.totals import Totals
from service.prediction_log.truth_rules import ArrivedTruth, GroundTruth, JudgedTruth, json_text
from service.prediction_log.versions import KnownVersion

DAY = 86_400.0
NOON = 20_000 * DAY + 43_200.0
"""The time at which most rows of the tests were predicted: the middle of day 20000."""
WRITER = "writer-1"
_MAKER = IdMaker(id_key(bytes(range(32))))


def known_version(
    name: str, classes: tuple[ClassLabel, ...] | None, *, version: str = "1", **changes: Any
) -> KnownVersion:
    """Make a version of a model with one feature; `classes` is None for regression."""
    kinds = {2: "binary"}
    task = "regression" if classes is None else kinds.get(len(classes), "multiclass")
    signature = Signature.model_validate(
        {
            "task": task,
            "input": "tabular",
            "features": (Feature(name="size", type="number"),),
            "classes": classes,
        }
    )
    fields: dict[str, Any] = {
        "has_confidence": classes is not None,
        "target_stddev": 1.0,
        "store_features": True,
    }
    return KnownVersion(ModelKey(name, version), signature, **(fields | changes))


TREES = known_version("trees", ("ash", "birch", "cedar"))
LOANS = known_version("loans", (False, True))
PRICES = known_version("prices", None, target_stddev=4.0)


class Shelf:
    """The versions that are known.

    Args:
        versions: all of them; more may be added.
    """

    def __init__(self, *versions: KnownVersion) -> None:
        self.versions = list(versions)

    def find(self, fingerprint: bytes) -> KnownVersion | None:
        """Return the version with this fingerprint, or None."""
        return next((one for one in self.versions if fingerprint_of(one.key) == fingerprint), None)


SHELF = Shelf(TREES, LOANS, PRICES)


def prediction_id(
    version: KnownVersion = TREES,
    predicted: float = 0,
    *,
    at: float = NOON,
    confidence: float | None = 0.9,
) -> str:
    """Sign an id; `predicted` is a class index, or the number that a regression predicted."""
    is_class = version.signature.classes is not None
    raw = _MAKER.one(
        fingerprint_of(version.key),
        at,
        int(predicted) if is_class else None,
        None if is_class else float(predicted),
        confidence if version.has_confidence else None,
    )
    return id_texts(raw)[0]


def many_ids(count: int, version: KnownVersion = TREES, at: float = NOON) -> list[str]:
    """Sign ids of a classification model, all of one moment and of the first class."""
    return [prediction_id(version, at=at) for _ in range(count)]


def row(text: str, **changes: Any) -> PredictionRow:
    """Make a row of the model `trees`."""
    fields: dict[str, Any] = {
        "predicted_timestamp": NOON,
        "model_name": "trees",
        "model_version": "1",
        "prediction": '"ash"',
        "confidence": 0.9,
        "out_of_distribution": None,
        "features": '{"size":1.5}',
        "request_id": "request-1",
        "caller": "alice",
    }
    return PredictionRow(text, **(fields | changes))


def truth(
    text: str, value: GroundTruth = "ash", revision: int = 0, *, received: float = NOON + 600.0
) -> ArrivedTruth:
    """Make a truth that arrived ten minutes after its prediction."""
    return ArrivedTruth(text, value, revision, received, "bob")


def log_predictions(store: Store, rows: Sequence[PredictionRow]) -> int:
    """Insert rows as the drainer does; return how many were new."""
    with store.transaction() as transaction:
        return transaction.insert_predictions(rows)


def post(
    store: Store, truths: Sequence[ArrivedTruth], shelf: Shelf = SHELF, writer: str = WRITER
) -> list[JudgedTruth]:
    """Take truths in as the drainer does: rows and totals in one transaction."""
    totals = store.load(writer).totals
    with store.transaction() as transaction:
        judged = transaction.receive_truths(truths, shelf)
        for one in judged:
            totals.add_truth(one)
        transaction.save_totals(writer, totals.take_changed())
    return judged


def results(judged: Sequence[JudgedTruth]) -> list[str]:
    """Return what became of each truth."""
    return [one.result for one in judged]


def counted(totals: Totals, version: KnownVersion = TREES) -> float:
    """Return how many truths of a version count."""
    return totals.versions[version.key].cells.get(("ground_truth", "counted"), 0)


@contextlib.contextmanager
def opened(target: Path | str) -> Iterator[Store]:
    """Open a store and close it."""
    store = Store.open(target)
    try:
        yield store
    finally:
        store.close()


@contextlib.contextmanager
def reading(target: Path | str) -> Iterator[LogReader]:
    """Open a reader and close it."""
    reader = LogReader(target)
    try:
        yield reader
    finally:
        reader.close()


def differences(target: Path | str) -> list[str]:
    """Compare totals and truths as anybody may: on a connection of its own."""
    database = Database(target, read_only=True)
    try:
        return find_differences(database)
    finally:
        database.close()


def features_text(count: int) -> str:
    """Write features with some bytes of their own, which no compression makes small."""
    return json_text({"text": os.urandom(count).hex()})
