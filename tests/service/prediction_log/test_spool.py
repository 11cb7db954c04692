"""What was appended is there, whoever dies; what was refused left nothing."""

from __future__ import annotations

import errno
import fcntl
import logging
import math
import os
import resource
import signal
import stat
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from service.errors import PredictionLogFullError
from service.prediction_log import spool as spool_module
from service.prediction_log.records import FRAME, MAX_PAYLOAD_BYTES
from service.prediction_log.segments import read_segment, segment_names
from service.prediction_log.spool import Spool, spool_bytes
from tests.service.prediction_log.child_process import exit_code, fork, names_in, spooled

GIVE_UP_SECONDS = 20.0


def make_spool(folder: Path, **changes: Any) -> Spool:
    """Make a spool that neither fills nor syncs by itself within a test."""
    values: dict[str, Any] = {"max_bytes": 10_000_000, "segment_bytes": 1_000_000, "sync_seconds": 3600.0}
    return Spool(folder, **(values | changes))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Name the spool's folder, which is not there yet."""
    return tmp_path / "log" / "spool"


@pytest.fixture
def spool(folder: Path) -> Iterator[Spool]:
    """Open a spool."""
    made = make_spool(folder)
    made.open()
    yield made
    made.close()


def wait_until(condition: Callable[[], bool]) -> None:
    """Wait for what a thread does."""
    deadline = time.monotonic() + GIVE_UP_SECONDS
    while not condition():
        assert time.monotonic() < deadline, "it never happened"
        time.sleep(0.005)


def payload(number: int, size: int = 24) -> bytes:
    """Make a payload that tells its number."""
    return b"%08d" % number + os.urandom(size - 8)


def parts(folder: Path) -> list[Any]:
    """Read each segment from its start."""
    return [read_segment(folder / name, 0) for name in segment_names(folder)]


def test_everything_appended_is_read_back_after_a_sudden_end(folder: Path) -> None:
    """A process that ends without closing anything loses nothing; segments follow each other in order."""
    written = [payload(number, 24 + number * 7 % 400) for number in range(300)]

    def work() -> None:
        spool = make_spool(folder, segment_bytes=5000)
        spool.open()
        for one in written:
            spool.append(one)

    assert exit_code(fork(work)) == 0
    assert spooled(folder) == written
    assert len(segment_names(folder)) > 5
    assert {part.is_ended for part in parts(folder)} == {True}
    assert {part.is_damaged for part in parts(folder)} == {False}


def test_everything_acknowledged_is_there_after_a_kill(folder: Path) -> None:
    """Kill -9 at any moment: each record whose append had returned is read back, once and in order."""
    for round_ in range(5):
        reading, writing = os.pipe()
        place = folder / str(round_)

        def work(place: Path = place, writing: int = writing) -> None:
            spool = make_spool(place, segment_bytes=20_000, sync_seconds=0.001)
            spool.open()
            for number in range(1_000_000):
                spool.append(payload(number, 8 + number % 900))
                os.write(writing, b"%08d" % number)

        child = fork(work)
        os.close(writing)
        acknowledged = 0
        with open(reading, "rb", buffering=0) as file:  # noqa: PTH123 - a descriptor
            while acknowledged < 400 * (round_ + 1):
                assert len(file.read(8)) == 8
                acknowledged += 1
            os.kill(child, signal.SIGKILL)
            acknowledged += len(file.read()) // 8
        assert exit_code(child) == -signal.SIGKILL
        found = [int(one[:8]) for one in spooled(place)]
        assert found == list(range(len(found)))
        assert len(found) - acknowledged in {0, 1}


def test_files_are_the_owners_alone(folder: Path, spool: Spool) -> None:
    """What clients sent is closed to others, and not handed to programs that a worker starts."""
    spool.append(payload(0))
    (name,) = segment_names(folder)
    assert stat.S_IMODE((folder / name).stat().st_mode) == 0o600
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert not os.get_inheritable(spool._descriptor)


def test_idle_worker_makes_no_file(folder: Path, spool: Spool) -> None:
    """The first record opens the first segment."""
    assert segment_names(folder) == []
    assert spool_bytes(folder) == 0


def test_segment_is_full_at_its_size(folder: Path) -> None:
    """The record that reaches the size is the last of its segment."""
    spool = make_spool(folder, segment_bytes=100)
    spool.open()
    for number in range(7):
        spool.append(payload(number, 24))
    spool.close()
    assert [part.size for part in parts(folder)] == [128, 96]
    assert spool_bytes(folder) == 224
    assert [int(one[:8]) for one in spooled(folder)] == list(range(7))


def test_old_segment_ends_by_itself(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A worker with little traffic does not keep its segment for ever, so that damage in it is found."""
    monkeypatch.setattr(spool_module, "SEGMENT_MAX_SECONDS", 0.0)
    spool = make_spool(folder, sync_seconds=0.005)
    spool.open()
    spool.append(payload(0))
    wait_until(lambda: parts(folder)[0].is_ended)
    spool.append(payload(1))
    assert len(segment_names(folder)) == 2
    spool.close()


def test_lock_tells_who_lives(folder: Path) -> None:
    """A segment is somebody's while its worker lives, and nobody's once that has closed it, or died."""
    spool = make_spool(folder)
    spool.open()
    spool.append(payload(0))
    assert [part.is_ended for part in parts(folder)] == [False]
    reading, writing = os.pipe()

    def work() -> None:
        other = make_spool(folder)
        other.open()
        other.append(payload(1))
        os.write(writing, b"1")
        signal.pause()

    child = fork(work)
    os.read(reading, 1)
    assert [part.is_ended for part in parts(folder)] == [False, False]
    os.kill(child, signal.SIGKILL)
    exit_code(child)
    assert sorted(part.is_ended for part in parts(folder)) == [False, True]
    spool.close()
    assert [part.is_ended for part in parts(folder)] == [True, True]
    os.close(reading)
    os.close(writing)


def test_draft_never_shows(folder: Path, spool: Spool, monkeypatch: pytest.MonkeyPatch) -> None:
    """A segment has its lock before it has its name, else the drainer would take it for a dead worker's."""
    seen: list[tuple[list[str], int]] = []
    rename = Path.rename

    def watched(draft: Path, target: Path) -> Path:
        with draft.open("rb") as file, pytest.raises(BlockingIOError):
            fcntl.flock(file.fileno(), fcntl.LOCK_SH | fcntl.LOCK_NB)
        seen.append((segment_names(folder), spool_bytes(folder)))
        return rename(draft, target)

    monkeypatch.setattr(Path, "rename", watched)
    spool.append(payload(0))
    assert seen == [([], 0)]
    assert len(names_in(folder)) == 1


def test_segment_that_cannot_be_named_leaves_no_draft(
    folder: Path, spool: Spool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A record is refused, nothing lies about, and the next one is tried again."""

    def refuse(draft: Path, target: Path) -> Path:
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(Path, "rename", refuse)
        for number in range(3):
            with pytest.raises(PredictionLogFullError):
                spool.append(payload(number))
    assert names_in(folder) == []
    spool.append(payload(3))
    assert [int(one[:8]) for one in spooled(folder)] == [3]


def test_short_write_leaves_no_torn_record(folder: Path) -> None:
    """The kernel takes part of a record (at a limit, or a full disk): it is taken off, the rest goes on."""

    def work() -> None:
        spool = make_spool(folder)
        spool.open()
        for number in range(3):
            spool.append(payload(number, 92))
        resource.setrlimit(resource.RLIMIT_FSIZE, (350, resource.RLIM_INFINITY))
        for _ in range(2):
            with pytest.raises(PredictionLogFullError):
                spool.append(payload(9, 92))
        assert spool_bytes(folder) == 300
        spool.append(payload(3, 42))
        with pytest.raises(PredictionLogFullError):
            spool.append(payload(9, 92))
        resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
        spool.append(payload(4, 92))

    assert exit_code(fork(work)) == 0
    assert [int(one[:8]) for one in spooled(folder)] == [0, 1, 2, 3, 4]
    assert [part.size for part in parts(folder)] == [450]


def test_record_that_the_disk_refuses_leaves_nothing(
    folder: Path, spool: Spool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An error of the disk becomes ours, and the segment is as before."""
    spool.append(payload(0))

    def refuse(descriptor: int, data: bytes) -> int:
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(os, "write", refuse)
        with pytest.raises(PredictionLogFullError, match="the disk refuses: No space left on device"):
            spool.append(payload(1))
    spool.append(payload(2))
    assert [int(one[:8]) for one in spooled(folder)] == [0, 2]
    assert [part.size for part in parts(folder)] == [64]


def test_nothing_is_written_behind_a_torn_record_that_stays(
    folder: Path, spool: Spool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """If even the cut fails, the segment ends there: what comes later is in the next one, and is read."""
    spool.append(payload(0))
    write = os.write

    def refuse(descriptor: int, length: int) -> None:
        raise OSError(errno.EIO, "Input/output error")

    with monkeypatch.context() as patch:
        patch.setattr(os, "write", lambda descriptor, data: write(descriptor, data[:11]))
        patch.setattr(os, "ftruncate", refuse)
        with pytest.raises(PredictionLogFullError, match="a write was cut short"):
            spool.append(payload(1))
    spool.append(payload(2))
    spool.close()
    assert [int(one[:8]) for one in spooled(folder)] == [0, 2]
    first, second = segment_names(folder)
    assert read_segment(folder / first, 32).is_damaged
    assert not read_segment(folder / second, 0).is_damaged


def test_record_that_no_reader_would_take_is_refused(folder: Path, spool: Spool) -> None:
    """Longer than the longest frame: refused and counted now, rather than called damage later."""
    with pytest.raises(PredictionLogFullError, match="longer than"):
        spool.append(bytes(MAX_PAYLOAD_BYTES + 1))
    assert segment_names(folder) == []
    spool.append(payload(0))
    assert len(spooled(folder)) == 1


def test_cap_of_all_workers_is_reached_and_released(folder: Path) -> None:
    """Bytes of another worker count too; once the drainer has removed them there is room again."""
    other = make_spool(folder)
    other.open()
    spool = make_spool(folder, max_bytes=1000)
    spool.open()
    spool.append(payload(0))
    other.append(payload(1, 1000))
    other.close()
    wait_until(lambda: spool.is_full)
    before = spool_bytes(folder)
    with pytest.raises(PredictionLogFullError, match="reached its cap"):
        spool.append(payload(2))
    assert spool_bytes(folder) == before
    largest = max(folder.iterdir(), key=lambda path: path.stat().st_size)
    largest.unlink()
    wait_until(lambda: not spool.is_full)
    spool.append(payload(3))
    spool.close()
    assert [int(one[:8]) for one in spooled(folder)] == [0, 3]


def test_worker_gives_its_own_segment_back_when_the_cap_is_reached(folder: Path) -> None:
    """The drainer removes only what nobody writes to: a drained segment must not keep the spool full."""
    spool = make_spool(folder, max_bytes=1000)
    spool.open()
    spool.append(payload(0, 1000))
    wait_until(lambda: parts(folder)[0].is_ended)
    (folder / segment_names(folder)[0]).unlink()
    wait_until(lambda: not spool.is_full)
    spool.append(payload(1))
    assert [int(one[:8]) for one in spooled(folder)] == [1]
    spool.close()


class Disk:
    """Stands for `os.statvfs`: a disk of so many blocks of 4 KiB, all of them free."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, blocks: int) -> None:
        self.f_frsize, self.f_blocks, self.f_bavail = 4096, blocks, blocks
        monkeypatch.setattr(os, "statvfs", lambda folder: self)


@pytest.mark.parametrize(("blocks", "reserve"), [(262_144, 13_107.2), (26_214_400, 16_384)])
def test_end_of_the_disk_is_left_to_the_drainer(
    folder: Path, monkeypatch: pytest.MonkeyPatch, blocks: int, reserve: float
) -> None:
    """The least of 5 % and 64 MiB stays free, so that the database can take what was spooled."""
    disk = Disk(monkeypatch, blocks)
    spool = make_spool(folder)
    spool.open()
    disk.f_bavail = math.ceil(reserve)
    spool.append(payload(0))
    disk.f_bavail = math.ceil(reserve) - 1
    wait_until(lambda: spool.is_full)
    with pytest.raises(PredictionLogFullError, match="the end of its disk"):
        spool.append(payload(1))
    disk.f_bavail = blocks
    wait_until(lambda: not spool.is_full)
    spool.append(payload(2))
    spool.close()
    assert [int(one[:8]) for one in spooled(folder)] == [0, 2]


def test_disk_that_does_not_tell_its_size_is_no_full_one(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Some file systems say that they have no blocks at all."""
    Disk(monkeypatch, 0)
    spool = make_spool(folder)
    spool.open()
    assert not spool.is_full
    spool.close()


def test_full_spool_is_known_at_the_start(folder: Path) -> None:
    """A new worker does not first write into a spool that is full."""
    folder.mkdir(parents=True)
    (folder / "00000000000000000001-abcdef.spool").write_bytes(bytes(1000))
    spool = make_spool(folder, max_bytes=1000)
    spool.open()
    assert spool.is_full
    spool.close()


class Synced:
    """Stands for `os.fdatasync`: notes what was synced, and fails where a test says so."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.inodes: list[int] = []
        self.failing: set[int] = set()
        self._fdatasync = os.fdatasync
        monkeypatch.setattr(os, "fdatasync", self)

    def __call__(self, descriptor: int) -> None:
        """Sync, or fail as told."""
        inode = os.fstat(descriptor).st_ino
        self.inodes.append(inode)
        if inode in self.failing:
            raise OSError(errno.EIO, "Input/output error")
        self._fdatasync(descriptor)


def inodes(folder: Path) -> list[int]:
    """Give the inodes of the segments."""
    return [(folder / name).stat().st_ino for name in segment_names(folder)]


def test_records_and_their_names_are_synced(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Within the interval a segment, and once its entry in the folder, are synced; idle, nothing is."""
    synced = Synced(monkeypatch)
    spool = make_spool(folder, sync_seconds=0.005)
    spool.open()
    spool.append(payload(0))
    wait_until(lambda: len(synced.inodes) == 2)
    assert synced.inodes == [*inodes(folder), folder.stat().st_ino]
    spool.append(payload(1))
    wait_until(lambda: len(synced.inodes) == 3)
    spool._sync()
    assert synced.inodes[2:] == inodes(folder)
    spool.close()


def test_closing_brings_everything_to_the_disk(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Before a worker says that it ended, segments and their names survive a power loss."""
    synced = Synced(monkeypatch)
    spool = make_spool(folder, segment_bytes=20)
    spool.open()
    spool.append(payload(0))
    spool.append(payload(1))
    spool.close()
    assert set(synced.inodes) == {*inodes(folder), folder.stat().st_ino}


def test_failed_sync_moves_on_to_a_new_segment(
    folder: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """After an error of the disk the kernel forgets what it could not write: the rest goes elsewhere."""
    synced = Synced(monkeypatch)
    spool = make_spool(folder, sync_seconds=0.005)
    spool.open()
    spool.append(payload(0))
    synced.failing = set(inodes(folder))
    spool.append(payload(1))
    wait_until(lambda: parts(folder)[0].is_ended)
    spool.append(payload(2))
    assert len(segment_names(folder)) == 2
    assert spooled(folder)[-1][:8] == b"00000002"
    assert "could not be brought to the disk" in caplog.text
    wait_until(lambda: inodes(folder)[1] in synced.inodes)
    spool.close()


def test_folder_that_cannot_be_opened_stops_no_sync(
    folder: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """No descriptor left for a moment: the thread lives on, and syncs later what it could not."""
    synced = Synced(monkeypatch)
    open_ = os.open
    refused: list[Any] = []

    def refuse_folder(path: Any, flags: int, *rest: Any) -> int:
        if flags & os.O_DIRECTORY and not refused:
            refused.append(path)
            raise OSError(errno.EMFILE, "Too many open files")
        return open_(path, flags, *rest)

    monkeypatch.setattr(os, "open", refuse_folder)
    spool = make_spool(folder, sync_seconds=0.005)
    spool.open()
    spool.append(payload(0))
    wait_until(lambda: bool(refused))
    wait_until(lambda: folder.stat().st_ino in synced.inodes)
    spool.append(payload(1))
    spool.close()
    assert [int(one[:8]) for one in spooled(folder)] == [0, 1]
    assert "Too many open files" in caplog.text


def test_descriptor_that_cannot_be_doubled_stops_no_sync(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The same where the segment itself is to be synced."""
    synced = Synced(monkeypatch)
    dup = os.dup
    refused: list[int] = []

    def refuse_once(descriptor: int) -> int:
        if not refused:
            refused.append(descriptor)
            raise OSError(errno.EMFILE, "Too many open files")
        return dup(descriptor)

    monkeypatch.setattr(os, "dup", refuse_once)
    spool = make_spool(folder, sync_seconds=0.005)
    spool.open()
    spool.append(payload(0))
    wait_until(lambda: set(inodes(folder)) <= set(synced.inodes))
    assert refused
    spool.close()


def test_two_threads_write_whole_records(folder: Path) -> None:
    """Inference thread and event loop share the spool: each record is whole, each thread's in order."""
    spool = make_spool(folder, segment_bytes=10_000, sync_seconds=0.001)
    spool.open()
    barrier = threading.Barrier(2)

    def write(start: int) -> None:
        barrier.wait()
        for number in range(start, start + 2000):
            spool.append(payload(number, 8 + number % 100))

    threads = [threading.Thread(target=write, args=(start,)) for start in (0, 10_000)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    spool.close()
    found = [int(one[:8]) for one in spooled(folder)]
    assert [number for number in found if number < 10_000] == list(range(2000))
    assert [number for number in found if number >= 10_000] == list(range(10_000, 12_000))
    assert spool_bytes(folder) == sum(FRAME.size + 8 + number % 100 for number in found)


def test_one_thread_writes_at_a_time(folder: Path, spool: Spool, monkeypatch: pytest.MonkeyPatch) -> None:
    """While a record is written, or cut off again, no other is: its length would be wrong."""
    write, inside, most = os.write, [0], [0]

    def slow(descriptor: int, data: bytes) -> int:
        inside[0] += 1
        most[0] = max(most[0], inside[0])
        time.sleep(0.002)
        written = write(descriptor, data)
        inside[0] -= 1
        return written

    monkeypatch.setattr(os, "write", slow)
    threads = [
        threading.Thread(target=lambda: [spool.append(payload(number)) for number in range(10)])
        for _ in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert most == [1]
    assert len(spooled(folder)) == 40


def test_folder_that_is_gone_refuses_and_is_logged_once(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """A volume that went away is an answer to the caller, and one line a minute in the log."""
    spool = make_spool(tmp_path / "nowhere")
    for number in range(50):
        with pytest.raises(PredictionLogFullError, match="No such file or directory"):
            spool.append(payload(number))
    assert [record.levelno for record in caplog.records] == [logging.ERROR]
    assert str(tmp_path / "nowhere") in caplog.text


def test_closing_a_spool_that_was_never_used(folder: Path) -> None:
    """A worker that stops before its first record leaves no file; one that never opened leaves no folder."""
    make_spool(folder).close()
    assert not folder.exists()
    spool = make_spool(folder)
    spool.open()
    spool.close()
    assert names_in(folder) == []


def test_size_counts_segments_alone(folder: Path, spool: Spool) -> None:
    """Drafts and foreign files are nobody's backlog."""
    spool.append(payload(0, 92))
    (folder / ".draft").write_bytes(bytes(1000))
    (folder / "notes.txt").write_bytes(bytes(1000))
    assert spool_bytes(folder) == 100
