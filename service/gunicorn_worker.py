"""The Gunicorn worker of the predictor (why this one: `docs/decisions/0001-worker-class.md`)."""

from __future__ import annotations

import asyncio
import faulthandler
import json
import os
import resource
import signal
import socket
from functools import partial
from types import SimpleNamespace
from typing import Any, cast

import httptools
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol
from uvicorn.server import Server, logger
from uvicorn_worker import UvicornWorker

# Version, number of Host headers and transfer coding of a request whose end everybody finds in one place.
FRAMINGS = {("1.1", 1, b""), ("1.1", 1, b"chunked"), ("1.0", 0, b""), ("1.0", 1, b"")}


class RequestRefusedError(Exception):
    """A request that is answered here, before the application sees it."""

    def __init__(self, status: int, code: str, message: str) -> None:
        super().__init__(code)
        request_id = os.urandom(12).hex()
        error = {"code": code, "message": message, "details": [], "request_id": request_id}
        body = json.dumps({"error": error})
        head = f"content-type: application/json\r\ncontent-length: {len(body)}\r\nconnection: close\r\n"
        retry = "retry-after: 1\r\n" if status == 503 else ""
        self.answer = STATUS_LINE[status] + f"{head}{retry}x-request-id: {request_id}\r\n\r\n{body}".encode()


class PredictorProtocol(HttpToolsProtocol):
    """One connection; `deadline` ends a wait for the client, it is None while the application works."""

    TARGET_BYTES, FIELDS, FIELD_BYTES = 2048, 64, 4096
    HEAD_BYTES = BODY_PIECES = 16_384
    HEAD_SECONDS = 5.0  # from the connection to the first byte of a head, and from there to its end
    DRAIN_SECONDS = 1.0  # a stopping worker waits so long for a request that may be on its way
    LINGER_SECONDS = 2.0  # a refused client is read from so long, since a reset destroys its answer
    STALL_SECONDS = 10.0  # a client may read nothing of its answer for so long

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        # Above its limit uvicorn refuses requests of all connections; here only new connections are.
        self.cap, self.limit_concurrency = self.limit_concurrency or 1, None
        self.deadline: float | None = None
        self.idle = True  # no byte of the next request has come
        self.body_pending = False  # a head is complete and its body is not
        self.deaf = self.ended = False  # nothing more is read; nothing more is written
        self.idle_bytes = self.body_pieces = 0  # bytes since a head or a piece of body was complete
        self.url = b""

    @property
    def busy(self) -> bool:
        """Whether the application owes an answer."""
        return self.cycle is not None and not self.cycle.response_complete

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Take the connection, or refuse it above the cap."""
        self.raw = raw = cast(asyncio.Transport, transport)
        super().connection_made(raw)
        # uvicorn closes right after an answer, which resets a client that still sends; `end` does not.
        guarded = SimpleNamespace(write=raw.write, close=self.end)
        guarded.is_closing = lambda: self.ended or raw.is_closing()
        self.transport = cast(Any, guarded)
        self.expect_request(self.HEAD_SECONDS)
        excess = len(self.connections) - self.cap
        if excess > 0:
            self.refuse(RequestRefusedError(503, "too_many_connections", "Too many connections."))
        if excess > self.cap // 4:
            raw.close()  # lingering takes descriptors too

    def data_received(self, data: bytes) -> None:
        """Parse what came; refuse what breaks a limit or the protocol."""
        if self.deaf:
            return
        room = self.HEAD_BYTES - self.idle_bytes
        if len(data) > room and not self.body_pending:
            self.data_received(data[:room])  # where a head must have ended
            self.data_received(data[room:])
            return
        if self.idle:
            self.idle, self.deadline = False, None
        cycle = self.cycle
        self.idle_bytes += len(data)
        try:
            self.parser.feed_data(data)
        except httptools.HttpParserUpgrade as upgrade:
            self.ignore_upgrade(data[upgrade.args[0] :])
        except httptools.HttpParserError as error:
            cause = error.__context__
            malformed = RequestRefusedError(400, "malformed_request", "This is not well-formed HTTP/1.1.")
            self.refuse(cause if isinstance(cause, RequestRefusedError) else malformed)
        if self.cycle is not cycle or self.deaf:
            return
        if self.idle_bytes >= self.HEAD_BYTES:
            self.refuse(self.too_large())
        elif self.deadline is None and not self.busy:
            self.deadline = self.loop.time() + self.HEAD_SECONDS

    def on_headers_complete(self) -> None:
        """Check what the parser lets pass, then hand the request to the application."""
        self.check_head()
        if self.parser.should_upgrade():
            return  # the parser ends here; ignore_upgrade starts it anew
        self.idle_bytes = self.body_pieces = 0
        self.deadline = None
        super().on_headers_complete()
        self.body_pending = True
        self.headers = []  # takes the trailers; the application has the other list
        if "draining" in self.app_state:
            self.cycle.keep_alive = False

    def on_body(self, body: bytes) -> None:
        """Take a piece of the body; each costs time whatever its size, so they are counted."""
        self.idle_bytes = 0
        self.body_pieces += 1
        if self.body_pieces > self.BODY_PIECES:
            raise RequestRefusedError(400, "too_many_chunks", f"At most {self.BODY_PIECES} pieces of body.")
        super().on_body(body)

    def on_message_complete(self) -> None:
        """End the body; after an early answer the next request may come now."""
        if self.body_pending:
            self.body_pending = False
            super().on_message_complete()
            if not self.busy:
                self.expect_request(self.timeout_keep_alive)

    def on_response_complete(self) -> None:
        """Start the next pipelined request, or wait for one."""
        self.server_state.total_requests += 1
        if self.transport.is_closing():
            return
        self.flow.resume_reading()
        if self.pipeline:
            self._start_asgi_task(*self.pipeline.pop())
        else:
            self.expect_request(self.timeout_keep_alive)

    def pause_writing(self) -> None:
        """Give a client that does not read its answer a deadline."""
        super().pause_writing()
        self.deadline = self.loop.time() + self.STALL_SECONDS

    def shutdown(self) -> None:
        """Announce the end in the answer under way, or in that to a request which is on its way."""
        if self.idle:
            self.expect_request(self.DRAIN_SECONDS)
        elif self.busy and not self.cycle.response_started:
            self.cycle.keep_alive = False

    def expect_request(self, seconds: float) -> None:
        """Wait for the next request, if need be after the rest of a body that was answered early."""
        self.idle = not self.body_pending
        seconds = self.DRAIN_SECONDS if "draining" in self.app_state else seconds
        if not self.flow.write_paused:
            self.deadline = self.loop.time() + seconds

    def end(self, *, linger: bool | None = None) -> None:
        """Close after what is written; a client that still sends is first read to its end."""
        if self.transport.is_closing():
            return
        self.deaf = self.ended = True
        self.flow.resume_reading()
        linger = (self.body_pending if linger is None else linger) and self.raw.can_write_eof()
        self.deadline = self.loop.time() + (self.LINGER_SECONDS if linger else self.STALL_SECONDS)
        (self.raw.write_eof if linger else self.raw.close)()

    def refuse(self, refusal: RequestRefusedError) -> None:
        """Answer in the application's place, unless that would be a second answer to one request."""
        logger.info("Refused a request of %s: %s", self.client, refusal)
        self.deaf, answered = True, False
        if self.body_pending:
            answered = self.cycle.response_started or bool(self.pipeline)
            self.cycle.disconnected = True
            self.cycle.message_event.set()
        elif self.busy:
            self.cycle.keep_alive = False  # the requests before this one are answered, then it closes
            return
        if not answered:
            self.raw.write(refusal.answer)
        self.end(linger=not answered)

    def too_large(self) -> RequestRefusedError:
        """Return the refusal of a head that is above a limit."""
        if len(self.url) > self.TARGET_BYTES:
            return RequestRefusedError(414, "uri_too_long", f"At most {self.TARGET_BYTES} bytes of target.")
        limits = f"At most {self.FIELDS} headers of {self.FIELD_BYTES} bytes, {self.HEAD_BYTES} in all."
        return RequestRefusedError(431, "headers_too_large", limits)

    def check_head(self) -> None:
        """Refuse what is ambiguous, and what the parser takes for HTTP/1.1 although it is not."""
        names = [name for name, _ in self.headers]
        large = self.idle_bytes > self.FIELD_BYTES < max((len(value) for _, value in self.headers), default=0)
        if large or len(names) > self.FIELDS or len(self.url) > self.TARGET_BYTES:
            raise self.too_large()
        coding = dict(self.headers).get(b"transfer-encoding", b"").lower()
        framing = self.parser.get_http_version(), names.count(b"host"), coding
        connect = self.parser.should_upgrade() and b"upgrade" not in names
        if framing not in FRAMINGS or connect or self.url[:1] != b"/" or b"#" in self.url:
            raise ValueError("answered as malformed")

    def ignore_upgrade(self, rest: bytes) -> None:
        """Parse the request without its Upgrade header, whose body would be taken for the next request."""
        fields = b"".join(b"%s: %s\r\n" % field for field in self.headers if field[0] != b"upgrade")
        line = b"%s %s HTTP/1.1\r\n" % (self.parser.get_method(), self.url)
        self.parser, self.idle_bytes = httptools.HttpRequestParser(self), 0
        self.data_received(line + fields + b"\r\n" + rest)


class PredictorServer(Server):
    """The server of one worker: watches parent and deadlines, and stops without cutting anybody."""

    worker: PredictorWorker

    async def on_tick(self, counter: int) -> bool:
        """Do what is due, ten times a second; return whether to stop."""
        self.worker.notify()  # each time: a loop that is busy ticks slowly, and is not to be killed for that
        if counter % 5 == 0:
            await self.close_expired()
        return await super().on_tick(counter) or not self.worker.alive or os.getppid() != self.worker.ppid

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Answer every connection that was established before, then stop the application."""
        loop, state = asyncio.get_running_loop(), self.server_state
        end = loop.time() + self.worker.cfg.graceful_timeout - 1  # a second is left to the application
        self.lifespan.state["draining"] = True
        for connection in list(state.connections):
            connection.shutdown()
        for listener in sockets or ():
            await self.take_queued(listener)
        for server in self.servers:
            server.close()
        while (state.connections or state.tasks) and not self.force_exit and loop.time() < end:
            await asyncio.sleep(0.1)
            self.worker.notify()
            await self.close_expired()
        for left in cast(list[PredictorProtocol], list(state.connections)):
            logger.warning("Cut the connection of %s", left.client)
            left.raw.abort()  # else an answer that waits for its reader would hold the exit
        await self.lifespan.shutdown()

    async def take_queued(self, listener: socket.socket) -> None:
        """Accept what waits in the kernel; it would be reset when the listener closes."""
        config, loop = self.config, asyncio.get_running_loop()
        factory = cast(Any, config.http_protocol_class)
        make: Any = partial(factory, config, self.server_state, self.lifespan.state)
        # First in, first out: what was queued at the signal is among the first backlog + 1.
        for _ in range(config.backlog + 1):
            try:
                await loop.connect_accepted_socket(make, listener.accept()[0], ssl=config.ssl)
            except BlockingIOError:
                return
            except OSError as error:
                logger.warning("A queued connection was lost: %s", error)

    async def close_expired(self) -> None:
        """Close the connections that are past their deadline."""
        for _ in range(3):
            await asyncio.sleep(0)  # after a stall, what clients sent meanwhile is read first
        now = asyncio.get_running_loop().time()
        for connection in cast(list[PredictorProtocol], list(self.server_state.connections)):
            stalled = connection.flow.write_paused
            if (connection.deadline or now) < now and (stalled or not connection.busy):
                (connection.raw.abort if stalled or connection.ended else connection.end)()


class PredictorWorker(UvicornWorker):  # type: ignore[misc]  # uvicorn_worker ships no types
    """Gunicorn's `worker_class` of the predictor."""

    CONFIG_KWARGS = dict(  # noqa: C408, RUF012 - the name and the kind are those of uvicorn-worker
        http=PredictorProtocol, ws="none", lifespan="on", callback_notify=None,
        access_log=False, proxy_headers=False, server_header=False,
    )  # fmt: skip

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        open_files, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
        self.config.limit_concurrency = min(self.cfg.worker_connections, open_files // 2)

    def init_signals(self) -> None:
        """Keep a signal that comes before the server runs; show where an aborted loop was blocked."""
        super().init_signals()
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self.handle_exit)
        faulthandler.enable()

    async def _serve(self) -> None:
        self.config.app = self.wsgi
        server = PredictorServer(self.config)
        server.worker = self
        self._install_sigquit_handler()
        await server.serve(sockets=[listener.sock for listener in self.sockets])
