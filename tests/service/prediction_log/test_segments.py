"""Segments are read record by record, from any place, while somebody writes them or after."""

from __future__ import annotations

import fcntl
import os
from pathlib import Path

import pytest

from service.prediction_log import segments
from service.prediction_log.records import framed
from service.prediction_log.segments import read_segment, segment_created, segment_names

PAYLOADS = [b"P" * 30, b"T" * 7, b"P" * 500]
FRAMES = [framed(payload) for payload in PAYLOADS]
WHOLE = b"".join(FRAMES)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Write a segment of three records that nobody holds."""
    path = tmp_path / "00001790000123000000000-abc.spool"
    path.write_bytes(WHOLE)
    return path


def test_records_come_with_the_place_behind_them(path: Path) -> None:
    """From each such place reading goes on with the next record, and ends at the size."""
    part = read_segment(path, 0)
    assert part.payloads == [(PAYLOADS[0], 38), (PAYLOADS[1], 53), (PAYLOADS[2], 561)]
    assert (part.size, part.is_ended, part.is_damaged) == (561, True, False)
    assert read_segment(path, 38).payloads == part.payloads[1:]
    end = read_segment(path, 561)
    assert (end.payloads, end.size, end.is_damaged) == ([], 561, False)


def test_segment_with_a_writer_is_never_called_damaged(path: Path) -> None:
    """What is cut may be on its way into the file; once the writer is gone it can never become whole."""
    path.write_bytes(WHOLE[:-1])
    with path.open("ab") as writer:
        fcntl.flock(writer, fcntl.LOCK_EX | fcntl.LOCK_NB)
        part = read_segment(path, 53)
        assert (part.payloads, part.is_ended, part.is_damaged) == ([], False, False)
        writer.write(WHOLE[-1:])
        writer.flush()
        assert read_segment(path, 53).payloads == [(PAYLOADS[2], 561)]
        writer.truncate(560)
    part = read_segment(path, 53)
    assert (part.payloads, part.is_ended, part.is_damaged) == ([], True, True)


def test_good_records_before_damage_are_read_first(path: Path) -> None:
    """Damage is told once nothing good is left before it."""
    changed = bytearray(WHOLE)
    changed[60] ^= 1
    path.write_bytes(changed)
    part = read_segment(path, 0)
    assert [payload for payload, _ in part.payloads] == PAYLOADS[:2]
    assert not part.is_damaged
    assert read_segment(path, 53).is_damaged


@pytest.mark.parametrize("rest", [b"\0", bytes(7), bytes(8), bytes(4096), b"\xff" * 100])
def test_rest_that_is_no_frame_is_damage(path: Path, rest: bytes) -> None:
    """Zeros after a power loss, or anything else."""
    path.write_bytes(WHOLE + rest)
    assert len(read_segment(path, 0).payloads) == 3
    part = read_segment(path, 561)
    assert (part.payloads, part.is_damaged) == ([], True)


def test_reading_takes_no_lock_along(path: Path) -> None:
    """A reader never keeps another reader out."""
    with path.open("rb") as other:
        fcntl.flock(other, fcntl.LOCK_SH | fcntl.LOCK_NB)
        assert read_segment(path, 0).is_ended
    with path.open("ab") as writer:
        fcntl.flock(writer, fcntl.LOCK_EX | fcntl.LOCK_NB)


def test_record_longer_than_one_read_is_whole(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """However little is read at once, the first record comes, and those behind it on the next calls."""
    monkeypatch.setattr(segments, "READ_BYTES", 40)
    found, offset = [], 0
    for _ in range(3):
        part = read_segment(path, offset)
        found += [payload for payload, _ in part.payloads]
        offset = part.payloads[-1][1]
        assert not part.is_damaged
    assert found == PAYLOADS


def test_much_is_read_in_parts(tmp_path: Path) -> None:
    """A full segment does not come into memory at once, and nothing between two parts is lost."""
    path = tmp_path / "1-a.spool"
    payload = os.urandom(100_000)
    path.write_bytes(framed(payload) * 40)
    counts, offset = [], 0
    while part := read_segment(path, offset).payloads:
        counts.append(len(part))
        offset = part[-1][1]
        assert {one for one, _ in part} == {payload}
    assert sum(counts) == 40
    assert max(counts) < 40


def test_empty_segment_is_not_damaged(tmp_path: Path) -> None:
    """A worker that died between name and first record left nothing to mourn."""
    (tmp_path / "1-a.spool").touch()
    part = read_segment(tmp_path / "1-a.spool", 0)
    assert (part.payloads, part.size, part.is_ended, part.is_damaged) == ([], 0, True, False)


def test_segment_that_is_gone_is_an_error(tmp_path: Path) -> None:
    """The reader decides what that means."""
    with pytest.raises(FileNotFoundError):
        read_segment(tmp_path / "1-a.spool", 0)


def test_names_are_sorted_by_age(tmp_path: Path) -> None:
    """Drafts and other files are no segments; without a folder there are none."""
    for name in ("00000000000000000020-a.spool", "00000000000000000003-f.spool", ".00000000000000000001-b"):
        (tmp_path / name).touch()
    (tmp_path / "drained.json").touch()
    assert segment_names(tmp_path) == ["00000000000000000003-f.spool", "00000000000000000020-a.spool"]
    assert segment_names(tmp_path / "nothing") == []


@pytest.mark.parametrize(
    ("name", "seconds"),
    [("01790000123500000000-abc.spool", 1_790_000_123.5), ("notes.spool", 0.0), (".spool", 0.0)],
)
def test_name_tells_when_a_segment_was_begun(name: str, seconds: float) -> None:
    """No other file has to say it."""
    assert segment_created(name) == seconds
