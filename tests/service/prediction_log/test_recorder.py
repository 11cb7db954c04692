"""Each row has its id, and is in the spool before the answer leaves."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from service.bundle.signature import Feature, Signature
from service.errors import PredictionLogFullError
from service.events import NOT_JUDGED, ModelKey, PredictionLogWritten, PredictionsServed
from service.prediction_log.features import features_of_body
from service.prediction_log.ids import ID_BYTES, IdReader, fingerprint_of, id_key, id_texts
from service.prediction_log.recorder import FullPolicy, RecordedVersion
from service.prediction_log.recorder import Recorder as PredictionRecorder
from service.prediction_log.records import PredictionRecord, read_payload
from service.prediction_log.spool import Spool
from tests.fakes import Recorder, make_request
from tests.service.prediction_log.child_process import spooled

KEY = id_key(bytes(range(32)))
READER = IdReader([KEY])
NOW = 1_790_000_123.45
PLAIN, GUARDED, BARE = ModelKey("plain", "1"), ModelKey("guarded", "1"), ModelKey("bare", "2")
FEATURES = (Feature(name="area", type="number"), Feature(name="rooms", type="integer", nullable=True))
SECRET = Feature(name="income", type="number", sensitive=True)


def signature(*features: Feature) -> Signature:
    """A classifier, though nothing here looks at its classes."""
    return Signature(task="binary", input="tabular", classes=("no", "yes"), features=features)


VERSIONS = (
    RecordedVersion(PLAIN, signature(*FEATURES), store_features=True),
    RecordedVersion(GUARDED, signature(FEATURES[0], SECRET, FEATURES[1]), store_features=True),
    RecordedVersion(BARE, signature(*FEATURES), store_features=False),
)


@pytest.fixture
def recorder() -> Recorder:
    """Hear what was written."""
    return Recorder().listen(PredictionLogWritten)


@pytest.fixture
def spool(tmp_path: Path) -> Iterator[Spool]:
    """Open a small spool."""
    made = Spool(tmp_path, max_bytes=1_000_000, segment_bytes=100_000, sync_seconds=3600.0)
    made.open()
    yield made
    made.close()


def make(spool: Spool, recorder: Recorder, policy: FullPolicy = "serve_and_count") -> PredictionRecorder:
    """Make the recorder of three versions."""
    return PredictionRecorder(VERSIONS, KEY, spool, policy, recorder.announcer, lambda: NOW)


def served(key: ModelKey = PLAIN, count: int = 1, **changes: Any) -> PredictionsServed:
    """Serve rows of one request that is long enough to be told."""
    values: dict[str, Any] = {
        "rows": [(1.5 + index, index) for index in range(count)],
        "class_indices": np.arange(count, dtype=np.intp) % 2,
        "values": None,
        "confidences": np.linspace(0.5, 1.0, count),
        "distribution": np.zeros(count, dtype=np.int8),
        "requests": [make_request(count, body=b'{"batch":[[1.5,0]]}')],
    }
    return PredictionsServed(key, **(values | changes))


def records(tmp_path: Path) -> list[PredictionRecord]:
    """Read the spool."""
    found = [read_payload(payload) for payload in spooled(tmp_path)]
    assert all(isinstance(one, PredictionRecord) for one in found)
    return found  # type: ignore[return-value]  # just asserted


def test_one_record_holds_what_was_served(tmp_path: Path, spool: Spool, recorder: Recorder) -> None:
    """The ids that are returned are those in the spool; all else is kept as it came."""
    event = served(count=3, distribution=np.array([0, 1, 3], dtype=np.int8))
    ids = make(spool, recorder)(event)
    (record,) = records(tmp_path)
    assert id_texts(record.ids) == ids
    assert record.key == PLAIN
    assert record.distribution == bytes([0, 1, 3])
    assert record.confidences is not None
    assert record.confidences.tolist() == [0.5, 0.75, 1.0]
    assert list(record.requests) == list(event.requests)
    assert recorder.events == [PredictionLogWritten(3, "spooled")]


@pytest.mark.parametrize("has_confidence", [True, False])
@pytest.mark.parametrize("is_regression", [True, False])
def test_ids_of_one_row_and_of_many_say_the_same(
    spool: Spool, recorder: Recorder, is_regression: bool, has_confidence: bool
) -> None:
    """A row served alone and in company has an id of the same content."""
    content: dict[str, Any] = {
        "class_indices": None if is_regression else np.array([1, 0, 1], dtype=np.intp),
        "values": np.array([1.25, -7e300, 0.1]) if is_regression else None,
        "confidences": np.array([0.5, 0.97, 1.0]) if has_confidence else None,
    }
    record = make(spool, recorder)
    many = [READER.read(text) for text in record(served(count=3, **content))]
    for index, one in enumerate(many):
        part: dict[str, Any] = {
            name: None if value is None else value[index : index + 1] for name, value in content.items()
        }
        (text,) = record(served(**part))
        single = READER.read(text)
        assert single.raw[:24] == one.raw[:24]
        assert single.raw[24:32] != one.raw[24:32]
        assert single.fingerprint == fingerprint_of(PLAIN)
        assert single.timestamp == NOW
        if is_regression:
            assert single.value == content["values"][index]
        else:
            assert single.class_index == content["class_indices"][index]
        assert (single.confidence is None) == (not has_confidence)


def features(record: PredictionRecord, key: ModelKey) -> list[str | None]:
    """Read the features of all requests of a record."""
    (version,) = [one for one in VERSIONS if one.key == key]
    return [
        text for one in record.requests for text in features_of_body(one.body, version.signature, one.rows)
    ]


def test_body_is_kept_as_it_came(tmp_path: Path, spool: Spool, recorder: Recorder) -> None:
    """Without sensitive features the bytes of the client are copied, not parsed."""
    bodies = [b'{ "features" : [1.5, 2] }', b'{"batch":[[1.5,2],{"area":3}]}']
    requests = [make_request(1, body=bodies[0]), make_request(2, request_id="request-2", body=bodies[1])]
    make(spool, recorder)(served(count=3, requests=requests))
    (record,) = records(tmp_path)
    assert [one.body for one in record.requests] == bodies
    assert [one.request_id for one in record.requests] == ["request-1", "request-2"]
    assert features(record, PLAIN) == ['{"area":1.5,"rooms":2}'] * 2 + ['{"area":3,"rooms":null}']


def test_sensitive_values_are_never_written(tmp_path: Path, spool: Spool, recorder: Recorder) -> None:
    """They are left out before the spool: no byte of them, nor their name, reaches the disk."""
    rows = [(1.5, 77123.25, 2), (2.5, 88123.25, None), (3.5, 99123.25, 1)]
    requests = [
        make_request(1, body=b'{"features":[1.5,77123.25,2]}'),
        make_request(2, body=b'{"batch":[[2.5,88123.25,null],{"income":99123.25,"area":3.5,"rooms":1}]}'),
    ]
    make(spool, recorder)(served(GUARDED, 3, rows=rows, requests=requests))
    written = b"".join(path.read_bytes() for path in tmp_path.iterdir())
    assert not any(part in written for part in (b"77123", b"88123", b"99123", b"income"))
    (record,) = records(tmp_path)
    assert features(record, GUARDED) == [
        '{"area":1.5,"rooms":2}',
        '{"area":2.5,"rooms":null}',
        '{"area":3.5,"rooms":1}',
    ]


def test_sensitive_model_without_rows(tmp_path: Path, spool: Spool, recorder: Recorder) -> None:
    """A prediction made elsewhere that came without features keeps no body, since that was not judged."""
    body = b'{"prediction":"no","latency_ms":3,"income":77123.25}'
    event = served(
        GUARDED,
        rows=[],
        requests=[make_request(1, body=body)],
        class_indices=np.array([0]),
        confidences=None,
        distribution=np.array([NOT_JUDGED], dtype=np.int8),
    )
    (text,) = make(spool, recorder)(event)
    (record,) = records(tmp_path)
    assert (record.rows, record.confidences, record.distribution) == (1, None, b"\xff")
    assert [one.body for one in record.requests] == [b""]
    assert READER.read(text).confidence is None


def test_features_may_be_kept_out_altogether(tmp_path: Path, spool: Spool, recorder: Recorder) -> None:
    """A bundle that says so has ids and outcomes in the log, and no features; requests keep their ids."""
    event = served(BARE, count=2)
    assert len(make(spool, recorder)(event)) == 2
    (record,) = records(tmp_path)
    assert [(one.request_id, one.caller, one.rows, one.body) for one in record.requests] == [
        ("request-1", "alice", 2, b"")
    ]
    assert features(record, BARE) == [None, None]
    assert event.requests[0].body != b""


def full_spool(tmp_path: Path) -> Spool:
    """Open a spool whose cap is reached."""
    (tmp_path / "00000000000000000001-a.spool").write_bytes(bytes(100))
    spool = Spool(tmp_path, max_bytes=100, segment_bytes=1000, sync_seconds=3600.0)
    spool.open()
    return spool


def test_full_spool_drops_and_counts(tmp_path: Path, recorder: Recorder) -> None:
    """By default predictions go on: they have ids, and the counter equals what is missing."""
    spool = full_spool(tmp_path)
    record = make(spool, recorder)
    ids = [*record(served(count=5)), *record(served())]
    spool.close()
    assert len({READER.read(text).raw for text in ids}) == 6
    assert recorder.events == [PredictionLogWritten(5, "dropped"), PredictionLogWritten(1, "dropped")]
    assert spooled(tmp_path) == []


def test_full_spool_refuses_where_nothing_may_be_lost(tmp_path: Path, recorder: Recorder) -> None:
    """By policy the request ends instead, counted as refused and not as dropped."""
    spool = full_spool(tmp_path)
    record = make(spool, recorder, "refuse")
    with pytest.raises(PredictionLogFullError):
        record(served(count=5))
    spool.close()
    assert recorder.events == [PredictionLogWritten(5, "refused")]
    assert spooled(tmp_path) == []


def test_ids_have_the_length_of_an_id(spool: Spool, recorder: Recorder) -> None:
    """A batch of the largest size is one record and as many different ids."""
    ids = make(spool, recorder)(served(count=1000))
    assert len(set(ids)) == 1000
    assert {len(text) for text in ids} == {60}
    assert len(b"".join(READER.read(text).raw for text in ids)) == 1000 * ID_BYTES
    assert recorder.events == [PredictionLogWritten(1000, "spooled")]
