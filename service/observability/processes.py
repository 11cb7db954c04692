"""What the workers' processes use, read from /proc by the pid files that they leave in the metrics folder."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from service.observability.metric_names import (
    PLUMBLINE_WORKER_CPU,
    PLUMBLINE_WORKER_MEMORY,
    PLUMBLINE_WORKERS,
    PLUMBLINE_WORKERS_CONFIGURED,
)
from service.observability.metrics_dir import start_ticks
from service.observability.text_format import family, sample_line

_TICKS_PER_SECOND = os.sysconf("SC_CLK_TCK")
_PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")
_DEAD_STATES = {"Z", "X", "x"}


@dataclass(frozen=True, slots=True)
class WorkerProcess:
    """A live worker."""

    slot: str
    cpu_seconds: float
    resident_bytes: int


def live_workers(folder: Path | None) -> list[WorkerProcess]:
    """List the live workers whose pid files lie in `folder`, by slot."""
    if folder is None:
        return []
    found = [worker for path in folder.glob("w*.pid") if (worker := _read(path))]
    return sorted(found, key=lambda worker: int(worker.slot))


def process_text(folder: Path | None, configured: int) -> str:
    """Write the families of the workers' processes."""
    workers = live_workers(folder)
    cpu = (sample_line(PLUMBLINE_WORKER_CPU, (worker.slot,), worker.cpu_seconds) for worker in workers)
    memory = (
        sample_line(PLUMBLINE_WORKER_MEMORY, (worker.slot,), worker.resident_bytes) for worker in workers
    )
    return "".join(
        (
            family(PLUMBLINE_WORKERS, [sample_line(PLUMBLINE_WORKERS, (), len(workers))]),
            family(PLUMBLINE_WORKERS_CONFIGURED, [sample_line(PLUMBLINE_WORKERS_CONFIGURED, (), configured)]),
            family(PLUMBLINE_WORKER_CPU, cpu),
            family(PLUMBLINE_WORKER_MEMORY, memory),
        )
    )


def _read(pid_file: Path) -> WorkerProcess | None:
    try:
        pid, started = pid_file.read_text("ascii").split()
        stat = Path(f"/proc/{int(pid)}/stat").read_text("ascii", errors="replace")
        slot = str(int(pid_file.stem.removeprefix("w")))
        # Fields from the third on: state, ..., 14 and 15 user and system ticks, 24 resident pages.
        fields = stat.rpartition(")")[2].split()
        if fields[0] in _DEAD_STATES or start_ticks(stat) != int(started):
            return None
        ticks = int(fields[11]) + int(fields[12])
        return WorkerProcess(slot, ticks / _TICKS_PER_SECOND, int(fields[21]) * _PAGE_BYTES)
    except (OSError, ValueError, IndexError):
        return None
