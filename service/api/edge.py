"""The outermost layer: every request passes here first, whichever part answers it.

It gives the request its id, checks the token on the path that is routed, sends prediction routes to their
endpoint and the rest to the framework, and announces how each request ended before its answer leaves.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Awaitable, Callable, Mapping, MutableMapping
from dataclasses import dataclass
from typing import Any, Protocol

from service.api.answer import Answer
from service.api.body import Receive, discard_body
from service.api.error_responses import error_answer
from service.api.prediction_endpoint import PredictionEndpoint, Served, prediction_route
from service.api.request_head import RequestHead, read_head
from service.api.tokens import Tokens
from service.errors import BodyTimeoutError, BodyTooLargeError, ClientGoneError, RequestError
from service.events import Announcer, HttpRequestFinished, HttpRequestStarted

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Send = Callable[[Message], Awaitable[None]]
AsgiApp = Callable[[Scope, Receive, Send], Awaitable[None]]

PUBLIC_PATHS = frozenset(
    {"/health", "/ready", "/docs", "/docs/swagger-ui.js", "/docs/swagger-ui.css", "/openapi.json"}
)
REQUEST_ID_KEY = "plumbline.request_id"
_log = logging.getLogger("service.api")


class Endpoint(Protocol):
    """Answers one route that is served ahead of the framework."""

    async def answer(self, head: RequestHead, receive: Receive, caller: str) -> Answer:
        """Answer one request; `caller` is the name of the token's holder, empty without tokens."""


@dataclass(frozen=True, slots=True)
class LeanRoute:
    """One lean route beside those of predictions; `handler` is its label in HTTP metrics."""

    handler: str
    endpoint: Endpoint


class Lifespan(Protocol):
    """What happens when a worker starts and stops."""

    async def start(self, state: MutableMapping[str, Any]) -> None:
        """Make the worker ready; the server sets `draining` in `state` when the worker has to end."""

    async def stop(self) -> None:
        """End what `start` began."""


class Edge:
    """The ASGI application.

    Args:
        predictions: answers the prediction routes.
        lean_routes: further routes that are served ahead of the framework, by path.
        framework: answers all other routes.
        tokens: who may call; None means everybody who can reach the port.
        announcer: hears of every request.
        lifespan: start and stop of the worker.
    """

    def __init__(
        self,
        *,
        predictions: PredictionEndpoint,
        lean_routes: Mapping[str, LeanRoute],
        framework: AsgiApp,
        tokens: Tokens | None,
        announcer: Announcer,
        lifespan: Lifespan,
    ) -> None:
        self._predictions = predictions
        self._lean_routes = lean_routes
        self._framework = framework
        self._tokens = tokens
        self._announcer = announcer
        self._lifespan = lifespan

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one ASGI connection."""
        if scope["type"] == "http":
            await self._http(scope, receive, send)
        elif scope["type"] == "lifespan":
            await self._run_lifespan(scope, receive, send)
        else:
            await send({"type": "websocket.close", "code": 1000})

    async def _http(self, scope: Scope, receive: Receive, send: Send) -> None:
        started = time.perf_counter()
        self._announcer.announce(HttpRequestStarted())
        head = read_head(scope)
        route = prediction_route(head.path)
        lean = self._lean_routes.get(head.path) if route is None else None
        served = Served()
        error: Exception | None = None
        try:
            if self._tokens is not None and head.path not in PUBLIC_PATHS:
                served.caller = self._tokens.check(head.authorization)
            if route is not None:
                answer = await self._predictions.answer(route, head, receive, started, served)
            elif lean is not None:
                answer = await lean.endpoint.answer(head, receive, served.caller)
            else:
                await self._by_framework(scope, receive, send, head, started)
                return
        except Exception as caught:
            if not isinstance(caught, RequestError):
                _log.exception("request %s failed", head.request_id)
            error, answer = caught, error_answer(caught, head.request_id)
        handler = route.handler if route is not None else lean.handler if lean is not None else "other"
        self._announce_finished(head, handler, None if route is None else served, answer.status, started)
        if not isinstance(error, ClientGoneError):
            await _send(answer, head, receive, send, error)

    def _announce_finished(
        self, head: RequestHead, handler: str, served: Served | None, status: int, started: float
    ) -> None:
        self._announcer.announce(
            HttpRequestFinished(
                head.method,
                handler,
                status,
                time.perf_counter() - started,
                head.request_id,
                head.traceparent,
                None if served is None else served.key,
                None if served is None else served.outcome,
                0 if served is None else served.rows,
            )
        )

    async def _by_framework(
        self, scope: Scope, receive: Receive, send: Send, head: RequestHead, started: float
    ) -> None:
        """Let the framework answer; its first message tells how the request ended."""
        scope[REQUEST_ID_KEY] = head.request_id
        is_answered = False

        async def counted_send(message: Message) -> None:
            nonlocal is_answered
            if message["type"] == "http.response.start":
                is_answered = True
                template = getattr(scope.get("route"), "path", "other")
                handler = "/docs" if template.startswith("/docs") else template
                message["headers"] = [*message["headers"], (b"x-request-id", head.request_id.encode())]
                seconds = time.perf_counter() - started
                self._announcer.announce(
                    HttpRequestFinished(
                        head.method, handler, message["status"], seconds, head.request_id, head.traceparent
                    )
                )
            await send(message)

        try:
            await self._framework(scope, receive, counted_send)
        except Exception:
            # The framework has answered 500 and raises again, for whoever keeps the log.
            _log.exception("request %s failed", head.request_id)
        if not is_answered:
            raise ClientGoneError("client gone")

    async def _run_lifespan(self, scope: Scope, receive: Receive, send: Send) -> None:
        await receive()
        try:
            await self._lifespan.start(scope.get("state", {}))
        except Exception as error:
            _log.exception("worker cannot start")
            await send({"type": "lifespan.startup.failed", "message": str(error)})
            return
        await send({"type": "lifespan.startup.complete"})
        await receive()
        await self._lifespan.stop()
        await send({"type": "lifespan.shutdown.complete"})


async def _send(
    answer: Answer, head: RequestHead, receive: Receive, send: Send, error: Exception | None
) -> None:
    headers = [
        (b"content-type", b"application/json"),
        (b"content-length", b"%d" % len(answer.body)),
        (b"x-request-id", head.request_id.encode()),
        *answer.headers,
    ]
    await send({"type": "http.response.start", "status": answer.status, "headers": headers})
    if isinstance(error, BodyTooLargeError | BodyTimeoutError):
        await send({"type": "http.response.body", "body": answer.body, "more_body": True})
        await discard_body(receive)
        await send({"type": "http.response.body", "body": b""})
    else:
        await send({"type": "http.response.body", "body": answer.body})
