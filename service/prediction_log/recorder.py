"""Gives each served row its id and writes it to the spool, before the answer leaves."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Literal

import orjson

from service.bundle.signature import Signature
from service.errors import PredictionLogFullError
from service.events import Announcer, ModelKey, PredictionLogWritten, PredictionsServed, ServedRequest
from service.prediction_log.features import has_sensitive, named_features
from service.prediction_log.ids import IdKey, IdMaker, fingerprint_of, id_texts
from service.prediction_log.records import head_start, prediction_payload
from service.prediction_log.spool import Spool

# Single rows are most of what is announced; the event is a constant.
_ONE_SPOOLED = PredictionLogWritten(1, "spooled")
FullPolicy = Literal["serve_and_count", "refuse"]


@dataclass(frozen=True, slots=True)
class RecordedVersion:
    """What the recorder needs of a version."""

    key: ModelKey
    signature: Signature
    store_features: bool


@dataclass(frozen=True, slots=True)
class _Prepared:
    fingerprint: bytes
    head_start: bytes
    bodies: Callable[[PredictionsServed], Sequence[ServedRequest]]


class Recorder:
    """Records predictions; for one thread.

    Args:
        versions: whose predictions may come.
        key: signs the ids.
        spool: where records go.
        policy: what happens when the spool cannot take a record: answer all the same and count it as
            dropped, or refuse the request.
        announcer: hears how many rows were written or dropped.
        clock: Unix seconds.
    """

    def __init__(
        self,
        versions: Sequence[RecordedVersion],
        key: IdKey,
        spool: Spool,
        policy: FullPolicy,
        announcer: Announcer,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._versions: Mapping[ModelKey, _Prepared] = {
            one.key: _Prepared(fingerprint_of(one.key), head_start(one.key), _bodies_of(one))
            for one in versions
        }
        self._ids = IdMaker(key)
        self._spool = spool
        self._policy = policy
        self._announcer = announcer
        self._clock = clock

    def __call__(self, served: PredictionsServed) -> list[str]:
        """Write one record and return the ids of its rows, in order.

        Raises:
            PredictionLogFullError: the record cannot be written, and the policy is to refuse.
        """
        version = self._versions[served.key]
        rows = len(served.distribution)
        ids = self._make_ids(version.fingerprint, served, rows)
        payload = prediction_payload(
            version.head_start, ids, served.distribution.tobytes(), served.confidences, version.bodies(served)
        )
        try:
            self._spool.append(payload)
        except PredictionLogFullError:
            is_refused = self._policy == "refuse"
            self._announcer.announce(PredictionLogWritten(rows, "refused" if is_refused else "dropped"))
            if is_refused:
                raise
        else:
            self._announcer.announce(_ONE_SPOOLED if rows == 1 else PredictionLogWritten(rows, "spooled"))
        return id_texts(ids)

    def _make_ids(self, fingerprint: bytes, served: PredictionsServed, rows: int) -> bytes:
        now = self._clock()
        if rows > 1:
            return self._ids.many(fingerprint, now, served.class_indices, served.values, served.confidences)
        # numpy's fixed price is several times that of plain numbers.
        return self._ids.one(
            fingerprint,
            now,
            None if served.class_indices is None else served.class_indices.item(),
            None if served.values is None else served.values.item(),
            None if served.confidences is None else served.confidences.item(),
        )


def _bodies_of(version: RecordedVersion) -> Callable[[PredictionsServed], Sequence[ServedRequest]]:
    """Choose what is kept of a request: its body as it came, without sensitive features, or nothing."""
    signature = version.signature
    if not version.store_features:
        return lambda served: [one._replace(body=b"") for one in served.requests]
    if not has_sensitive(signature):
        return lambda served: served.requests

    def without_sensitive(served: PredictionsServed) -> Sequence[ServedRequest]:
        # A value that must not be written is not written for a moment either.
        rows = iter(served.rows)
        return [
            one._replace(
                body=orjson.dumps(
                    {"batch": [named_features(signature, row) for row in islice(rows, one.rows)]}
                )
                if served.rows
                else b""
            )
            for one in served.requests
        ]

    return without_sensitive
