"""The parts of a worker's prediction log work together, and nothing happens before it is opened."""

from __future__ import annotations

import asyncio
import stat
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from service.bundle.loader import describe_bundle
from service.errors import SettingsError
from service.events import ModelKey, PredictionLogWritten, PredictionsServed
from service.prediction_log.id_keys import read_id_keys
from service.prediction_log.ids import IdReader
from service.prediction_log.recorder import RecordedVersion
from service.prediction_log.records import PredictionRecord, TruthRecord, read_payload
from service.prediction_log.segments import read_segment, segment_names
from service.prediction_log.spool import Spool
from service.prediction_log.truth_look_up import TruthLookUp
from service.prediction_log.truth_posts import TruthPost
from service.prediction_log.worker_log import WorkerLog
from service.settings import Settings
from tests.builders import NUMBERS, VERSION, bundle_dir
from tests.fakes import Recorder, make_request
from tests.service.prediction_log.child_process import exit_code, fork, names_in, spooled

KEY = ModelKey(NUMBERS, VERSION)


def make_log(log_dir: Path, recorder: Recorder | None = None, **changes: Any) -> WorkerLog:
    """Put the log of one model together."""
    settings = Settings(bundle_dir=bundle_dir(), log_dir=log_dir, **changes)
    description = describe_bundle(bundle_dir() / NUMBERS / VERSION)
    version = RecordedVersion(KEY, description.signature, store_features=True)
    return WorkerLog(settings, (recorder or Recorder()).announcer, [version])


def served(rows: int = 1) -> PredictionsServed:
    """Serve rows of the first class."""
    zeros = np.zeros(rows, dtype=np.int8)
    classes = np.zeros(rows, dtype=np.intp)
    row = (1.5, 11.0, -2.0)
    return PredictionsServed(
        KEY, [row] * rows, classes, None, np.full(rows, 0.75), zeros, [make_request(rows)]
    )


def test_nothing_but_the_key_exists_before_it_is_opened(tmp_path: Path) -> None:
    """The arbiter puts it together before it forks: no thread, no segment, no connection."""
    make_log(tmp_path / "log")
    assert names_in(tmp_path / "log") == ["id_keys"]
    assert stat.S_IMODE((tmp_path / "log").stat().st_mode) == 0o700
    assert stat.S_IMODE((tmp_path / "log" / "id_keys").stat().st_mode) == 0o600


def test_predictions_and_truths_of_both_threads_are_spooled(tmp_path: Path) -> None:
    """Ids of both recorders are accepted by the intake, and everything is on the disk after the close."""
    recorder = Recorder().listen(PredictionLogWritten)
    log = make_log(tmp_path, recorder)
    log.open()
    assert KEY in [version.key for version in log._known.all()]
    ids = [*log.record(served(2)), *log.record_elsewhere(served())]
    posts = [TruthPost(text, "ash", 0) for text in ids]
    verdicts = asyncio.run(log.intake.take(posts, "alice"))
    assert [verdict.result for verdict in verdicts] == ["accepted"] * 3
    log.close()
    first, second, third = (read_payload(payload) for payload in spooled(tmp_path / "spool"))
    assert isinstance(first, PredictionRecord)
    assert isinstance(second, PredictionRecord)
    assert isinstance(third, TruthRecord)
    assert [one.prediction_id for one in third.truths] == ids
    assert [event.rows for event in recorder.of(PredictionLogWritten)] == [2, 1, 3]
    (name,) = segment_names(tmp_path / "spool")
    assert read_segment(tmp_path / "spool" / name, 0).is_ended


def test_workers_share_one_key_and_continue_with_it(tmp_path: Path) -> None:
    """A truth may go to any worker, and to one that started later."""
    first, second = make_log(tmp_path), make_log(tmp_path)
    first.open()
    (text,) = first.record(served())
    first.close()
    second.open()
    (verdict,) = asyncio.run(second.intake.take([TruthPost(text, "birch", 0)], ""))
    second.close()
    assert verdict.result == "accepted"
    assert len(segment_names(tmp_path / "spool")) == 2


def test_worker_works_after_a_fork(tmp_path: Path) -> None:
    """Put together in the parent, opened in children: each has its own segments, and ids never repeat."""
    log = make_log(tmp_path)

    def work() -> None:
        log.open()
        for _ in range(20):
            log.record(served())
            log.record_elsewhere(served(3))

    children = [fork(work) for _ in range(3)]
    assert [exit_code(child) for child in children] == [0, 0, 0]
    assert len(segment_names(tmp_path / "spool")) == 3
    records = [read_payload(payload) for payload in spooled(tmp_path / "spool")]
    ids = [
        record.ids[start : start + 45]
        for record in records
        if isinstance(record, PredictionRecord)
        for start in range(0, len(record.ids), 45)
    ]
    assert len(set(ids)) == len(ids) == 3 * 20 * 4


def test_given_keys_are_used_and_none_is_made(tmp_path: Path) -> None:
    """With a file of keys the first signs and all are read; a missing one stops the start."""
    keys = tmp_path / "keys"
    keys.write_text(f"{'0123456789abcdef' * 4}\n{'fedcba9876543210' * 4}\n")
    log = make_log(tmp_path / "log", id_key_file=keys)
    log.open()
    (text,) = log.record(served())
    log.close()
    assert IdReader(read_id_keys(keys)[:1]).read(text).class_index == 0
    assert "id_keys" not in names_in(tmp_path / "log")
    with pytest.raises(SettingsError, match="No such file"):
        make_log(tmp_path / "log", id_key_file=tmp_path / "nothing")


def test_old_key_is_read_while_the_new_one_signs(tmp_path: Path) -> None:
    """After a rotation truths for earlier predictions are still taken."""
    log = make_log(tmp_path)
    log.open()
    (text,) = log.record(served())
    log.close()
    keys = tmp_path / "id_keys"
    keys.write_text(f"{'0123456789abcdef' * 4}\n{keys.read_text()}")
    later = make_log(tmp_path)
    later.open()
    (new,) = later.record(served())
    verdicts = asyncio.run(later.intake.take([TruthPost(one, "ash", 0) for one in (text, new)], ""))
    later.close()
    assert [verdict.result for verdict in verdicts] == ["accepted", "accepted"]


def test_spool_is_closed_before_anything_that_may_wait(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A database that hangs must not keep records from the disk when a worker has to end."""
    closed: list[str] = []
    for part in (Spool, TruthLookUp):
        close = part.close

        def noted(self: Any, close: Any = close) -> None:
            closed.append(type(self).__name__)
            close(self)

        monkeypatch.setattr(part, "close", noted)
    log = make_log(tmp_path)
    log.open()
    log.close()
    assert closed == ["Spool", "TruthLookUp"]
