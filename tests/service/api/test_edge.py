"""The outermost layer: ids, tokens, and what nobody expected."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, MutableMapping
from hashlib import sha256
from typing import Any

import pytest

from service.api.answer import Answer
from service.api.body import Receive
from service.api.edge import PUBLIC_PATHS, Edge, LeanRoute
from service.api.request_head import RequestHead
from service.api.tokens import Tokens
from service.errors import PredictionLogFullError
from service.events import HttpRequestFinished
from tests.asgi import JSON_HEADERS, AsgiClient, assert_error_body
from tests.fakes import Recorder
from tests.service.api.conftest import TOKEN

AUTHORIZED = (("authorization", f"Bearer {TOKEN}"),)


def test_well_formed_request_ids_are_kept(client: AsgiClient) -> None:
    """The client's id comes back; anything odd is replaced, so that it cannot forge a log line."""
    assert client.get("/health", (("x-request-id", "abc-123.DEF"),)).headers["x-request-id"] == "abc-123.DEF"
    for odd in ("short", "a" * 129, 'with"quote-and-more', "line\nbreak-break", "späterspäter"):
        given = client.get("/health", (("x-request-id", odd),)).headers["x-request-id"]
        assert re.fullmatch(r"[0-9a-f]{24}", given)


@pytest.mark.parametrize(
    "path", ["/nope", "/v1", "/v1/", "/health/", "/docs/x", "/v1/models/a/b/c", "//health"]
)
def test_unknown_paths(client: AsgiClient, path: str) -> None:
    """No route, the one error body, counted under one label."""
    assert_error_body(client.get(path), 404, "not_found")


def test_unknown_model_detail(client: AsgiClient) -> None:
    """The framework's routes answer errors in the same body."""
    assert_error_body(client.get("/v1/models/nobody"), 404, "unknown_model")


@pytest.mark.parametrize(
    "path",
    [
        "/v1/predict",
        "/predict",
        "/predict-batch",
        "/v1/models/numbers/predict",
        "/v1/log-prediction",
        "/log-prediction",
        "/v1/log-ground-truth",
        "/log-ground-truth",
        "/v1/models",
        "/v1/models/numbers",
        "/metrics",
        "/anything/else",
        "/healthz",
        "/docs/../metrics",
        "/ready/",
    ],
)
@pytest.mark.parametrize("method", ["GET", "POST", "HEAD", "OPTIONS", "DELETE"])
def test_every_route_needs_a_token(guarded: AsgiClient, path: str, method: str) -> None:
    """Default deny: what is not on the short public list answers 401 before anything else is looked at."""
    response = guarded.call(method, path)
    assert_error_body(response, 401, "unauthorized")
    assert response.headers["www-authenticate"] == "Bearer"


@pytest.mark.parametrize("path", sorted(PUBLIC_PATHS))
def test_public_routes_need_none(guarded: AsgiClient, path: str) -> None:
    """Health, readiness and documentation are for everybody."""
    assert guarded.get(path).status == 200


def test_valid_token_opens(guarded: AsgiClient) -> None:
    """The right token gives the same answers as no tokens at all."""
    assert guarded.get("/v1/models", AUTHORIZED).status == 200
    wrong = (("authorization", f"Bearer {TOKEN[:-1]}y"),)
    assert guarded.get("/v1/models", wrong).status == 401


@pytest.mark.parametrize(
    "path", ["/v1/log-prediction", "/log-prediction", "/v1/log-ground-truth", "/log-ground-truth"]
)
def test_routes_of_the_log_open_with_a_token(guarded: AsgiClient, path: str) -> None:
    """Behind the token the body is looked at."""
    headers = (*AUTHORIZED, *JSON_HEADERS)
    assert_error_body(guarded.post(path, b"{", headers), 422, "invalid_input")


class NoLifespan:
    """A worker that needs nothing."""

    async def start(self, state: MutableMapping[str, Any]) -> None:
        """Do nothing."""

    async def stop(self) -> None:
        """Do nothing."""


def edge_around(framework: Callable[..., Awaitable[None]], recorder: Recorder) -> AsgiClient:
    """Put the edge around a framework; prediction routes are not called."""
    predictions: Any = None
    edge = Edge(
        predictions=predictions,
        lean_routes={},
        framework=framework,
        tokens=None,
        announcer=recorder.announcer,
        lifespan=NoLifespan(),
    )
    return AsgiClient(edge)


def test_unexpected_error_is_a_fixed_500(caplog: pytest.LogCaptureFixture) -> None:
    """Nothing of the inside reaches the client; the log has the request id."""
    recorder = Recorder().listen(HttpRequestFinished)

    with edge_around(_never_called, recorder) as client:
        response = client.post("/v1/predict", {})
    assert_error_body(response, 500, "internal_error")
    assert b"NoneType" not in response.body
    assert response.headers["x-request-id"] in caplog.text
    assert [event.status for event in recorder.of(HttpRequestFinished)] == [500]


async def _never_called(scope: Any, receive: Any, send: Any) -> None:
    raise AssertionError("not a framework route")


class Echo:
    """A lean endpoint that answers with its caller, or fails."""

    def __init__(self, error: Exception | None = None) -> None:
        self.error = error

    async def answer(self, head: RequestHead, receive: Receive, caller: str) -> Answer:
        """Answer."""
        if self.error is not None:
            raise self.error
        return Answer(200, f'"{caller}"'.encode())


def lean_edge(endpoint: Echo, recorder: Recorder, tokens: Tokens | None = None) -> AsgiClient:
    """Put the edge around one lean route, under two paths."""
    route = LeanRoute("/v1/echo", endpoint)
    predictions: Any = None
    edge = Edge(
        predictions=predictions,
        lean_routes={"/v1/echo": route, "/echo": route},
        framework=_never_called,
        tokens=tokens,
        announcer=recorder.announcer,
        lifespan=NoLifespan(),
    )
    return AsgiClient(edge)


@pytest.mark.parametrize("path", ["/v1/echo", "/echo"])
def test_lean_routes_know_their_caller_and_are_counted_under_their_handler(path: str) -> None:
    """An alias counts as its route; there is no model that was asked."""
    recorder = Recorder().listen(HttpRequestFinished)
    tokens = Tokens({"alice": sha256(TOKEN.encode()).digest()})
    with lean_edge(Echo(), recorder, tokens) as client:
        assert client.post(path, {}, AUTHORIZED).body == b'"alice"'
        assert client.post(path, {}).status == 401
    with lean_edge(Echo(), recorder) as client:
        assert client.post(path, {}).body == b'""'
    events = recorder.of(HttpRequestFinished)
    assert [(event.handler, event.status) for event in events] == [
        ("/v1/echo", 200),
        ("/v1/echo", 401),
        ("/v1/echo", 200),
    ]
    assert {(event.key, event.outcome, event.rows) for event in events} == {(None, None, 0)}


def test_errors_of_lean_routes_are_answered_like_all_others(caplog: pytest.LogCaptureFixture) -> None:
    """Ours with their code, foreign ones with a fixed text."""
    recorder = Recorder().listen(HttpRequestFinished)
    with lean_edge(Echo(PredictionLogFullError("no room")), recorder) as client:
        response = client.post("/echo", {})
    assert_error_body(response, 503, "prediction_log_full")
    assert response.headers["retry-after"] in {"5", "6"}
    with lean_edge(Echo(KeyError("a secret")), recorder) as client:
        response = client.post("/echo", {})
    assert_error_body(response, 500, "internal_error")
    assert b"secret" not in response.body
    assert response.headers["x-request-id"] in caplog.text
    events = recorder.of(HttpRequestFinished)
    assert [(event.handler, event.status) for event in events] == [("/v1/echo", 503), ("/v1/echo", 500)]


def test_requests_are_announced_before_their_answer_leaves() -> None:
    """A counter is never behind the answers that clients have."""
    recorder = Recorder().listen(HttpRequestFinished)
    seen_at_send: list[int] = []

    async def framework(scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"{}"})

    client = edge_around(framework, recorder)
    original = client._app

    async def watched(scope: Any, receive: Any, send: Any) -> None:
        async def watched_send(message: Any) -> None:
            if message["type"] == "http.response.start":
                seen_at_send.append(len(recorder.events))
            await send(message)

        await original(scope, receive, watched_send)

    client._app = watched
    with client:
        client.get("/anything")
        client.post("/v1/predict", {})
    assert seen_at_send == [1, 2]


def test_worker_that_cannot_start_says_so(caplog: pytest.LogCaptureFixture) -> None:
    """A failing start ends the worker instead of serving half-built."""

    class Failing(NoLifespan):
        async def start(self, state: MutableMapping[str, Any]) -> None:
            raise OSError("disk full")

    nothing: Any = None
    edge = Edge(
        predictions=nothing,
        lean_routes={},
        framework=_never_called,
        tokens=None,
        announcer=Recorder().announcer,
        lifespan=Failing(),
    )
    with pytest.raises(AssertionError, match="disk full"), AsgiClient(edge):
        pass
    assert "worker cannot start" in caplog.text
