"""Each start counts in a folder of its own; leftovers go, what lives stays."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from service.observability import metrics_dir

ROOT = Path(__file__).resolve().parents[3]
START = """
import sys
from pathlib import Path
from service.observability import metrics_dir
others = metrics_dir.start(Path(sys.argv[1]))
print(metrics_dir.folder(), len(others), flush=True)
sys.stdin.read()
"""


@pytest.fixture(autouse=True)
def nothing_started(monkeypatch: pytest.MonkeyPatch) -> None:
    """Forget what other tests started."""
    monkeypatch.setattr(metrics_dir, "_started", None)
    monkeypatch.setattr(metrics_dir, "_lock_descriptor", None)


def start_elsewhere(folder: Path) -> tuple[subprocess.Popen[str], Path, int]:
    """Start a folder in another process, which lives until its input ends."""
    process = subprocess.Popen(
        [sys.executable, "-c", START, str(folder)],
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    path, others = process.stdout.readline().split()
    return process, Path(path), int(others)


def end(process: subprocess.Popen[str]) -> None:
    """Kill a process as hard as the kernel does."""
    process.kill()
    process.communicate()


def test_current_is_the_folder_started_last(tmp_path: Path) -> None:
    """The link is replaced in one step, and is relative, so that a mounted folder works as well."""
    metrics_dir.start(tmp_path / "metrics")
    first = metrics_dir.folder()
    metrics_dir.start(tmp_path / "metrics")
    second = metrics_dir.folder()
    assert first != second
    assert metrics_dir.current(tmp_path / "metrics") == second
    assert not (tmp_path / "metrics" / "current").readlink().is_absolute()


def test_folder_of_a_killed_predictor_is_removed(tmp_path: Path) -> None:
    """After kill -9 the next start clears up."""
    process, folder, _ = start_elsewhere(tmp_path)
    (folder / "counter_w0.db").write_bytes(b"old")
    end(process)
    assert metrics_dir.start(tmp_path) == []
    assert not folder.exists()


def test_folder_of_a_live_predictor_is_kept(tmp_path: Path) -> None:
    """While the old arbiter of an upgrade, or an orphan of it, still counts, its folder stays."""
    process, folder, _ = start_elsewhere(tmp_path)
    try:
        assert metrics_dir.start(tmp_path) == [folder]
        assert folder.exists()
    finally:
        end(process)


def test_forked_worker_keeps_the_folder(tmp_path: Path) -> None:
    """The lock is held by whoever was forked from the arbiter, also once the arbiter is gone."""
    code = START.replace("sys.stdin.read()", "import os\nif os.fork() == 0: sys.stdin.read()")
    process = subprocess.Popen(
        [sys.executable, "-c", code, str(tmp_path)],
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    process.wait(30)
    assert process.stdout is not None
    folder = Path(process.stdout.readline().split()[0])
    assert metrics_dir.start(tmp_path) == [folder]
    process.communicate()
    assert metrics_dir.start(tmp_path) == [metrics_dir.folder()] or not folder.exists()


def test_no_predictor_no_folder(tmp_path: Path) -> None:
    """The exporter asks before any predictor started, or after the folder was deleted."""
    assert metrics_dir.current(tmp_path / "none") is None
    (tmp_path / "current").symlink_to("gone")
    assert metrics_dir.current(tmp_path) is None


def test_worker_leaves_no_trace_but_its_counters(tmp_path: Path) -> None:
    """After the reap pid file and gauges are gone; counters stay, for they must never fall."""
    metrics_dir.start(tmp_path)
    folder = metrics_dir.folder()
    metrics_dir.write_pid_file(1)
    for name in ("gauge_livesum_w1.db", "gauge_livemax_w1.db", "gauge_livesum_w11.db", "counter_w1.db"):
        (folder / name).touch()
    metrics_dir.forget_worker(1)
    metrics_dir.forget_worker(1)
    assert {path.name for path in folder.iterdir()} == {"lock", "gauge_livesum_w11.db", "counter_w1.db"}


def test_asking_for_a_folder_that_was_not_started_is_an_error() -> None:
    """Nobody counts in a folder by guess."""
    with pytest.raises(RuntimeError, match="no metrics folder"):
        metrics_dir.folder()
