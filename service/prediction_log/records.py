"""The records of the spool: what one write of a worker holds, and how it is read again.

A frame is the payload's length and CRC-32 (four bytes each, little-endian), then the payload. A payload
starts with its kind:

- `P`, predictions of one model version: length of the head (four bytes), the head (JSON), then n ids of 45
  bytes, n distribution codes, n confidences (float64, if the model has any), and the bodies of the requests
  one after the other. The bodies are the bytes that clients sent: the request's thread copies them, the
  drainer parses.
- `T`, truths: JSON.

There is no pickle between processes: whatever is read was checked, and is data.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import orjson
from numpy.typing import NDArray

from service.events import ModelKey, ServedRequest
from service.prediction_log.ids import ID_BYTES

FRAME = struct.Struct("<II")
MAX_PAYLOAD_BYTES = 64 * 1024 * 1024
"""Far above the largest request; a length beyond it is damage, not data."""
_HEAD_LENGTH = struct.Struct("<I")
_PREDICTIONS, _TRUTHS = b"P", b"T"


class CorruptRecordError(Exception):
    """A payload with the right checksum is no record: written by another version, or by somebody else."""


@dataclass(frozen=True, slots=True)
class PredictionRecord:
    """Predictions of one model version: a micro-batch, or a request whose rows took several.

    Args:
        key: the version.
        ids: n ids, 45 n bytes; they also tell time, class or number.
        distribution: n codes of `service.events`, or -1 where nobody judged.
        confidences: shape (n,), or None.
        requests: whose rows these are, in order; a body may be empty (features are not kept).
    """

    key: ModelKey
    ids: bytes
    distribution: bytes
    confidences: NDArray[np.float64] | None
    requests: Sequence[ServedRequest]

    @property
    def rows(self) -> int:
        """Number of predictions."""
        return len(self.distribution)


class PostedTruth(NamedTuple):
    """One truth as it was accepted: a canonical id, a JSON scalar, a revision."""

    prediction_id: str
    ground_truth: bool | int | float | str
    revision: int


@dataclass(frozen=True, slots=True)
class TruthRecord:
    """Truths of one request.

    Args:
        received: Unix time, seconds.
        caller: name of the token's holder; empty without tokens.
        truths: in the order in which they were posted.
    """

    received: float
    caller: str
    truths: Sequence[PostedTruth]

    @property
    def rows(self) -> int:
        """Number of truths."""
        return len(self.truths)


Record = PredictionRecord | TruthRecord


def prediction_payload(
    head_start: bytes,
    ids: bytes,
    distribution: bytes,
    confidences: NDArray[np.float64] | None,
    requests: Sequence[ServedRequest],
) -> bytes:
    """Write predictions; see `PredictionRecord`.

    Args:
        head_start: of this version (`head_start`), made once.
        ids: n ids.
        distribution: n codes.
        confidences: shape (n,), or None.
        requests: whose rows these are.
    """
    heads = orjson.dumps([(one.request_id, one.caller, one.rows, len(one.body)) for one in requests])
    if confidences is None:
        head, numbers = head_start + b"false," + heads + b"]", b""
    else:
        head, numbers = head_start + b"true," + heads + b"]", confidences.tobytes()
    bodies = [one.body for one in requests]
    return b"".join((_PREDICTIONS, _HEAD_LENGTH.pack(len(head)), head, ids, distribution, numbers, *bodies))


def head_start(key: ModelKey) -> bytes:
    """Write the part of a head that all records of a version share."""
    return b"[" + orjson.dumps(tuple(key)) + b","


def truth_payload(record: TruthRecord) -> bytes:
    """Write truths."""
    return _TRUTHS + orjson.dumps((record.received, record.caller, [tuple(truth) for truth in record.truths]))


def framed(payload: bytes) -> bytes:
    """Put length and checksum before a payload."""
    return FRAME.pack(len(payload), zlib.crc32(payload)) + payload


def read_payload(payload: bytes) -> Record:
    """Read a payload.

    Raises:
        CorruptRecordError: it is none.
    """
    try:
        if payload[:1] == _PREDICTIONS:
            return _read_predictions(payload)
        if payload[:1] == _TRUTHS:
            received, caller, truths = orjson.loads(payload[1:])
            return TruthRecord(float(received), str(caller), [PostedTruth(*truth) for truth in truths])
    except (ValueError, TypeError, LookupError, struct.error) as error:
        raise CorruptRecordError(str(error)) from error
    raise CorruptRecordError(f"unknown kind {payload[:1]!r}")


def read_frames(data: bytes) -> Iterator[tuple[bytes, int]]:
    """Give each whole payload at the start of some bytes, with the place where the next frame begins.

    It ends at the first frame that is cut short or fails its checksum; whether more of it is still to come,
    or it never will be whole, the caller knows.
    """
    position = 0
    while position + FRAME.size <= len(data):
        length, checksum = FRAME.unpack_from(data, position)
        end = position + FRAME.size + length
        if not 0 < length <= MAX_PAYLOAD_BYTES or end > len(data):
            return
        payload = data[position + FRAME.size : end]
        if zlib.crc32(payload) != checksum:
            return
        yield payload, end
        position = end


def _read_predictions(payload: bytes) -> PredictionRecord:
    (length,) = _HEAD_LENGTH.unpack_from(payload, 1)
    start = 1 + _HEAD_LENGTH.size
    key, has_confidences, heads = orjson.loads(payload[start : start + length])
    rows = sum(head[2] for head in heads)
    position = start + length

    def take(count: int) -> bytes:
        nonlocal position
        part = payload[position : position + count]
        if len(part) != count:
            raise ValueError("is shorter than its head says")
        position += count
        return part

    ids, distribution = take(ID_BYTES * rows), take(rows)
    confidences = np.frombuffer(take(8 * rows), dtype=np.float64) if has_confidences else None
    requests = [
        ServedRequest(request_id, caller, rows_of_it, take(size))
        for request_id, caller, rows_of_it, size in heads
    ]
    return PredictionRecord(ModelKey(*key), ids, distribution, confidences, requests)
