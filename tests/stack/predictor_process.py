"""A real predictor: Gunicorn with the shipped configuration, and exporter and drainer beside it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.stack.worker_process import free_port, is_alive, wait_until

ROOT = Path(__file__).resolve().parents[2]
STOP_SECONDS = 40.0
PREDICTOR = ("gunicorn", "-c", "python:service.gunicorn_conf")
EXPORTER = ("service.exporter",)
DRAINER = ("service.drainer",)
STORED = 'ml_prediction_log_records_total{result="stored"}'
"""The exporter shows it once the drainer has its database."""


@dataclass
class RunningPredictor:
    """What a test needs of a running predictor; who restarts a process puts the new one in its place."""

    process: subprocess.Popen[bytes]
    exporter: subprocess.Popen[bytes]
    drainer: subprocess.Popen[bytes]
    port: int
    exporter_port: int
    log: Path
    log_dir: Path
    start: Callable[..., subprocess.Popen[bytes]]
    """Starts a module, such as those of `DRAINER`, with this predictor's settings."""

    @property
    def url(self) -> str:
        """Base URL of the predictor."""
        return f"http://127.0.0.1:{self.port}"

    @property
    def metrics_url(self) -> str:
        """What Prometheus scrapes."""
        return f"http://127.0.0.1:{self.exporter_port}/metrics"

    def worker_pids(self) -> list[int]:
        """Return the live workers."""
        children = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children").read_text().split()
        return [int(child) for child in children if is_alive(int(child))]

    def is_ready(self) -> bool:
        """Ask whether it is ready; fail if it has ended."""
        assert self.process.poll() is None, self.log.read_text()[-2000:]
        return self.get("/ready")[0] == 200

    def get(self, path: str) -> tuple[int, Any]:
        """Send a GET; give status and content."""
        return fetch(self.url + path)

    def post(self, path: str, content: object) -> tuple[int, Any]:
        """Send a POST; give status and content."""
        return fetch(self.url + path, json.dumps(content).encode())

    def samples(self) -> dict[str, float]:
        """Scrape the exporter; give each series with its value."""
        with urllib.request.urlopen(self.metrics_url, timeout=10) as response:
            return parse_samples(response.read().decode())

    def total(self, name: str, **labels: str) -> float:
        """Sum the series of one name whose labels match."""
        return sum_of(self.samples(), name, **labels)


def parse_samples(text: str) -> dict[str, float]:
    """Parse an exposition into series and values."""
    lines = (line for line in text.splitlines() if line and not line.startswith("#"))
    return {series: float(value) for series, _, value in (line.rpartition(" ") for line in lines)}


def sum_of(samples: dict[str, float], name: str, **labels: str) -> float:
    """Sum the series of one name whose labels match."""
    wanted = [f'{key}="{value}"' for key, value in labels.items()]
    return sum(
        value
        for series, value in samples.items()
        if series.partition("{")[0] == name and all(label in series for label in wanted)
    )


def fetch(url: str, body: bytes | None = None, timeout: float = 20.0) -> tuple[int, Any]:
    """Send one request; an error status is an answer too."""
    request = urllib.request.Request(url, body, {"Content-Type": "application/json"})
    try:
        with urllib.request.urlopen(request, timeout=timeout) as response:
            return response.status, json.loads(response.read())
    except urllib.error.HTTPError as error:
        with error:
            return error.code, json.loads(error.read())


def answers(condition: Callable[[], bool]) -> Callable[[], bool]:
    """Turn a condition that fails while a server is away into one that is false then."""

    def asked() -> bool:
        try:
            return condition()
        except OSError:
            return False

    return asked


@contextmanager
def running_predictor(folder: Path, **settings: object) -> Iterator[RunningPredictor]:
    """Start predictor, exporter, drainer with settings (no prefix); stop all, check that nothing is left."""
    port, exporter_port = free_port(), free_port()
    values: dict[str, object] = {
        "port": port,
        "exporter_port": exporter_port,
        "metrics_dir": folder / "metrics",
        "bundle_dir": ROOT / "bundles",
        "log_dir": folder / "prediction_log",
        "workers": 2,
        "log_requests": "errors",
        **settings,
    }
    environment = environment_of(values)
    log = folder / "predictor.log"

    def start(*arguments: str) -> subprocess.Popen[bytes]:
        with log.open("ab") as output:
            return subprocess.Popen(
                [sys.executable, "-m", *arguments], cwd=ROOT, env=environment, stdout=output, stderr=output
            )

    log_dir = Path(str(values["log_dir"]))
    running = RunningPredictor(
        start(*PREDICTOR), start(*EXPORTER), start(*DRAINER), port, exporter_port, log, log_dir, start
    )
    try:
        wanted = int(str(values["workers"]))
        wait_until(answers(running.is_ready), "predictor ready", STOP_SECONDS)
        ready = answers(lambda: running.total("plumbline_workers_ready") == wanted)
        wait_until(ready, "all workers ready", STOP_SECONDS)
        wait_until(answers(lambda: STORED in running.samples()), "drainer ready", STOP_SECONDS)
        yield running
    finally:
        _stop(running)


def environment_of(settings: Mapping[str, object]) -> dict[str, str]:
    """Give the environment of this process, with these settings and no others."""
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("PLUMBLINE_")}
    return inherited | {f"PLUMBLINE_{name.upper()}": str(value) for name, value in settings.items()}


def _stop(running: RunningPredictor) -> None:
    workers = running.worker_pids() if running.process.poll() is None else []
    is_drainer_ours = running.drainer.poll() is None
    processes = (running.process, running.exporter, running.drainer)
    for process in processes:
        process.terminate()
    for process in processes:
        process.wait(STOP_SECONDS)
    deadline = time.monotonic() + STOP_SECONDS
    while any(map(is_alive, workers)) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not any(map(is_alive, workers)), "a worker outlived its arbiter"
    assert not is_drainer_ours or running.drainer.returncode == 0, running.log.read_text()[-2000:]
