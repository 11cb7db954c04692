"""Counters are exact through kill -9, recycling and reload, and no scrape ever shows a lower total."""

from __future__ import annotations

import http.client
import json
import os
import random
import shutil
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.stack.predictor_process import RunningPredictor, running_predictor, sum_of
from tests.stack.worker_process import wait_until

BODY = json.dumps({"features": [5.1, 3.5, 1.4, 0.2]}).encode()
BATCH = json.dumps({"batch": [[5.1, 3.5, 1.4, 0.2]] * 3}).encode()
HEADERS = {"Content-Type": "application/json"}
CLIENTS = 8
LOAD_SECONDS = 8.0
ROWS = {"/v1/predict": (BODY, 1), "/v1/predict/batch": (BATCH, 3)}


class Ledger:
    """What the clients saw, by route."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.answered = dict.fromkeys(ROWS, 0)
        self.cut = dict.fromkeys(ROWS, 0)
        self.others: list[int] = []


def client(port: int, ledger: Ledger, stop: threading.Event, route: str) -> None:
    """Ask on keep-alive connections until told to stop; a connection that breaks is noted as cut."""
    body, _ = ROWS[route]
    connection: http.client.HTTPConnection | None = None
    while not stop.is_set():
        sent = False
        try:
            if connection is None:
                connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
                connection.connect()
            sent = True
            connection.request("POST", route, body, HEADERS)
            response = connection.getresponse()
            response.read()
        except (OSError, http.client.HTTPException):
            with ledger.lock:
                ledger.cut[route] += sent
            if connection is not None:
                connection.close()
            connection = None
            continue
        with ledger.lock:
            if response.status == 200:
                ledger.answered[route] += 1
            else:
                ledger.others.append(response.status)
        if response.will_close:
            connection.close()
            connection = None
    if connection is not None:
        connection.close()


@contextmanager
def load(predictor: RunningPredictor) -> Iterator[Ledger]:
    """Run the clients while the body of the with statement does harm."""
    ledger, stop = Ledger(), threading.Event()
    routes = [route for route in ROWS for _ in range(CLIENTS // 2)]
    threads = [threading.Thread(target=client, args=(predictor.port, ledger, stop, one)) for one in routes]
    for thread in threads:
        thread.start()
    try:
        yield ledger
    finally:
        stop.set()
        for thread in threads:
            thread.join()


@contextmanager
def watched_totals(predictor: RunningPredictor) -> Iterator[list[str]]:
    """Scrape all the time; collect every series of a counter that was ever lower than before."""
    stop, falls, seen = threading.Event(), list[str](), dict[str, float]()

    def watch() -> None:
        while not stop.is_set():
            for series, value in predictor.samples().items():
                name = series.partition("{")[0]
                if name.endswith(("_total", "_count", "_bucket", "_sum")) and "cpu_seconds" not in name:
                    if value < seen.get(series, 0.0):
                        falls.append(f"{series}: {seen[series]} -> {value}")
                    seen[series] = value
            stop.wait(0.05)

    thread = threading.Thread(target=watch)
    thread.start()
    try:
        yield falls
    finally:
        stop.set()
        thread.join()
    assert len(seen) > 1000


def do_harm(predictor: RunningPredictor) -> dict[str, int]:
    """Kill workers and reload for some seconds, beside the recycling that goes on by itself."""
    done = {"kills": 0, "reloads": 0}
    choose = random.Random(7)
    end = time.monotonic() + LOAD_SECONDS
    while time.monotonic() < end:
        time.sleep(0.7)
        workers = predictor.worker_pids()
        if workers and choose.random() < 0.75:
            os.kill(choose.choice(workers), signal.SIGKILL)
            done["kills"] += 1
        else:
            predictor.process.send_signal(signal.SIGHUP)
            done["reloads"] += 1
    return done


def test_counters_through_kills_recycling_and_reloads(tmp_path: Path) -> None:
    """Answers <= counter <= answers + cut connections, for requests and for rows; nothing falls."""
    with running_predictor(tmp_path, workers=4, max_requests=300, max_requests_jitter=100) as predictor:
        with watched_totals(predictor) as falls, load(predictor) as ledger:
            done = do_harm(predictor)
        assert done["kills"] >= 3
        assert done["reloads"] >= 1
        assert not ledger.others
        wait_until(lambda: predictor.total("plumbline_workers_ready") == 4, "four workers ready again")
        samples = predictor.samples()
    assert not falls
    for kind, route in zip(("single", "batch"), ROWS, strict=True):
        answered, cut = ledger.answered[route], ledger.cut[route]
        assert answered > 300
        counted = sum_of(samples, "http_requests_total", handler=route, status="200")
        assert answered <= counted <= answered + cut
        timed = sum_of(samples, "ml_request_duration_seconds_count", model_name="iris", kind=kind)
        assert answered <= timed <= answered + cut
    answered = sum(ledger.answered.values())
    cut = sum(ledger.cut.values())
    # Recycling and reload cut nobody, a kill at most the clients of one worker: else the bounds say little.
    assert cut <= done["kills"] * CLIENTS
    assert answered <= sum_of(samples, "ml_requests_total", model_name="iris", outcome="ok") <= answered + cut
    rows_answered = sum(ledger.answered[route] * rows for route, (_, rows) in ROWS.items())
    rows_cut = sum(ledger.cut[route] * rows for route, (_, rows) in ROWS.items())
    counted = sum_of(samples, "ml_predictions_total", model_name="iris")
    assert rows_answered <= counted <= rows_answered + rows_cut


def test_bundle_broken_on_disk_while_running(tmp_path: Path) -> None:
    """A running service keeps its models: a worker forked after the files broke serves as before."""
    bundles = tmp_path / "bundles"
    _copy_demo_bundles(bundles)
    with running_predictor(tmp_path, workers=1, bundle_dir=bundles) as predictor:
        (old,) = predictor.worker_pids()
        (bundles / "iris" / "1" / "model.joblib").write_bytes(b"broken")
        os.kill(old, signal.SIGKILL)
        wait_until(lambda: predictor.worker_pids() not in ([], [old]), "a new worker")
        status, answer = predictor.post("/v1/predict", {"features": [5.1, 3.5, 1.4, 0.2]})
        assert (status, answer["prediction"]) == (200, "setosa")


def _copy_demo_bundles(target: Path) -> None:
    shutil.copytree(Path(__file__).resolve().parents[2] / "bundles", target)
