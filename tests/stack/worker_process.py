"""Start real Gunicorn processes around the test application and speak raw HTTP to them."""

from __future__ import annotations

import contextlib
import json
import os
import resource
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

REPOSITORY = Path(__file__).parents[2]
DEADLINE_SECONDS = 20.0
WORKER_CLASS = "service.gunicorn_worker.PredictorWorker"


def wait_until(condition: Callable[[], object], what: str, seconds: float = DEADLINE_SECONDS) -> None:
    """Poll until the condition holds; fail with `what` at the deadline."""
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, f"not in {seconds} s: {what}"
        time.sleep(0.02)


def free_port() -> int:
    """Return a port that nothing listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def port_is_free(port: int) -> bool:
    """Tell whether a new server could bind the port."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
        return True


def is_alive(pid: int) -> bool:
    """Tell whether the process runs; a zombie does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


@dataclass
class RunningGunicorn:
    """A Gunicorn master with its workers."""

    process: subprocess.Popen[bytes]
    port: int
    log: Path

    def worker_pids(self) -> list[int]:
        """Return the live workers."""
        children = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children").read_text().split()
        return [int(child) for child in children if is_alive(int(child))]

    def connect(self) -> socket.socket:
        """Open a connection."""
        return socket.create_connection(("127.0.0.1", self.port), timeout=DEADLINE_SECONDS)

    def exchange(self, sent: bytes) -> bytes:
        """Send the bytes on a new connection and return all that comes until the server closes."""
        with self.connect() as client:
            client.sendall(sent)
            return read_all(client)


def read_all(client: socket.socket) -> bytes:
    """Return what the server sends until it closes; a reset is an error."""
    received = bytearray()
    while piece := client.recv(65_536):
        received += piece
    return bytes(received)


def read_answer(client: socket.socket) -> tuple[str, dict[str, Any]]:
    """Return head and JSON body of one answer; fail if the server closes before its end."""
    received = bytearray()
    while b"\r\n\r\n" not in received or len(received.partition(b"\r\n\r\n")[2]) < content_length(received):
        piece = client.recv(65_536)
        assert piece, f"closed after {bytes(received)!r}"
        received += piece
    head, _, body = received.partition(b"\r\n\r\n")
    return head.decode().lower(), json.loads(body)


def content_length(answer: bytearray) -> int:
    """Return the length that the head of an answer announces."""
    return int(answer.lower().partition(b"content-length:")[2].partition(b"\r\n")[0])


def request(path: str = "/", *fields: str, body: bytes = b"") -> bytes:
    """Return the bytes of a request; it is a POST if it has a body."""
    length = [f"Content-Length: {len(body)}"] if body else []
    lines = [f"{'POST' if body else 'GET'} {path} HTTP/1.1", "Host: localhost", *fields, *length]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + body


@contextlib.contextmanager
def running_gunicorn(
    tmp_path: Path,
    *options: str,
    worker_class: str = WORKER_CLASS,
    workers: int = 1,
    open_files: int | None = None,
) -> Iterator[RunningGunicorn]:
    """Run Gunicorn on a free port until the block ends; no process is left behind."""
    port, log = free_port(), tmp_path / "gunicorn.log"
    command = [
        *(sys.executable, "-m", "gunicorn", "tests.stack.worker_app:app", "--preload", "--no-control-socket"),
        *("--bind", f"127.0.0.1:{port}", "--workers", str(workers), "--worker-class", worker_class),
        *("--limit-request-line", "2048", "--limit-request-fields", "64"),
        *("--limit-request-field_size", "4096", "--graceful-timeout", "25", *options),
    ]
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    with log.open("wb") as output:
        if open_files:
            resource.setrlimit(resource.RLIMIT_NOFILE, (open_files, before[1]))
        process = subprocess.Popen(
            command, cwd=REPOSITORY, stdout=output, stderr=subprocess.STDOUT, start_new_session=True
        )
        resource.setrlimit(resource.RLIMIT_NOFILE, before)
    try:
        server = RunningGunicorn(process, port, log)
        wait_until(lambda: log.read_text().count("startup complete") >= workers, "all workers run")
        yield server
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)  # its own session: this master and its workers only
        process.wait()
