"""The backlog is read from files alone, so that it is seen although the drainer or the database is down."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from service.prediction_log.backlog import DRAINED_FILE, Backlog, Drained, read_backlog, write_drained
from tests.service.prediction_log.child_process import names_in

NOW = 1_790_000_100.0
OLD, NEW = "01790000000000000000-aaa.spool", "01790000060000000000-bbb.spool"


@pytest.fixture
def log(tmp_path: Path) -> Path:
    """Make a prediction log with two segments, begun 100 and 40 seconds ago."""
    (tmp_path / "spool").mkdir()
    (tmp_path / "spool" / OLD).write_bytes(bytes(1000))
    (tmp_path / "spool" / NEW).write_bytes(bytes(70))
    return tmp_path


def backlog(log: Path, now: float = NOW) -> Backlog:
    """Measure it."""
    return read_backlog(log, log / "spool", now)


def test_everything_waits_before_the_first_drain(log: Path) -> None:
    """Without a note the age is that of the oldest segment."""
    assert backlog(log) == Backlog(1070, 100.0)


def test_what_is_drained_does_not_wait(log: Path) -> None:
    """Behind each offset the rest counts, since the last moment at which there was none."""
    write_drained(log, {OLD: Drained(900, NOW - 7.5), NEW: Drained(70, NOW - 50)})
    assert backlog(log) == Backlog(100, 7.5)
    write_drained(log, {OLD: Drained(1000, NOW - 7.5), NEW: Drained(60, NOW - 3)})
    assert backlog(log) == Backlog(10, 3.0)


def test_segment_that_the_note_does_not_know_waits_since_it_was_begun(log: Path) -> None:
    """A worker that has just begun is not forgotten."""
    write_drained(log, {OLD: Drained(1000, NOW - 1)})
    assert backlog(log) == Backlog(70, 40.0)


def test_nothing_waits(log: Path) -> None:
    """All drained, removed, or never there: no bytes, no age."""
    write_drained(
        log, {OLD: Drained(1000, NOW - 90), NEW: Drained(70, NOW - 90), "gone.spool": Drained(5, 0)}
    )
    assert backlog(log) == Backlog(0, 0.0)
    assert read_backlog(log, log / "nothing", NOW) == Backlog(0, 0.0)
    assert read_backlog(log / "nothing", log / "nothing", NOW) == Backlog(0, 0.0)


def test_clock_that_was_set_back_gives_no_negative_age(log: Path) -> None:
    """Age is never below 0, whatever the names say; bytes count all the same."""
    assert backlog(log, NOW - 10_000) == Backlog(1070, 0.0)


def test_segment_shorter_than_its_offset_takes_nothing_off(log: Path) -> None:
    """A note that is ahead of a file never hides the backlog of another."""
    write_drained(log, {OLD: Drained(5000, NOW)})
    assert backlog(log) == Backlog(70, 40.0)


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"{",
        b"[]",
        b"7",
        b"null",
        b"\xff\xfe",
        b'{"a.spool": 7}',
        b'{"a.spool": [1]}',
        b'{"a.spool": [null, 1]}',
        b'{"a.spool": ["x", 1]}',
        b'{"a.spool": [NaN, 1]}',
        b'{"a.spool": [Infinity, 1]}',
    ],
)
def test_note_that_makes_no_sense_is_no_note(log: Path, content: bytes) -> None:
    """Then everything waits: an alarm too many rather than one too few."""
    (log / DRAINED_FILE).write_bytes(content)
    assert backlog(log) == Backlog(1070, 100.0)


def test_note_is_replaced_whole(log: Path) -> None:
    """A reader never sees half of it, and no draft stays."""
    write_drained(log, {OLD: Drained(3, 1.5)})
    first = (log / DRAINED_FILE).stat().st_ino
    write_drained(log, {OLD: Drained(4, 2.5)})
    assert (log / DRAINED_FILE).stat().st_ino != first
    assert json.loads((log / DRAINED_FILE).read_text()) == {OLD: [4, 2.5]}
    assert names_in(log) == [DRAINED_FILE, "spool"]


def test_drafts_and_other_files_are_no_backlog(log: Path) -> None:
    """Only segments wait."""
    (log / "spool" / ".01790000000000000001-ccc").write_bytes(bytes(500))
    (log / "spool" / "readme").write_bytes(bytes(500))
    assert backlog(log).bytes == 1070


def test_foreign_segment_counts_too(log: Path) -> None:
    """A file with our ending and another name, put there by a person, is drained like any other."""
    (log / "spool" / "restored.spool").write_bytes(bytes(30))
    assert backlog(log).bytes == 1100
