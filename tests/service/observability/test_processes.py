"""Only live workers are shown, each under its slot."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from service.observability import metrics_dir
from service.observability.processes import live_workers, process_text
from tests.service.observability.counted_bundles import parsed


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Be a worker in slot 3."""
    monkeypatch.setattr(metrics_dir, "_started", tmp_path)
    metrics_dir.write_pid_file(3)
    return tmp_path


def test_live_worker_is_shown_with_cpu_and_memory(folder: Path) -> None:
    """Numbers are those that the kernel tells of the process."""
    sum(range(2_000_000))
    series = parsed(process_text(folder, 4))
    assert series["plumbline_workers{}"] == 1
    assert series["plumbline_workers_configured{}"] == 4
    times = os.times()
    assert series["plumbline_worker_cpu_seconds_total{slot=3}"] == pytest.approx(
        times.user + times.system, abs=0.5
    )
    resident_pages = int(Path("/proc/self/statm").read_text().split()[1])
    assert series["plumbline_worker_resident_memory_bytes{slot=3}"] == pytest.approx(
        resident_pages * os.sysconf("SC_PAGE_SIZE"), rel=0.2
    )


def test_killed_worker_is_not_alive(folder: Path) -> None:
    """Neither as a zombie nor after it was reaped."""
    process = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    stat = Path(f"/proc/{process.pid}/stat").read_text()
    (folder / "w0.pid").write_text(f"{process.pid} {metrics_dir.start_ticks(stat)}\n")
    assert [worker.slot for worker in live_workers(folder)] == ["0", "3"]
    process.kill()
    os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)
    assert [worker.slot for worker in live_workers(folder)] == ["3"]
    process.communicate()
    assert [worker.slot for worker in live_workers(folder)] == ["3"]


def test_pid_that_the_kernel_gave_again_is_not_ours(folder: Path) -> None:
    """A stranger with the pid of a dead worker began at another time."""
    (folder / "w0.pid").write_text(f"{os.getpid()} 1\n")
    assert [worker.slot for worker in live_workers(folder)] == ["3"]


@pytest.mark.parametrize("content", ["", "x", "1 2 3", "-1 5", "99999999 1", "\x00"])
def test_broken_pid_file_is_no_worker(folder: Path, content: str) -> None:
    """Half-written or garbage: the others are still shown."""
    (folder / "w0.pid").write_text(content)
    assert [worker.slot for worker in live_workers(folder)] == ["3"]


def test_no_folder_no_workers() -> None:
    """Without a predictor there are 0 workers, and the number there should be."""
    assert parsed(process_text(None, 2)) == {"plumbline_workers{}": 0, "plumbline_workers_configured{}": 2}
