"""The protocol of the worker class without sockets: what it sends, in which order, and when it gives up."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Awaitable, Callable, Coroutine
from types import SimpleNamespace
from typing import Any

import httptools
import pytest
from uvicorn.config import Config
from uvicorn.protocols.http import httptools_impl
from uvicorn.protocols.http.flow_control import FlowControl
from uvicorn.server import Server, ServerState
from uvicorn_worker import UvicornWorker

from service.gunicorn_worker import PredictorProtocol, PredictorServer

Send = Callable[[dict[str, Any]], Awaitable[None]]
POST = b"POST /a HTTP/1.1\r\nHost: h\r\n"
GET = b"GET /a HTTP/1.1\r\nHost: h\r\n\r\n"


class FakeTransport:
    """What a client has received, and whether the connection still stands."""

    def __init__(self) -> None:
        self.sent = b""
        self.state = "open"
        self.reads = True

    def write(self, data: bytes) -> None:
        """Send."""
        self.sent += data

    def close(self) -> None:
        """Close both ways."""
        self.state = "closed"

    def abort(self) -> None:
        """Reset."""
        self.state = "aborted"

    def write_eof(self) -> None:
        """Close one way."""
        self.state = "half-closed"

    def can_write_eof(self) -> bool:
        """Tell that TCP can."""
        return True

    def is_closing(self) -> bool:
        """Tell whether nothing more may be sent."""
        return self.state in ("closed", "aborted")

    def pause_reading(self) -> None:
        """Leave what comes in the kernel."""
        self.reads = False

    def resume_reading(self) -> None:
        """Take what comes."""
        self.reads = True

    def get_extra_info(self, name: str) -> None:
        """Know nothing."""


class Application:
    """Answers with the path; holds its answers back until it is told to go on."""

    def __init__(self) -> None:
        self.scopes: list[dict[str, Any]] = []
        self.messages: list[dict[str, Any]] = []
        self.reads_body = True
        self.go_on = asyncio.Event()

    async def __call__(
        self, scope: dict[str, Any], receive: Callable[[], Awaitable[Any]], send: Send
    ) -> None:
        """Read the body, wait, answer."""
        self.scopes.append(scope)
        while self.reads_body:
            self.messages.append(await receive())
            if not self.messages[-1].get("more_body"):
                break
        await self.go_on.wait()
        path = scope["path"].encode()
        length = [(b"content-length", str(len(path)).encode())]
        await send({"type": "http.response.start", "status": 200, "headers": length})
        await send({"type": "http.response.body", "body": path})


class Connection:
    """One connection to the protocol under test, on a clock that only the test moves."""

    def __init__(self) -> None:
        self.application = Application()
        config = Config(
            self.application, log_config=None, ws="none", limit_concurrency=3, timeout_keep_alive=75
        )
        config.load()
        self.now = 1000.0
        loop = asyncio.get_running_loop()
        clock: Any = SimpleNamespace(time=lambda: self.now, create_task=loop.create_task)
        self.server_state, self.app_state = ServerState(), dict[str, Any]()
        self.protocol = PredictorProtocol(config, self.server_state, self.app_state, _loop=clock)
        self.transport = FakeTransport()
        self.protocol.connection_made(self.transport)  # type: ignore[arg-type]  # a fake

    async def receive(self, *pieces: bytes) -> None:
        """Let the protocol receive pieces, and the application run."""
        for piece in pieces:
            self.protocol.data_received(piece)
            await settle()

    @property
    def wait(self) -> float | None:
        """Seconds until the connection gives up, or None."""
        deadline = self.protocol.deadline
        return None if deadline is None else deadline - self.now


async def settle() -> None:
    """Let every task run until it waits."""
    for _ in range(10):
        await asyncio.sleep(0)


def on_connection(test: Callable[[Connection], Coroutine[Any, Any, None]]) -> Callable[[], None]:
    """Run a test with a new connection in an event loop."""

    async def run() -> None:
        await test(Connection())

    def in_loop() -> None:
        asyncio.run(run())

    in_loop.__doc__ = test.__doc__
    return in_loop


@on_connection
async def test_bad_pipelined_request_comes_after_the_answer(connection: Connection) -> None:
    """Bytes that are no request, behind a good one, do not become its answer; the connection then ends."""
    await connection.receive(GET + b"nonsense\r\n\r\n")
    assert connection.transport.sent == b""
    connection.application.go_on.set()
    await settle()
    assert connection.transport.sent.count(b"HTTP/1.1 ") == 1
    assert connection.transport.sent.endswith(b"/a")
    assert b"connection: close" in connection.transport.sent
    assert connection.transport.state == "closed"


@on_connection
async def test_bad_body_is_answered_once(connection: Connection) -> None:
    """A body that breaks off in nonsense is answered 400, and the application hears of a disconnect."""
    await connection.receive(POST + b"Transfer-Encoding: chunked\r\n\r\n1\r\nx\r\n", b"nonsense\r\n")
    connection.application.go_on.set()
    await settle()
    assert connection.transport.sent.count(b"HTTP/1.1 ") == 1
    assert connection.transport.sent.startswith(b"HTTP/1.1 400")
    assert connection.application.messages[-1] == {"type": "http.disconnect"}
    assert connection.transport.state == "half-closed"


@on_connection
async def test_bad_body_after_its_answer_gets_no_second_answer(connection: Connection) -> None:
    """Nonsense in the rest of a body that was answered early only ends the connection."""
    connection.application.reads_body = False
    connection.application.go_on.set()
    await connection.receive(POST + b"Transfer-Encoding: chunked\r\n\r\n1\r\nx\r\n", b"nonsense\r\n")
    assert connection.transport.sent.count(b"HTTP/1.1 ") == 1
    assert connection.transport.sent.endswith(b"/a")
    assert connection.transport.state == "closed"


@on_connection
async def test_next_request_after_an_early_answer(connection: Connection) -> None:
    """The rest of a body that was answered early is dropped, and the next request is served."""
    connection.application.reads_body = False
    connection.application.go_on.set()
    await connection.receive(POST + b"Content-Length: 9\r\n\r\n1234", b"56789" + GET.replace(b"/a", b"/b"))
    assert [scope["path"] for scope in connection.application.scopes] == ["/a", "/b"]
    assert connection.wait == 75


@on_connection
async def test_trailers_do_not_change_a_request(connection: Connection) -> None:
    """A trailer is dropped; the request that the application has keeps its headers."""
    await connection.receive(
        POST + b"Transfer-Encoding: chunked\r\n\r\n1\r\nx\r\n", b"0\r\nAuthorization: x\r\n\r\n"
    )
    names = [name for name, _ in connection.application.scopes[0]["headers"]]
    assert names == [b"host", b"transfer-encoding"]
    assert connection.application.messages[-1]["more_body"] is False


@on_connection
async def test_deadlines_of_one_connection(connection: Connection) -> None:
    """Silence and a head have 5 s each, the application any time, an idle connection the keep-alive time."""
    assert connection.wait == 5
    connection.now += 4
    await connection.receive(b"GET /a")
    assert connection.wait == 5
    connection.now += 4
    await connection.receive(b" HTTP/1.1\r\n")
    assert connection.wait == 1
    await connection.receive(b"Host: h\r\n\r\n")
    assert connection.wait is None
    connection.application.go_on.set()
    await settle()
    assert connection.wait == 75


@on_connection
async def test_slow_reader_has_a_deadline(connection: Connection) -> None:
    """A client that reads nothing of its answer has 10 s, whatever state it is in."""
    await connection.receive(GET)
    connection.protocol.pause_writing()
    assert connection.wait == 10
    connection.protocol.resume_writing()
    connection.protocol.pause_writing()
    connection.now += 3
    connection.application.go_on.set()
    await settle()
    assert connection.wait == 7
    connection.protocol.resume_writing()
    await settle()
    assert connection.transport.sent.endswith(b"/a")


@on_connection
async def test_pipelined_requests_are_answered_in_order(connection: Connection) -> None:
    """While one request waits for another nothing more is read; after both the connection reads on."""
    connection.application.reads_body = False
    await connection.receive(GET + GET.replace(b"/a", b"/b"))
    assert not connection.transport.reads
    connection.application.go_on.set()
    await settle()
    assert connection.transport.reads
    answers = connection.transport.sent.split(b"HTTP/1.1 ")[1:]
    assert [answer[-2:] for answer in answers] == [b"/a", b"/b"]


@on_connection
async def test_deadline_that_ends_a_connection(connection: Connection) -> None:
    """Past its deadline a waiting connection is closed, then reset; one being served is left alone."""
    server, protocol = PredictorServer(connection.protocol.config), connection.protocol
    server.server_state.connections.add(protocol)
    await connection.receive(GET)
    protocol.deadline = 0.001
    await server.close_expired()
    assert connection.transport.state == "open"
    connection.application.go_on.set()
    await settle()
    protocol.deadline = 0.001
    await server.close_expired()
    assert connection.transport.state == "closed"
    protocol.deadline = 0.001
    await server.close_expired()
    assert connection.transport.state == "aborted"


@on_connection
async def test_draining_shortens_waits(connection: Connection) -> None:
    """While the worker drains, a request is served as the last one, and silence ends after a second."""
    connection.app_state["draining"] = True
    connection.protocol.shutdown()
    assert connection.wait == 1
    connection.application.go_on.set()
    await connection.receive(GET)
    assert connection.application.scopes[0]["state"] == {"draining": True}
    assert b"connection: close" in connection.transport.sent
    assert connection.transport.state == "closed"


@on_connection
async def test_connections_above_the_cap(connection: Connection) -> None:
    """Above the cap a connection is answered 503; those below it are still served."""
    connection.server_state.connections.update(object() for _ in range(3))  # type: ignore[misc]  # only counted
    above = FakeTransport()
    protocol = PredictorProtocol(connection.protocol.config, connection.server_state, {})
    protocol.connection_made(above)  # type: ignore[arg-type]  # a fake
    assert above.sent.startswith(b"HTTP/1.1 503")
    connection.application.go_on.set()
    await connection.receive(GET)
    assert connection.transport.sent.startswith(b"HTTP/1.1 200")


OVERRIDDEN_OR_CALLED = {
    httptools_impl.HttpToolsProtocol: (
        "connection_made connection_lost data_received on_message_begin on_headers_complete on_body "
        "on_message_complete on_response_complete pause_writing shutdown _start_asgi_task"
    ),
    Server: "on_tick shutdown startup main_loop handle_exit capture_signals",
    UvicornWorker: "CONFIG_KWARGS init_signals handle_exit notify run _serve _install_sigquit_handler",
    FlowControl: "pause_reading resume_reading pause_writing resume_writing",
    httptools.HttpRequestParser: "feed_data get_method get_http_version should_upgrade",
}


@pytest.mark.parametrize("owner", OVERRIDDEN_OR_CALLED)
def test_names_that_the_worker_overrides_or_calls_exist(owner: type) -> None:
    """An update of uvicorn that renames what the worker builds on is seen here, not in production."""
    assert [name for name in OVERRIDDEN_OR_CALLED[owner].split() if not hasattr(owner, name)] == []


@on_connection
async def test_attributes_that_the_worker_uses_exist(connection: Connection) -> None:
    """An update of uvicorn that renames the state the worker reads and sets is seen here."""
    config = connection.protocol.config
    plain = httptools_impl.HttpToolsProtocol(config, ServerState(), {})
    plain.connection_made(FakeTransport())  # type: ignore[arg-type]  # a fake
    plain.data_received(GET)
    used = (
        "app_state client connections cycle flow headers limit_concurrency loop parser pipeline server_state"
    )
    assert set(f"{used} timeout_keep_alive transport url".split()) <= set(vars(plain))
    assert {"disconnected", "keep_alive", "message_event", "response_complete", "response_started"} <= set(
        vars(plain.cycle)
    )
    assert {"read_paused", "write_paused"} <= set(vars(plain.flow))
    assert {"connections", "tasks", "total_requests"} <= set(vars(plain.server_state))
    assert {"should_exit", "force_exit", "server_state", "config"} <= set(vars(Server(config)))
    assert {"servers", "lifespan"} <= set(Server._serve.__code__.co_names + Server.startup.__code__.co_names)
    assert {"backlog", "ssl", "limit_concurrency"} <= set(vars(config))
    parameters = list(inspect.signature(httptools_impl.HttpToolsProtocol.__init__).parameters)
    assert parameters[1:4] == ["config", "server_state", "app_state"]
    await settle()
