"""Counters are exact and never fall, whatever happens to the workers; real Gunicorn, real exporter."""

from __future__ import annotations

import contextlib
import http.client
import os
import signal
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from tests.prometheus.monitoring_binaries import LINES, binaries
from tests.service.observability.counted_bundles import REGRESSION, parsed, write_bundle
from tests.stack.worker_process import REPOSITORY, free_port, is_alive, wait_until

ANSWERED = "ml_requests_total{model_name=prices,model_version=1,outcome=ok}"
BINNED = "ml_feature_bin_total{bin=5.0,feature=size,model_name=prices,model_version=1}"
WORKERS = 4


@dataclass
class Stack:
    """A predictor and its exporter."""

    folder: Path
    port: int
    exporter_port: int
    environment: dict[str, str]
    predictor: subprocess.Popen[bytes] | None = None
    exporter: subprocess.Popen[bytes] | None = None

    def start_predictor(self, *options: str) -> None:
        """Start Gunicorn with the project's configuration around the counting application."""
        command = [
            # The script: started as a module, Gunicorn cannot start its successor (USR2).
            *(str(Path(sys.executable).with_name("gunicorn")), "-c", "python:service.gunicorn_conf"),
            *("tests.stack.counting_app:app", *options),
        ]
        self.predictor = self._start(command, "predictor.log")
        self.wait_for_workers()

    def start_exporter(self) -> None:
        """Start the exporter."""
        self.exporter = self._start([sys.executable, "-m", "service.exporter"], "exporter.log")
        wait_until(self._is_scraped, "the exporter answers")

    def _start(self, command: list[str], log: str) -> subprocess.Popen[bytes]:
        with (self.folder / log).open("ab") as output:
            return subprocess.Popen(
                command,
                cwd=REPOSITORY,
                env=self.environment,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    def scrape_text(self) -> str:
        """Scrape the exporter."""
        with urllib.request.urlopen(f"http://127.0.0.1:{self.exporter_port}/metrics", timeout=20) as answer:
            return str(answer.read().decode())

    def scrape(self) -> dict[str, float]:
        """Scrape and read."""
        return parsed(self.scrape_text())

    def _is_scraped(self) -> bool:
        try:
            return bool(self.scrape_text())
        except OSError:
            return False

    def wait_for_workers(self) -> None:
        """Wait until all workers are there and ready."""
        wait_until(
            lambda: (
                (series := self.scrape())["plumbline_workers{}"] == WORKERS
                and series.get("plumbline_workers_ready{}") == WORKERS
            ),
            "all workers are ready",
        )

    def worker_pids(self) -> list[int]:
        """List the live workers."""
        assert self.predictor is not None
        children = Path(f"/proc/{self.predictor.pid}/task/{self.predictor.pid}/children").read_text().split()
        return [int(child) for child in children if is_alive(int(child))]

    def stop(self) -> None:
        """End both, with all they started."""
        for process in (self.predictor, self.exporter):
            if process is not None:
                with contextlib.suppress(ProcessLookupError):
                    os.killpg(process.pid, signal.SIGKILL)  # its own session
                process.wait()


@pytest.fixture
def stack(tmp_path: Path) -> Iterator[Stack]:
    """Run the exporter; the predictor is started by the test."""
    write_bundle(tmp_path / "bundles", REGRESSION)
    port, exporter_port = free_port(), free_port()
    environment = {
        **{name: value for name, value in os.environ.items() if not name.startswith("PLUMBLINE_")},
        "PLUMBLINE_PORT": str(port),
        "PLUMBLINE_EXPORTER_PORT": str(exporter_port),
        "PLUMBLINE_WORKERS": str(WORKERS),
        "PLUMBLINE_METRICS_DIR": str(tmp_path / "metrics"),
        "PLUMBLINE_BUNDLE_DIR": str(tmp_path / "bundles"),
        "PLUMBLINE_LOG_REQUESTS": "none",
    }
    stack = Stack(tmp_path, port, exporter_port, environment)
    try:
        stack.start_exporter()
        yield stack
    finally:
        stack.stop()


@dataclass
class Load:
    """Clients that ask all the time and know what they were answered."""

    port: int
    answers: int = 0
    cut: int = 0
    lock: threading.Lock = field(default_factory=threading.Lock)
    is_over: threading.Event = field(default_factory=threading.Event)

    def wait_for_answers(self, count: int) -> None:
        """Wait until so many requests were answered."""
        wait_until(lambda: self.answers >= count, f"{count} answers")

    def ask(self) -> None:
        """Ask until it is over; a connection that breaks before its answer is cut."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=20)
        while not self.is_over.is_set():
            try:
                connection.request("POST", "/v1/predict", b"{}")
                answer = connection.getresponse()
                is_answered = answer.read() != b"" and answer.status == 200
            except (OSError, http.client.HTTPException):
                is_answered = False
                connection.close()
            with self.lock:
                self.answers += is_answered
                self.cut += not is_answered
            # A pace that leaves the machine to others; faults matter here, not speed.
            time.sleep(0.001)
        connection.close()


@dataclass
class Scrapes:
    """Scrapes all the time and keeps what it should never see."""

    stack: Stack
    seen: dict[str, float] = field(default_factory=dict)
    falls: list[str] = field(default_factory=list)
    count: int = 0
    is_over: threading.Event = field(default_factory=threading.Event)

    def watch(self) -> None:
        """Compare each scrape with the one before: no counter falls, none disappears."""
        while not self.is_over.is_set():
            counters = {
                name: value
                for name, value in self.stack.scrape().items()
                if name.split("{")[0].endswith(("_total", "_bucket", "_count", "_sum"))
                and not name.startswith("plumbline_worker_cpu")
            }
            self.falls += [
                f"{name}: {value} -> {counters.get(name)}"
                for name, value in self.seen.items()
                if counters.get(name, -1.0) < value
            ]
            self.seen = counters
            self.count += 1
            self.is_over.wait(0.02)


def disturb(stack: Stack) -> None:
    """Kill workers, one and then all at once, and reload, while there is load."""
    assert stack.predictor is not None
    for victims in (1, WORKERS, 1):
        for pid in stack.worker_pids()[:victims]:
            os.kill(pid, signal.SIGKILL)
        stack.wait_for_workers()
    os.kill(stack.predictor.pid, signal.SIGHUP)
    before = set(stack.worker_pids())
    wait_until(lambda: not before & set(stack.worker_pids()), "all workers are replaced")
    stack.wait_for_workers()


def test_counters_are_exact_under_kills_recycling_and_reload(stack: Stack) -> None:
    """Answers <= counter <= answers + cut connections; no scrape shows less than the one before."""
    stack.start_predictor("--max-requests", "150", "--max-requests-jitter", "100")
    load, scrapes = Load(stack.port), Scrapes(stack)
    clients = [threading.Thread(target=load.ask) for _ in range(6)]
    watcher = threading.Thread(target=scrapes.watch)
    for thread in (*clients, watcher):
        thread.start()
    try:
        disturb(stack)
        load.wait_for_answers(2000)
    finally:
        load.is_over.set()
        for thread in clients:
            thread.join()
        scrapes.is_over.set()
        watcher.join()
    stack.wait_for_workers()
    wait_until(lambda: stack.scrape()["http_requests_in_progress{}"] == 0, "no request is in progress")
    series = stack.scrape()
    assert not scrapes.falls
    assert scrapes.count > 20
    served = series["ml_prediction_bin_total{bin=1e+06,model_name=prices,model_version=1}"]
    answered = series["http_requests_total{handler=/v1/predict,method=POST,status=200}"]
    # In the order in which one request is counted: a kill may fall between two of them.
    assert load.answers <= answered <= series[ANSWERED] <= served <= load.answers + load.cut
    # A killed worker takes at most what waited for its flush; these rows come slower than one flush each.
    assert served - 100 <= series[BINNED] <= served
    assert series["plumbline_exposition_bad_files_total{}"] == 0
    # Three kinds of file for each slot; during a reload old and new workers overlap, so twice the slots.
    assert series["plumbline_exposition_files{}"] <= 3 * 2 * WORKERS


def test_new_start_counts_from_zero_and_clears_up(stack: Stack) -> None:
    """After kill -9 of everything the next start takes a fresh folder and removes the old one."""
    for _ in range(2):
        stack.start_predictor()
        assert stack.predictor is not None
        assert stack.scrape()[ANSWERED] == 0
        load = Load(stack.port)
        client = threading.Thread(target=load.ask)
        client.start()
        load.wait_for_answers(10)
        load.is_over.set()
        client.join()
        assert stack.scrape()[ANSWERED] == load.answers
        os.killpg(stack.predictor.pid, signal.SIGKILL)
        stack.predictor.wait()
        wait_until(lambda: stack.scrape()["plumbline_workers{}"] == 0, "no worker is left")
    assert len(list((stack.folder / "metrics").glob("run-*"))) == 1


def test_upgrade_in_place_moves_on_to_the_new_folder(stack: Stack) -> None:
    """USR2 starts a second arbiter: its folder is scraped, the old one stays until its processes are gone."""
    stack.start_predictor()
    assert stack.predictor is not None
    current = stack.folder / "metrics" / "current"
    before = current.resolve()
    os.kill(stack.predictor.pid, signal.SIGUSR2)
    wait_until(lambda: current.resolve() != before, "the new arbiter has its folder")
    stack.wait_for_workers()
    assert before.exists()
    assert (before / "w0.pid").exists()


def test_exporter_ends_at_once(stack: Stack) -> None:
    """SIGTERM leaves neither a process nor a bound port."""
    assert stack.exporter is not None
    stack.exporter.terminate()
    assert stack.exporter.wait(10) == 0


@pytest.mark.parametrize("line", LINES)
def test_promtool_finds_nothing_to_say(stack: Stack, line: str) -> None:
    """The linter of Prometheus, old and new, takes the whole exposition."""
    stack.start_predictor()
    run = subprocess.run(
        [binaries(line) / "promtool", "check", "metrics"],
        input=stack.scrape_text(),
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert (run.returncode, run.stdout, run.stderr) == (0, "", "")
