"""The worker class under real signals and real bad clients."""

from __future__ import annotations

import contextlib
import json
import os
import select
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.stack.smuggling_corpus import CHUNKED, REFUSED, SECOND, post
from tests.stack.worker_process import (
    DEADLINE_SECONDS,
    REPOSITORY,
    WORKER_CLASS,
    RunningGunicorn,
    free_port,
    is_alive,
    port_is_free,
    read_all,
    read_answer,
    request,
    running_gunicorn,
    wait_until,
)

HASTY = "tests.stack.worker_app.HastyWorker"
ASYNCIO = "tests.stack.worker_app.AsyncioWorker"


def resident_bytes(pid: int) -> int:
    """Return the resident memory of a process."""
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def refused_connections(server: RunningGunicorn) -> bool:
    """Tell whether nothing listens any more."""
    try:
        server.connect().close()
    except ConnectionError:
        return True
    return False


@pytest.mark.parametrize("worker_class", [WORKER_CLASS, ASYNCIO])
@pytest.mark.parametrize("workers", [1, 2])
def test_master_term_under_saturation(tmp_path: Path, worker_class: str, workers: int) -> None:
    """Connections in the kernel's queue, accepted or being served at SIGTERM all get their answer."""
    with (
        running_gunicorn(tmp_path, worker_class=worker_class, workers=workers) as server,
        contextlib.ExitStack() as stack,
    ):
        # Each blocks its event loop, so later connections stay in the queue of the kernel.
        clients = [stack.enter_context(server.connect()) for _ in range(32)]
        for client in clients:
            client.sendall(request("/block?0.1"))
        late = [stack.enter_context(server.connect()) for _ in range(8)]
        server.process.terminate()
        for client in late:
            client.sendall(request())
        answers = [read_answer(client)[0] for client in clients + late]
        assert {head.split()[1] for head in answers} == {"200"}
        assert server.process.wait(timeout=20) == 0


def test_request_a_moment_after_term(tmp_path: Path) -> None:
    """A request that comes after the listener is gone is served, as the last of its connection."""
    with running_gunicorn(tmp_path) as server, server.connect() as fresh, server.connect() as kept:
        kept.sendall(request())
        assert read_answer(kept)[1]["draining"] is False
        server.process.terminate()
        wait_until(lambda: refused_connections(server), "the listener is closed")
        for client in (fresh, kept):
            client.sendall(request())
            head, body = read_answer(client)
            assert "connection: close" in head
            assert body["draining"] is True
            assert read_all(client) == b""


def test_worker_term_leaves_the_others_serving(tmp_path: Path) -> None:
    """SIGTERM to one of two workers cuts nobody, and it is replaced."""
    with running_gunicorn(tmp_path, workers=2) as server, contextlib.ExitStack() as stack:
        clients = [stack.enter_context(server.connect()) for _ in range(32)]
        for client in clients:
            client.sendall(request("/block?0.02"))
        old = server.worker_pids()[0]
        os.kill(old, signal.SIGTERM)
        assert all(read_answer(client)[0].startswith("http/1.1 200") for client in clients)
        wait_until(lambda: not is_alive(old), "the worker has ended")
        wait_until(lambda: len(server.worker_pids()) == 2, "the worker is replaced")
        assert b"200 OK" in server.exchange(request("/", "Connection: close"))


def test_term_with_idle_and_silent_connections(tmp_path: Path) -> None:
    """Connections without a request do not hold the exit for the graceful timeout of 25 s."""
    with running_gunicorn(tmp_path, "--keep-alive", "75") as server, contextlib.ExitStack() as stack:
        clients = [stack.enter_context(server.connect()) for _ in range(10)]
        for client in clients[:5]:
            client.sendall(request())
            read_answer(client)
        server.process.terminate()
        server.process.wait(timeout=10)
        assert [read_all(client) for client in clients] == [b""] * 10


def test_term_with_answers_that_never_end(tmp_path: Path) -> None:
    """What is not done within the graceful timeout is cut by the worker itself, which then ends in order."""
    with (
        running_gunicorn(tmp_path, "--graceful-timeout", "3") as server,
        server.connect() as waiting,
        server.connect() as not_reading,
    ):
        waiting.sendall(request("/slow?60"))
        not_reading.sendall(request("/big") * 2)  # the second waits for the first to be read
        worker = server.worker_pids()[0]
        os.kill(worker, signal.SIGTERM)
        wait_until(lambda: not is_alive(worker), "the worker has ended")
        log = server.log.read_text()
        assert log.count("Cut the connection") == 2
        assert "Application shutdown complete" in log


def test_master_kill(tmp_path: Path) -> None:
    """Workers without a master answer what they have, end, and free the port."""
    with running_gunicorn(tmp_path, workers=2) as server, server.connect() as client:
        workers = server.worker_pids()
        client.sendall(request("/slow?1"))
        server.process.kill()
        assert read_answer(client)[0].startswith("http/1.1 200")
        wait_until(lambda: not any(map(is_alive, workers)), "the workers have ended")
        assert port_is_free(server.port)


def test_recycling_cuts_nobody(tmp_path: Path) -> None:
    """Keep-alive clients that honour Connection: close see no failure while workers are recycled."""
    pids: set[int] = set()
    end = time.monotonic() + DEADLINE_SECONDS

    def use(server: RunningGunicorn) -> None:
        while len(pids) < 5 and time.monotonic() < end:
            with server.connect() as client:
                head = ""
                while "connection: close" not in head and len(pids) < 5 and time.monotonic() < end:
                    client.sendall(request())
                    head, body = read_answer(client)
                    pids.add(body["pid"])

    options = ("--max-requests", "60", "--max-requests-jitter", "60")
    with running_gunicorn(tmp_path, *options, workers=2) as server, ThreadPoolExecutor(8) as pool:
        for user in [pool.submit(use, server) for _ in range(8)]:
            user.result()
    assert len(pids) >= 5


@pytest.mark.parametrize("drip", [b"", b"GET / HTTP/1.1\r\nX-A: ", b"\r\n"])
def test_head_deadline(tmp_path: Path, drip: bytes) -> None:
    """A client that is silent or drips its head is closed, however often it sends a byte."""
    with running_gunicorn(tmp_path, worker_class=HASTY) as server, server.connect() as client:
        client.sendall(drip)
        closed = threading.Event()

        def send_on() -> None:
            with contextlib.suppress(OSError):
                while drip and not closed.wait(0.05):
                    client.send(drip[-1:])

        with ThreadPoolExecutor(1) as pool:
            sending = pool.submit(send_on)
            with contextlib.suppress(ConnectionResetError):
                assert read_all(client) == b""
            closed.set()
            sending.result()


def test_keep_alive_timeout(tmp_path: Path) -> None:
    """A connection that is idle after an answer is closed."""
    with running_gunicorn(tmp_path, "--keep-alive", "1") as server, server.connect() as client:
        client.sendall(request())
        assert "connection: close" not in read_answer(client)[0]
        assert read_all(client) == b""


def test_connection_cap(tmp_path: Path) -> None:
    """One connection above the cap is answered 503 and closed; those below are served."""
    options = ("--worker-connections", "8")
    with running_gunicorn(tmp_path, *options) as server, contextlib.ExitStack() as stack:
        kept = [stack.enter_context(server.connect()) for _ in range(8)]
        with server.connect() as client:
            client.sendall(request())
            head, body = read_answer(client)
            assert "503 service unavailable" in head
            assert "retry-after" in head
            assert body["error"]["code"] == "too_many_connections"
            assert read_all(client) == b""
        for client in kept:
            client.sendall(request())
            assert read_answer(client)[0].startswith("http/1.1 200")


def test_connection_flood(tmp_path: Path) -> None:
    """A flood leaves descriptors to spare, and the next client is served."""
    with running_gunicorn(tmp_path, open_files=128) as server, contextlib.ExitStack() as stack:
        flood = [stack.enter_context(server.connect()) for _ in range(400)]
        for client in flood[100:]:
            with contextlib.suppress(ConnectionResetError):
                assert read_all(client).startswith(b"HTTP/1.1 503")
        pid = server.worker_pids()[0]
        assert len(list(Path(f"/proc/{pid}/fd").iterdir())) < 110
        stack.close()
        wait_until(lambda: len(list(Path(f"/proc/{pid}/fd").iterdir())) < 40, "the flood is gone")
        assert b"200 OK" in server.exchange(request("/", "Connection: close"))
        assert "Too many open files" not in server.log.read_text()


def test_backlog_is_the_configured_one(tmp_path: Path) -> None:
    """As many connections wait in the kernel as configured, and the one that Linux adds."""
    with running_gunicorn(tmp_path, "--backlog", "7") as server, contextlib.ExitStack() as stack:
        worker = server.worker_pids()[0]
        os.kill(worker, signal.SIGSTOP)
        clients = [stack.enter_context(socket.socket()) for _ in range(20)]
        for client in clients:
            client.setblocking(False)
            client.connect_ex(("127.0.0.1", server.port))
        wait_until(lambda: len(select.select([], clients, [], 0)[1]) >= 8, "the queue is full")
        assert len(select.select([], clients, [], 0.5)[1]) == 8
        os.kill(worker, signal.SIGCONT)


def test_blocked_loop_is_killed_and_a_busy_one_is_not(tmp_path: Path) -> None:
    """Gunicorn's timeout ends a worker whose loop stands still, and the log shows where it stood."""
    with running_gunicorn(tmp_path, "--timeout", "2") as server, contextlib.ExitStack() as stack:
        worker = server.worker_pids()[0]
        busy = stack.enter_context(server.connect())
        for _ in range(16):
            busy.sendall(request("/block?0.25"))
            assert read_answer(busy)[1]["pid"] == worker
        blocking = stack.enter_context(server.connect())
        blocking.sendall(request("/block?60"))
        wait_until(lambda: not is_alive(worker), "the worker is killed")
        assert b"200 OK" in server.exchange(request("/", "Connection: close"))
        assert 'worker_app.py", line' in server.log.read_text()


def test_slow_reader(tmp_path: Path) -> None:
    """A client that reads nothing of 64 MiB costs little memory, and is dropped."""
    with running_gunicorn(tmp_path, worker_class=HASTY) as server, server.connect() as client:
        worker = server.worker_pids()[0]

        def open_sockets() -> int:
            links = [str(link.readlink()) for link in Path(f"/proc/{worker}/fd").iterdir()]
            return sum(link.startswith("socket:") for link in links)

        client.sendall(request())
        read_answer(client)
        before, sockets = resident_bytes(worker), open_sockets()
        client.sendall(request("/large"))
        wait_until(lambda: select.select([client], [], [], 0)[0], "the answer begins")
        wait_until(lambda: open_sockets() < sockets, "the client is dropped")
        assert resident_bytes(worker) - before < 8 * 2**20


def test_early_answer_is_readable(tmp_path: Path) -> None:
    """A client that sends 50 MB after the answer is not reset before it reads the answer."""
    with running_gunicorn(tmp_path) as server:
        answer = server.exchange(request("/early-close", body=b"x" * 50_000_000))
        assert answer.endswith(json.dumps("early").encode())


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGQUIT])
def test_interrupt_answers_what_is_under_way(tmp_path: Path, number: signal.Signals) -> None:
    """A terminal that interrupts or quits lets a request end, and the exit is clean."""
    with running_gunicorn(tmp_path) as server, server.connect() as client:
        client.sendall(request("/slow?1"))
        os.killpg(server.process.pid, number)  # to master and workers
        assert read_answer(client)[0].startswith("http/1.1 200")
        assert server.process.wait(timeout=10) == 0


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningGunicorn]:
    """Run one worker for all tests that only send it something."""
    with running_gunicorn(tmp_path_factory.mktemp("shared")) as server:
        yield server


def error_of(answer: bytes) -> tuple[int, str]:
    """Return status and code of the one answer in the bytes, whose form is the project's."""
    assert answer.count(b"HTTP/1.1 ") == 1
    head, _, body = answer.partition(b"\r\n\r\n")
    error = json.loads(body)["error"]
    assert set(error) == {"code", "message", "details", "request_id"}
    assert f"x-request-id: {error['request_id']}".encode() in head
    assert b"connection: close" in head
    return int(head.split()[1]), error["code"]


@pytest.mark.parametrize("case", REFUSED)
def test_ambiguous_requests_are_refused(shared: RunningGunicorn, case: str) -> None:
    """What two servers may read differently is answered 400 once, and nothing after it is served."""
    assert error_of(shared.exchange(REFUSED[case])) == (400, "malformed_request")


@pytest.mark.parametrize(
    ("sent", "expected"),
    [
        (request("/" + "x" * 2048), (414, "uri_too_long")),
        (request("/" + "x" * 1_000_000), (414, "uri_too_long")),
        (request("/", *[f"X-{i}: a" for i in range(64)]), (431, "headers_too_large")),
        (request("/", *[f"X-{i}: a" for i in range(5_000)]), (431, "headers_too_large")),
        (request("/", f"X-A: {'x' * 4097}"), (431, "headers_too_large")),
        (request("/", *[f"X-{i}: {'x' * 4000}" for i in range(5)]), (431, "headers_too_large")),
        (request("/", f"X-A: {'x' * 1_048_576}"), (431, "headers_too_large")),
        (b"\r\n" * 50_000, (431, "headers_too_large")),
        (post(CHUNKED, b"1\r\nx\r\n" * 500_000), (400, "too_many_chunks")),
        (post(CHUNKED, b"1;" + b"x" * 1_048_576), (431, "headers_too_large")),
        (post(CHUNKED, b"1\r\nx\r\n0\r\n" + b"X-A: b\r\n" * 200_000), (431, "headers_too_large")),
    ],
    ids=[
        *("target", "huge target", "65 fields", "5000 fields", "field", "sum of fields", "huge field"),
        *("empty lines", "500000 chunks", "chunk extension", "trailers"),
    ],
)
def test_limits_are_answered(shared: RunningGunicorn, sent: bytes, expected: tuple[int, str]) -> None:
    """A client that sends beyond a limit, and only then reads, reads why it was refused."""
    assert error_of(shared.exchange(sent)) == expected


def test_endless_head_takes_no_memory(shared: RunningGunicorn) -> None:
    """A head that never ends is answered while it is sent, and the client is cut soon after."""
    worker = shared.worker_pids()[0]
    before = resident_bytes(worker)
    with shared.connect() as client:
        client.sendall(b"GET / HTTP/1.1\r\nHost: a\r\nX-A: ")
        with pytest.raises(ConnectionError):
            while True:
                client.sendall(b"x" * 65_536)
    assert resident_bytes(worker) - before < 8 * 2**20


def test_the_largest_head_is_served(shared: RunningGunicorn) -> None:
    """A head within every limit is served, in one piece or byte by byte."""
    fields = ["Connection: close", *[f"X-{i}: {'x' * 180}" for i in range(62)]]
    sent = request("/" + "p" * 2047, *fields)
    assert shared.exchange(sent).startswith(b"HTTP/1.1 200")
    with shared.connect() as client:
        for start in range(0, len(sent), 97):
            client.sendall(sent[start : start + 97])
        assert read_all(client).startswith(b"HTTP/1.1 200")


def test_upgrade_is_ignored_and_its_body_is_no_request(shared: RunningGunicorn) -> None:
    """A client that offers HTTP/2 (as Java's does) is served, and its body is not taken for a request."""
    with shared.connect() as client:
        fields = ("Connection: Upgrade, HTTP2-Settings", "Upgrade: h2c", f"Content-Length: {len(SECOND)}")
        client.sendall(request("/first", *fields))
        client.sendall(SECOND)
        assert read_answer(client)[1]["size"] == len(SECOND)
        client.sendall(request("/third", "Connection: close"))
        assert read_answer(client)[1]["path"] == "/third"


def test_answers_name_no_server(shared: RunningGunicorn) -> None:
    """An answer has a date and does not tell what serves."""
    head = shared.exchange(request("/", "Connection: close")).partition(b"\r\n\r\n")[0].lower()
    assert b"\r\ndate: " in head
    assert b"\r\nserver: " not in head


def test_failing_start_ends_gunicorn(tmp_path: Path) -> None:
    """An application whose startup fails ends Gunicorn with an error instead of a loop of restarts."""
    command = [sys.executable, "-m", "gunicorn", "tests.stack.worker_app:broken", "--no-control-socket"]
    options = ["--bind", f"127.0.0.1:{free_port()}", "--worker-class", WORKER_CLASS]
    ended = subprocess.run(command + options, cwd=REPOSITORY, capture_output=True, timeout=20, check=False)
    assert ended.returncode == 3
