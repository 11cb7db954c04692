"""Calls an ASGI application in this process, one request at a time."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import unquote

Headers = Sequence[tuple[str, str]]
JSON_HEADERS: Headers = (("content-type", "application/json"),)
GIVE_UP_SECONDS = 20.0


@dataclass(frozen=True)
class Response:
    """What came back."""

    status: int
    headers: dict[str, str]
    body: bytes

    def json(self) -> Any:
        """Parse the body."""
        return json.loads(self.body)


class AsgiClient:
    """Runs the application's lifespan and requests on one event loop of its own."""

    def __init__(self, app: Any) -> None:
        self._app = app
        self._runner = asyncio.Runner()
        self._to_app: asyncio.Queue[dict[str, Any]] | None = None
        self._from_app: asyncio.Queue[dict[str, Any]] | None = None
        self._lifespan: asyncio.Task[None] | None = None
        self.state: dict[str, Any] = {}

    def __enter__(self) -> AsgiClient:
        try:
            self._runner.run(self._start())
        except BaseException:
            self._runner.close()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self._runner.run(self._stop())
        self._runner.close()

    async def _start(self) -> None:
        to_app: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
        from_app: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
        self._to_app, self._from_app = to_app, from_app
        scope = {"type": "lifespan", "state": self.state}
        self._lifespan = asyncio.ensure_future(self._app(scope, to_app.get, from_app.put))
        await to_app.put({"type": "lifespan.startup"})
        message = await asyncio.wait_for(from_app.get(), GIVE_UP_SECONDS)
        assert message["type"] == "lifespan.startup.complete", message

    async def _stop(self) -> None:
        assert self._to_app is not None
        assert self._lifespan is not None
        await self._to_app.put({"type": "lifespan.shutdown"})
        await asyncio.wait_for(self._lifespan, GIVE_UP_SECONDS)

    def call(
        self, method: str, target: str, body: bytes | Sequence[bytes] = b"", headers: Headers = ()
    ) -> Response:
        """Send one request; a sequence as body is sent in chunks, without a length."""
        return self._runner.run(self.send(method, target, body, headers))

    def get(self, target: str, headers: Headers = ()) -> Response:
        """Send a GET."""
        return self.call("GET", target, headers=headers)

    def post(self, target: str, content: object, headers: Headers = JSON_HEADERS) -> Response:
        """Send a POST; anything but bytes is sent as JSON."""
        body = content if isinstance(content, bytes) else json.dumps(content).encode()
        return self.call("POST", target, body, headers)

    def run(self, coroutine: Any) -> Any:
        """Run a coroutine on the application's loop."""
        return self._runner.run(coroutine)

    async def send(
        self, method: str, target: str, body: bytes | Sequence[bytes] = b"", headers: Headers = ()
    ) -> Response:
        """Send one request from the application's loop."""
        path, _, query = target.partition("?")
        raw = [(name.lower().encode(), value.encode()) for name, value in headers]
        chunks = [body] if isinstance(body, bytes) else list(body)
        if isinstance(body, bytes) and not any(name == b"content-length" for name, _ in raw):
            raw.append((b"content-length", b"%d" % len(body)))
        scope = {
            "type": "http",
            "asgi": {"version": "3.0"},
            "http_version": "1.1",
            "method": method,
            "scheme": "http",
            "path": unquote(path),
            "raw_path": path.encode(),
            "query_string": query.encode(),
            "root_path": "",
            "headers": raw,
            "client": ("127.0.0.1", 1),
            "server": ("127.0.0.1", 80),
            "state": dict(self.state),
        }
        sent: list[dict[str, Any]] = []
        gone = asyncio.Event()

        async def receive() -> dict[str, Any]:
            if chunks:
                chunk = chunks.pop(0)
                return {"type": "http.request", "body": chunk, "more_body": bool(chunks)}
            await gone.wait()
            return {"type": "http.disconnect"}

        async def send(message: dict[str, Any]) -> None:
            sent.append(dict(message))

        async with asyncio.timeout(GIVE_UP_SECONDS):
            await self._app(scope, receive, send)
        gone.set()
        start = next(message for message in sent if message["type"] == "http.response.start")
        content = b"".join(message.get("body", b"") for message in sent if message is not start)
        found = {name.decode().lower(): value.decode() for name, value in start["headers"]}
        return Response(start["status"], found, content)


def assert_error_body(response: Response, status: int, code: str) -> list[dict[str, str]]:
    """Check the one error body of the whole interface; give its details."""
    assert response.status == status, response.body
    content = response.json()
    assert set(content) == {"error"}
    error = content["error"]
    assert set(error) == {"code", "message", "details", "request_id"}
    assert error["code"] == code
    assert error["message"].endswith(".")
    assert error["request_id"] == response.headers["x-request-id"]
    assert len(error["details"]) <= 5
    assert all(set(detail) == {"field", "reason"} for detail in error["details"])
    assert len(response.body) < 2048
    details: list[dict[str, str]] = error["details"]
    return details
