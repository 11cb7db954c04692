"""What is written is read again, and nothing else is ever taken for a record."""

from __future__ import annotations

import contextlib
import struct
import zlib
from typing import Any

import numpy as np
import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.events import ModelKey, ServedRequest
from service.prediction_log.ids import ID_BYTES
from service.prediction_log.records import (
    MAX_PAYLOAD_BYTES,
    CorruptRecordError,
    PostedTruth,
    PredictionRecord,
    Record,
    TruthRecord,
    framed,
    head_start,
    prediction_payload,
    read_frames,
    read_payload,
    truth_payload,
)

LOANS = ModelKey("loans", "7")
REQUESTS = (
    ServedRequest("request-1", "alice", 2, b'{"batch":[[1],[2]]}'),
    ServedRequest("request-2", "", 1, b""),
)


def prediction_record(**changes: Any) -> PredictionRecord:
    """Three rows of two requests."""
    values: dict[str, Any] = {
        "key": LOANS,
        "ids": bytes(range(3 * ID_BYTES)),
        "distribution": bytes([0, 2, 0xFF]),
        "confidences": np.array([0.5, 0.25, 1.0]),
        "requests": REQUESTS,
    }
    return PredictionRecord(**(values | changes))


def payload_of(record: PredictionRecord) -> bytes:
    """Write a record."""
    key = head_start(record.key)
    return prediction_payload(key, record.ids, record.distribution, record.confidences, record.requests)


def assert_same(found: Record, written: PredictionRecord) -> None:
    """Compare records; arrays have no plain equality."""
    assert isinstance(found, PredictionRecord)
    assert (found.key, found.ids, found.distribution) == (written.key, written.ids, written.distribution)
    assert list(found.requests) == list(written.requests)
    assert found.rows == written.rows
    if written.confidences is None or found.confidences is None:
        assert found.confidences is written.confidences
    else:
        assert found.confidences.tolist() == written.confidences.tolist()


@pytest.mark.parametrize("confidences", [np.array([0.5, 0.25, 1.0]), None])
def test_predictions_come_back(confidences: Any) -> None:
    """Ids, codes, confidences and each request with its bytes are as they were."""
    record = prediction_record(confidences=confidences)
    found = read_payload(payload_of(record))
    assert_same(found, record)
    assert isinstance(found, PredictionRecord)
    assert isinstance(found.key, ModelKey)
    assert all(isinstance(one, ServedRequest) for one in found.requests)


TRUTHS = (
    PostedTruth("A" * 60, "yes", 0),
    PostedTruth("B" * 60, True, 3),
    PostedTruth("C" * 60, 1, 0),
    PostedTruth("D" * 60, 1.0, 0),
    PostedTruth("E" * 60, 'ü \u2028 \\ " \0', 1_000_000),
    PostedTruth("F" * 60, 18_446_744_073_709_551_615, 0),
    PostedTruth("G" * 60, -1e-300, 0),
)


def test_truths_come_back() -> None:
    """Each value keeps its type: true is not 1, and 1 is not 1.0."""
    record = TruthRecord(1_790_000_123.25, "alice", TRUTHS)
    found = read_payload(truth_payload(record))
    assert isinstance(found, TruthRecord)
    assert (found.received, found.caller, found.rows) == (1_790_000_123.25, "alice", 7)
    assert list(found.truths) == list(TRUTHS)
    assert [type(one.ground_truth) for one in found.truths] == [type(one.ground_truth) for one in TRUTHS]
    assert all(isinstance(one, PostedTruth) for one in found.truths)


rows_and_bodies = st.lists(st.tuples(st.integers(1, 4), st.binary(max_size=30)), min_size=1, max_size=5)


@given(rows_and_bodies, st.booleans(), st.randoms(use_true_random=False))
def test_any_predictions_come_back(shape: list[tuple[int, bytes]], has_confidence: bool, random: Any) -> None:
    """Whatever the bytes of ids and bodies, each request gets its own."""
    rows = sum(count for count, _ in shape)
    record = prediction_record(
        ids=random.randbytes(rows * ID_BYTES),
        distribution=random.randbytes(rows),
        confidences=np.array([random.random() for _ in range(rows)]) if has_confidence else None,
        requests=[ServedRequest(f"id-{count}", "bob", count, body) for count, body in shape],
    )
    assert_same(read_payload(payload_of(record)), record)


def payloads(data: bytes) -> list[bytes]:
    """Read the frames at the start of some bytes."""
    return [payload for payload, _ in read_frames(data)]


def test_several_frames_follow_each_other() -> None:
    """Each payload comes with the place behind it, from where reading can go on."""
    written = [b"P" * 5, b"T", b"P" * 1000]
    data = b"".join(framed(payload) for payload in written)
    found = list(read_frames(data))
    assert [payload for payload, _ in found] == written
    assert [end for _, end in found] == [13, 22, 1030]
    assert payloads(data[13:]) == written[1:]
    assert payloads(b"") == []


@given(st.lists(st.binary(min_size=1, max_size=40), min_size=1, max_size=4), st.data())
def test_cut_or_flipped_frame_is_never_read(written: list[bytes], data: st.DataObject) -> None:
    """Frames before the damage are read; the damaged one, cut or with one changed bit, never is."""
    frames = [framed(payload) for payload in written]
    index = data.draw(st.integers(0, len(frames) - 1), "frame")
    if data.draw(st.booleans(), "cut"):
        damaged = frames[index][: data.draw(st.integers(0, len(frames[index]) - 1), "length")]
        rest: list[bytes] = []
    else:
        bit = data.draw(st.integers(0, len(frames[index]) * 8 - 1), "bit")
        changed = bytearray(frames[index])
        changed[bit // 8] ^= 1 << bit % 8
        damaged, rest = bytes(changed), frames[index + 1 :]
    assert payloads(b"".join([*frames[:index], damaged, *rest])) == written[:index]


@pytest.mark.parametrize("length", [0, MAX_PAYLOAD_BYTES + 1, 0xFFFFFFFF])
def test_length_that_no_record_has_is_damage(length: int) -> None:
    """Zeros that a file system left after a power loss have a fitting checksum, and are no record."""
    assert payloads(struct.pack("<II", length, zlib.crc32(b"")) + bytes(100)) == []


def head_of(*content: object) -> bytes:
    """Write predictions that have a head and nothing behind it."""
    head = orjson.dumps(content)
    return b"P" + struct.pack("<I", len(head)) + head


NO_RECORDS = {
    "empty": b"",
    "other kind": b"X" + bytes(30),
    "kind alone": b"P",
    "head cut": b"P\x05\0\0",
    "head longer than the payload": b"P\xff\0\0\0[1]",
    "no JSON": b"P\x02\0\0\0{{",
    "two fields": head_of(LOANS[:], True),
    "an object": b"P\x02\0\0\0{}",
    "short request": head_of(["a", "1"], False, [["request-1"]]),
    "request that is an object": head_of(["a", "1"], False, [{"rows": 1}]),
    "rows that are no number": head_of(["a", "1"], False, [["r", "c", "2", 0]]),
    "rows below 0": head_of(["a", "1"], False, [["r", "c", -2, 0]]),
    "rows and a half": head_of(["a", "1"], False, [["r", "c", 1.5, 0]]),
    "rows that are not there": head_of(["a", "1"], False, [["r", "c", 1, 0]]),
    "body that is not there": head_of(["a", "1"], False, [["r", "c", 0, 7]]),
    "key of three": head_of(["a", "1", "x"], False, []),
    "truths without JSON": b"T",
    "truths of two fields": b"T[1.5,[]]",
    "truths that are a number": b"T7",
    "truth of two fields": b'T[1.5,"alice",[["id",true]]]',
    "time that is none": b'T["noon","alice",[]]',
    "truths that are not UTF-8": b'T[1.5,"\xff",[]]',
}


@pytest.mark.parametrize("payload", NO_RECORDS.values(), ids=NO_RECORDS)
def test_payload_that_is_no_record_says_so(payload: bytes) -> None:
    """Whoever wrote it: one kind of error, which the drainer counts, and no other."""
    with pytest.raises(CorruptRecordError):
        read_payload(payload)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers(-3, 3) | st.floats(allow_nan=False) | st.text(max_size=3),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=2), inner, max_size=2),
    max_leaves=12,
)


@given(json_values, st.sampled_from("PT"), st.binary(max_size=20))
def test_any_payload_is_a_record_or_says_that_it_is_none(content: object, kind: str, rest: bytes) -> None:
    """No payload raises anything else, so that none can stop the drainer."""
    head = orjson.dumps(content)
    payload = b"P" + struct.pack("<I", len(head)) + head + rest if kind == "P" else b"T" + head
    with contextlib.suppress(CorruptRecordError):
        read_payload(payload)
