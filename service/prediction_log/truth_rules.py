"""What becomes of a ground truth: counted, duplicate, conflict, revised, or of an unknown version.

The first truth of an id counts. The same value again is a duplicate, another value a conflict, unless its
revision is higher: then it replaces the value, and moves no counter but its own. A truth of a version that
nobody knows is kept, and does not stand in the way of one that comes when the version is known. These rules
know no database: the store asks them, with the row that it holds locked.
"""

from __future__ import annotations

import math
from base64 import urlsafe_b64decode
from dataclasses import dataclass
from typing import NamedTuple, Protocol

import orjson

from service.events import OTHER_MODEL, ModelKey
from service.prediction_log.ids import PredictionId, parse_id
from service.prediction_log.outcomes import Cells, TruthResult, counted_cells
from service.prediction_log.versions import KnownVersion

UNKNOWN_VERSION = ModelKey("", "")
"""Name and version of a stored truth whose version is unknown."""
GroundTruth = bool | int | float | str


class ArrivedTruth(NamedTuple):
    """One truth out of the spool; the signature of its id was checked when it was accepted.

    Args:
        prediction_id: 60 characters.
        ground_truth: the JSON value.
        revision: 0 or more.
        received_timestamp: Unix seconds.
        caller: name of the token's holder; empty without tokens.
    """

    prediction_id: str
    ground_truth: GroundTruth
    revision: int
    received_timestamp: float
    caller: str


class StoredTruth(NamedTuple):
    """A row of the table `ground_truths`, its columns in their order.

    Args:
        prediction_id: primary key.
        predicted_timestamp: from the id, Unix seconds.
        model_name: empty if the version is unknown.
        model_version: empty if the version is unknown.
        received_timestamp: when the newest accepted revision arrived, Unix seconds.
        ground_truth: JSON of the newest accepted revision; None once its day was pruned.
        first_ground_truth: JSON of the value that counted, if a revision replaced it.
        revision: of `ground_truth`.
        caller: who posted it.
        result: `counted` or `unknown_version`.
    """

    prediction_id: str
    predicted_timestamp: float
    model_name: str
    model_version: str
    received_timestamp: float
    ground_truth: str | None
    first_ground_truth: str | None
    revision: int
    caller: str
    result: str


@dataclass(frozen=True, slots=True)
class JudgedTruth:
    """What became of one truth.

    Args:
        result: its name in `ml_ground_truth_total`.
        key: the version whose counters move; OTHER_MODEL if it is unknown.
        cells: what it adds to them.
        timestamp: when it was received, Unix seconds.
    """

    result: TruthResult
    key: ModelKey
    cells: Cells
    timestamp: float


class Versions(Protocol):
    """Finds a version by the fingerprint in an id."""

    def find(self, fingerprint: bytes) -> KnownVersion | None:
        """Return the version, or None."""


def json_text(value: object) -> str:
    """Write a class label, a number or features as the log's tables hold them."""
    return orjson.dumps(value).decode()


def read_stored_id(text: str) -> PredictionId:
    """Read an id whose signature was checked before."""
    return parse_id(urlsafe_b64decode(text))


class Judge:
    """Applies the rules.

    Args:
        versions: the versions that are known.
        keys_deleted_before: keys of predictions before this Unix time may be gone, so that nobody can tell
            whether their truths were counted.
    """

    def __init__(self, versions: Versions, keys_deleted_before: float = -math.inf) -> None:
        self._versions = versions
        self._keys_deleted_before = keys_deleted_before

    def first(self, truth: ArrivedTruth) -> tuple[StoredTruth | None, JudgedTruth]:
        """Judge a truth whose id has no row yet; give the row that it makes, None if it must not have one."""
        prediction = read_stored_id(truth.prediction_id)
        version = self._versions.find(prediction.fingerprint)
        if prediction.timestamp < self._keys_deleted_before:
            return None, _judged("invalid", OTHER_MODEL if version is None else version.key, truth)
        cells = None
        if version is not None:
            cells = counted_cells(version, prediction, truth.ground_truth, truth.received_timestamp)
        if version is None or cells is None:
            return _row(truth, prediction, UNKNOWN_VERSION), _judged("unknown_version", OTHER_MODEL, truth)
        judged = JudgedTruth("counted", version.key, cells, truth.received_timestamp)
        return _row(truth, prediction, version.key), judged

    def next(self, stored: StoredTruth, truth: ArrivedTruth) -> tuple[StoredTruth, JudgedTruth]:
        """Judge a truth whose id has a row; give the row as it shall be."""
        if stored.result == "unknown_version":
            row, judged = self.first(truth)
            is_older = judged.result != "counted" and truth.revision < stored.revision
            return stored if row is None or is_older else row, judged
        key = ModelKey(stored.model_name, stored.model_version)
        if stored.ground_truth is None:
            return stored, _judged("duplicate", key, truth)
        if truth.revision > stored.revision:
            return _revised(stored, truth), _judged("revised", key, truth)
        known = (stored.ground_truth, stored.first_ground_truth or stored.ground_truth)
        is_same = any(is_same_truth(orjson.loads(text), truth.ground_truth) for text in known)
        return stored, _judged("duplicate" if is_same else "conflict", key, truth)


def _judged(result: TruthResult, key: ModelKey, truth: ArrivedTruth) -> JudgedTruth:
    return JudgedTruth(result, key, {("ground_truth", result): 1}, truth.received_timestamp)


def _row(truth: ArrivedTruth, prediction: PredictionId, key: ModelKey) -> StoredTruth:
    return StoredTruth(
        prediction_id=truth.prediction_id,
        predicted_timestamp=prediction.timestamp,
        model_name=key.model_name,
        model_version=key.model_version,
        received_timestamp=truth.received_timestamp,
        ground_truth=json_text(truth.ground_truth),
        first_ground_truth=None,
        revision=truth.revision,
        caller=truth.caller,
        result="unknown_version" if key == UNKNOWN_VERSION else "counted",
    )


def _revised(stored: StoredTruth, truth: ArrivedTruth) -> StoredTruth:
    return stored._replace(
        received_timestamp=truth.received_timestamp,
        ground_truth=json_text(truth.ground_truth),
        first_ground_truth=stored.first_ground_truth or stored.ground_truth,
        revision=truth.revision,
        caller=truth.caller,
    )


def is_same_truth(known: object, posted: object) -> bool:
    """Compare two truths as JSON means them."""
    # 3 and 3.0 are one number, but true is no 1.
    return known == posted and isinstance(known, bool) == isinstance(posted, bool)
