"""From the spool to the database: once, whatever ends in between."""

from __future__ import annotations

import contextlib
import json
import sqlite3
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from service.bundle.loader import describe_bundle
from service.errors import StoreRefusedError, StoreUnavailableError
from service.events import Announcer, ModelKey, PredictionsServed, ServedRequest
from service.prediction_log import drain as drain_module
from service.prediction_log.backlog import Backlog, read_backlog
from service.prediction_log.consistency import find_differences
from service.prediction_log.drain import DAMAGED_FOLDER, REJECTED_FILE, Drain, ShowTotals
from service.prediction_log.ids import id_key
from service.prediction_log.recorder import RecordedVersion, Recorder
from service.prediction_log.records import PostedTruth, TruthRecord, read_frames, read_payload, truth_payload
from service.prediction_log.spool import SPOOL_FOLDER, Spool
from service.prediction_log.store import Store
from service.prediction_log.totals import RECORDS, VersionTotals
from service.prediction_log.transaction import Transaction
from service.prediction_log.versions import KnownVersions
from tests.builders import NUMBERS, VERSION, bundle_dir

KEY = ModelKey(NUMBERS, VERSION)
ROW = [1.5, 2.5, 3.5]


class Worker:
    """A worker's end of the log: records predictions and truths."""

    def __init__(self, log_dir: Path, segment_bytes: int = 1 << 20) -> None:
        self.spool = Spool(
            log_dir / SPOOL_FOLDER, max_bytes=1 << 30, segment_bytes=segment_bytes, sync_seconds=60.0
        )
        self.spool.open()
        description = describe_bundle(bundle_dir() / NUMBERS / VERSION)
        version = RecordedVersion(KEY, description.signature, store_features=True)
        announcer = Announcer(lambda name, error: pytest.fail(f"{name}: {error}"))
        self.names = [feature.name for feature in description.signature.features]
        self.classes = description.signature.classes or ()
        self._record = Recorder(
            [version], id_key(bytes(range(32))), self.spool, "serve_and_count", announcer, lambda: 1e9
        )

    def predict(self, rows: int = 1, class_index: int = 0) -> list[str]:
        """Record one request of so many rows; give their ids."""
        body = json.dumps({"batch": [ROW] * rows}).encode()
        served = PredictionsServed(
            KEY,
            [tuple(ROW)] * rows,
            np.full(rows, class_index, dtype=np.intp),
            None,
            np.full(rows, 0.75),
            np.zeros(rows, dtype=np.int8),
            [ServedRequest("request-7", "alice", rows, body)],
        )
        return self._record(served)

    def tell(
        self, prediction_id: str, class_index: int = 0, revision: int = 0, received: float = 1e9 + 60
    ) -> None:
        """Record one truth."""
        label = self.classes[class_index]
        record = TruthRecord(received, "bob", [PostedTruth(prediction_id, label, revision)])
        self.spool.append(truth_payload(record))


@pytest.fixture
def worker(tmp_path: Path) -> Iterator[Worker]:
    """Run a worker's end."""
    made = Worker(tmp_path)
    yield made
    made.spool.close()


class Shown:
    """What the exporter was told last."""

    def __init__(self) -> None:
        self.totals: dict[ModelKey, VersionTotals] = {}

    def __call__(self, changed: Mapping[ModelKey, VersionTotals]) -> None:
        """Keep a copy."""
        self.totals |= {key: VersionTotals(dict(one.cells), one.last_counted) for key, one in changed.items()}

    def cell(self, key: ModelKey, *cell: str) -> float:
        """Return one number."""
        return self.totals[key].cells[cell]


@pytest.fixture
def shown() -> Shown:
    """Hear of totals."""
    return Shown()


@pytest.fixture
def drain(tmp_path: Path, shown: Shown) -> Iterator[Drain]:
    """Drain into an SQLite file."""
    made = new_drain(tmp_path, shown)
    yield made
    made.close()


def new_drain(tmp_path: Path, shown: ShowTotals) -> Drain:
    """Make a drain as a new process would."""
    database = tmp_path / "predictions.db"
    return Drain(tmp_path, "writer", lambda: Store.open(database), KnownVersions(bundle_dir()), shown)


def rows_of(tmp_path: Path, query: str) -> list[tuple[Any, ...]]:
    """Ask the database."""
    with contextlib.closing(sqlite3.connect(tmp_path / "predictions.db")) as connection:
        return connection.execute(query).fetchall()


def stored(tmp_path: Path) -> dict[str, str | None]:
    """Give the ids of all predictions with their truths."""
    joined = "predictions LEFT JOIN ground_truths USING (prediction_id)"
    return dict(rows_of(tmp_path, f"SELECT prediction_id, ground_truth FROM {joined}"))


def assert_consistent(drain: Drain) -> None:
    """Totals are the truths."""
    assert not find_differences(drain.store.database)


def test_predictions_and_truths_arrive_joined(
    tmp_path: Path, worker: Worker, drain: Drain, shown: Shown
) -> None:
    """A truth may even come before its prediction; totals are told after the commit."""
    first, second, third = worker.predict(3)
    worker.tell(first, 0)
    worker.tell(second, 1)
    worker.tell(first, 0)
    assert drain.step() is False
    labels = [json.dumps(label) for label in worker.classes]
    assert stored(tmp_path) == {first: labels[0], second: labels[1], third: None}
    assert shown.cell(KEY, "ground_truth", "counted") == 2
    assert shown.cell(KEY, "ground_truth", "duplicate") == 1
    assert shown.cell(RECORDS, "records", "stored") == 6
    assert_consistent(drain)


def test_first_truth_counts_whichever_worker_got_it(
    tmp_path: Path, worker: Worker, drain: Drain, shown: Shown
) -> None:
    """Segments are read one after the other, but the truth that came first is judged first."""
    (first,) = worker.predict()
    other = Worker(tmp_path)
    other.tell(first, 0, received=1e9 + 60)
    worker.tell(first, 1, received=1e9 + 61)
    drain.step()
    other.spool.close()
    assert stored(tmp_path) == {first: json.dumps(worker.classes[0])}
    assert shown.cell(KEY, "ground_truth", "conflict") == 1
    assert_consistent(drain)


def test_rows_hold_what_the_request_held(tmp_path: Path, worker: Worker, drain: Drain) -> None:
    """Features by name, who asked, and by which request."""
    worker.predict(1, class_index=2)
    drain.step()
    ((prediction, features, request_id, caller, confidence),) = rows_of(
        tmp_path, "SELECT prediction, features, request_id, caller, confidence FROM predictions"
    )
    assert prediction == json.dumps(worker.classes[2])
    assert json.loads(features) == dict(zip(worker.names, ROW, strict=True))
    assert (request_id, caller, confidence) == ("request-7", "alice", 0.75)


def test_every_cell_exists_before_the_first_truth(drain: Drain, shown: Shown) -> None:
    """A version on disk is shown at 0, else its first truth would be invisible."""
    drain.step()
    assert shown.cell(KEY, "ground_truth", "counted") == 0
    assert shown.cell(RECORDS, "records", "corrupt") == 0
    assert ModelKey("regression", VERSION) in shown.totals


def test_offsets_survive_the_process(tmp_path: Path, worker: Worker, drain: Drain, shown: Shown) -> None:
    """A new drainer takes up where the last commit left off, with its totals."""
    (first,) = worker.predict()
    worker.tell(first)
    drain.step()
    drain.close()
    (second,) = worker.predict()
    worker.tell(second)
    again = new_drain(tmp_path, shown)
    again.step()
    assert set(stored(tmp_path)) == {first, second}
    assert shown.cell(KEY, "ground_truth", "counted") == 2
    assert shown.cell(RECORDS, "records", "stored") == 4
    assert_consistent(again)
    again.close()


def test_first_of_what_is_shown_is_everything(tmp_path: Path, worker: Worker, drain: Drain) -> None:
    """Whoever shows totals drops then what is left of others: given a part, it would drop ours."""
    (first,) = worker.predict()
    worker.tell(first)
    drain.step()
    drain.close()
    calls: list[set[ModelKey]] = []
    again = new_drain(tmp_path, lambda totals: calls.append(set(totals)))
    again.step()
    assert {KEY, RECORDS, ModelKey("regression", VERSION)} <= calls[0]
    again.close()


def test_live_segment_stays_and_an_ended_one_goes(tmp_path: Path, worker: Worker, drain: Drain) -> None:
    """A file is removed once nobody writes to it and all of it is stored, its offset with it."""
    worker.predict()
    drain.step()
    assert len(list((tmp_path / SPOOL_FOLDER).iterdir())) == 1
    worker.spool.close()
    drain.step()
    assert not list((tmp_path / SPOOL_FOLDER).iterdir())
    assert not drain.store.load("writer").offsets


def test_large_backlog_takes_several_transactions(
    tmp_path: Path, drain: Drain, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Segments are read in the order in which they were begun, a bounded number of rows at a time."""
    monkeypatch.setattr(drain_module, "BATCH_ROWS", 10)
    worker = Worker(tmp_path, segment_bytes=1000)
    ids = [one for _ in range(12) for one in worker.predict(4)]
    assert len(list((tmp_path / SPOOL_FOLDER).iterdir())) > 3
    steps = 0
    while drain.step():
        steps += 1
    assert steps >= 3
    assert set(stored(tmp_path)) == set(ids)
    worker.spool.close()


def test_backlog_and_lag_are_seen_from_outside(tmp_path: Path, worker: Worker, drain: Drain) -> None:
    """What waits is counted in bytes by file sizes alone; nothing waits after a step."""
    drain.step()
    worker.predict(5)
    waiting = read_backlog(tmp_path, tmp_path / SPOOL_FOLDER, now=4e9)
    assert waiting.bytes > 5 * 45
    assert waiting.lag_seconds > 0
    drain.step()
    assert read_backlog(tmp_path, tmp_path / SPOOL_FOLDER, now=4e9) == Backlog(0, 0.0)


def test_torn_end_of_a_dead_worker_is_kept_aside(
    tmp_path: Path, worker: Worker, drain: Drain, shown: Shown
) -> None:
    """Whole records before it are stored, the rest is counted once and kept for a person."""
    (first,) = worker.predict()
    worker.spool.close()
    (segment,) = (tmp_path / SPOOL_FOLDER).iterdir()
    with segment.open("ab") as file:
        file.write(b"\x40\x00\x00\x00torn")
    drain.step()
    drain.step()
    assert set(stored(tmp_path)) == {first}
    assert shown.cell(RECORDS, "records", "corrupt") == 1
    assert [path.name for path in (tmp_path / DAMAGED_FOLDER).iterdir()] == [segment.name]
    assert not list((tmp_path / SPOOL_FOLDER).iterdir())


def test_unfinished_record_of_a_live_worker_is_waited_for(
    tmp_path: Path, worker: Worker, drain: Drain, shown: Shown
) -> None:
    """A frame that is not whole yet is no damage while its worker lives."""
    worker.predict()
    (segment,) = (tmp_path / SPOOL_FOLDER).iterdir()
    whole = segment.read_bytes()
    with segment.open("ab") as file:
        file.write(whole[:20])
    drain.step()
    assert shown.cell(RECORDS, "records", "corrupt") == 0
    with segment.open("ab") as file:
        file.write(whole[20:])
    drain.step()
    # The same bytes are the same id: stored once, taken twice.
    assert len(stored(tmp_path)) == 1
    assert shown.cell(RECORDS, "records", "stored") == 2


def test_record_that_is_none_is_counted_and_kept(
    tmp_path: Path, worker: Worker, drain: Drain, shown: Shown
) -> None:
    """A right checksum around nonsense stops nothing."""
    worker.spool.append(b"Xnonsense")
    (after,) = worker.predict()
    drain.step()
    assert set(stored(tmp_path)) == {after}
    assert shown.cell(RECORDS, "records", "corrupt") == 1
    ((payload, _),) = read_frames((tmp_path / REJECTED_FILE).read_bytes())
    assert payload == b"Xnonsense"


def failing(error: Exception, at: int) -> Callable[..., None]:
    """Raise at the n-th call, once."""
    calls = 0

    def save_offset(self: Transaction, writer: str, segment: str, offset: int) -> None:
        nonlocal calls
        calls += 1
        if calls == at:
            raise error
        ORIGINAL(self, writer, segment, offset)

    return save_offset


ORIGINAL = Transaction.save_offset


def test_transaction_that_fails_is_as_if_it_had_not_been(
    tmp_path: Path, worker: Worker, drain: Drain, shown: Shown, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Rows and totals of a transaction that did not commit are neither stored nor counted; then they are."""
    (first,) = worker.predict()
    worker.tell(first)
    monkeypatch.setattr(Transaction, "save_offset", failing(StoreUnavailableError("gone"), 1))
    with pytest.raises(StoreUnavailableError):
        drain.step()
    assert shown.cell(KEY, "ground_truth", "counted") == 0
    assert not stored(tmp_path)
    drain.step()
    assert set(stored(tmp_path)) == {first}
    assert shown.cell(KEY, "ground_truth", "counted") == 1
    assert_consistent(drain)


def test_commit_whose_answer_is_lost_is_not_repeated(
    tmp_path: Path, worker: Worker, drain: Drain, shown: Shown, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A connection may break after the commit: what is in memory is read again, and nothing counts twice."""
    (first,) = worker.predict()
    worker.tell(first)
    drain.step()
    (second,) = worker.predict()
    worker.tell(second)
    monkeypatch.setattr(drain, "_show", lambda changed: (_ for _ in ()).throw(StoreUnavailableError("lost")))
    with pytest.raises(StoreUnavailableError):
        drain.step()
    monkeypatch.setattr(drain, "_show", shown)
    drain.step()
    assert set(stored(tmp_path)) == {first, second}
    assert shown.cell(KEY, "ground_truth", "counted") == 2
    assert shown.cell(KEY, "ground_truth", "duplicate") == 0
    assert shown.cell(RECORDS, "records", "stored") == 4


def test_record_that_the_database_refuses_holds_up_no_other(
    tmp_path: Path, worker: Worker, drain: Drain, shown: Shown, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each record is then tried alone; the one at fault is kept in a file and counted."""
    (first,), (bad,), (last,) = worker.predict(), worker.predict(), worker.predict()
    worker.tell(first)
    insert = Transaction.insert_predictions

    def refuse(self: Transaction, rows: list[tuple[str, ...]]) -> int:
        if any(row[0] == bad for row in rows):
            raise StoreRefusedError("a value")
        return insert(self, rows)  # type: ignore[arg-type]  # rows come as they came

    monkeypatch.setattr(Transaction, "insert_predictions", refuse)
    drain.step()
    assert set(stored(tmp_path)) == {first, last}
    assert shown.cell(RECORDS, "records", "rejected") == 1
    assert shown.cell(RECORDS, "records", "stored") == 3
    assert shown.cell(KEY, "ground_truth", "counted") == 1
    ((payload, _),) = read_frames((tmp_path / REJECTED_FILE).read_bytes())
    assert read_payload(payload).rows == 1
    drain.step()
    assert shown.cell(RECORDS, "records", "rejected") == 1
    assert_consistent(drain)


def test_database_that_cannot_be_opened(tmp_path: Path, worker: Worker, shown: Shown) -> None:
    """Nothing is lost while there is none."""

    def refuse() -> Store:
        raise StoreUnavailableError("down")

    drain = Drain(tmp_path, "writer", refuse, KnownVersions(bundle_dir()), shown)
    (first,) = worker.predict()
    with pytest.raises(StoreUnavailableError):
        drain.step()
    again = new_drain(tmp_path, shown)
    again.step()
    assert set(stored(tmp_path)) == {first}
    again.close()
