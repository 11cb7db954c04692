"""Stopping under saturation answers every connection that was established before the signal."""

from __future__ import annotations

import json
import signal
import socket
import threading
import time
from pathlib import Path

from tests.stack.predictor_process import running_predictor

CLIENTS = 32
BODY = json.dumps({"features": [0.1] * 20}).encode()
REQUEST = (
    b"POST /v1/models/wide_forest/predict HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
    b"Content-Length: %d\r\n\r\n%s" % (len(BODY), BODY)
)


class SaturatingClient(threading.Thread):
    """Opens a connection for each request, so that every answer owed is told from every other."""

    def __init__(self, port: int, stop: threading.Event) -> None:
        super().__init__()
        self.port = port
        self.stop = stop
        self.exchanges: list[tuple[float, int | None]] = []
        """Monotonic time at which the connection was established, and the status; None if it was cut."""

    def run(self) -> None:
        """Ask until the port is closed."""
        while not self.stop.is_set():
            try:
                connection = socket.create_connection(("127.0.0.1", self.port), timeout=40)
            except OSError:
                return
            established = time.monotonic()
            with connection:
                self.exchanges.append((established, _ask(connection)))


def _ask(connection: socket.socket) -> int | None:
    try:
        connection.sendall(REQUEST)
        with connection.makefile("rb") as answer:
            line = answer.readline()
            return int(line.split()[1]) if line else None
    except OSError:
        return None


def test_terminate_under_saturation(tmp_path: Path) -> None:
    """With 32 clients on an uncompiled forest nobody who was connected is cut; answers are 200 or 503."""
    with running_predictor(tmp_path, workers=2) as predictor:
        stop = threading.Event()
        clients = [SaturatingClient(predictor.port, stop) for _ in range(CLIENTS)]
        for client in clients:
            client.start()
        time.sleep(2.0)
        signalled = time.monotonic()
        predictor.process.send_signal(signal.SIGTERM)
        assert predictor.process.wait(30) == 0
        stop.set()
        for client in clients:
            client.join()
    owed = [status for client in clients for at, status in client.exchanges if at < signalled]
    assert len(owed) > CLIENTS * 2
    assert set(owed) <= {200, 503}
    waiting = [
        client.exchanges[-1] for client in clients if client.exchanges and client.exchanges[-1][0] < signalled
    ]
    assert all(status in {200, 503} for _, status in waiting)
