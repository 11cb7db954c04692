"""The prediction routes: one lean endpoint, ahead of the framework, described in `openapi.py` beside it.

The order of the steps is the order of their cost: what can be refused cheaply is refused first, and a full
queue is found out before the body is read.
"""

from __future__ import annotations

import re
import time
from dataclasses import dataclass

from service.api.answer import Answer
from service.api.body import Receive, check_media_type, read_body, wait_for_disconnect
from service.api.prediction_answers import batch_answer, single_answer
from service.api.request_head import RequestHead, read_prediction_query
from service.errors import (
    ClientGoneError,
    DeadlineError,
    InvalidInputError,
    MethodNotAllowedError,
    NotReadyError,
    PredictionError,
    PredictionLogFullError,
    QueueFullError,
    RequestError,
)
from service.events import (
    OTHER_MODEL,
    Announcer,
    InputRejected,
    Kind,
    ModelKey,
    ModelRequestFinished,
    Outcome,
    ServedRequest,
)
from service.inference.engine import Engine
from service.inference.models import Models, ServedModel

SINGLE_ROUTE = "/v1/predict"
BATCH_ROUTE = "/v1/predict/batch"
MODEL_SINGLE_ROUTE = "/v1/models/{model_name}/predict"
MODEL_BATCH_ROUTE = "/v1/models/{model_name}/predict/batch"
_MODEL_PATH = re.compile(r"/v1/models/([^/]+)/predict(/batch)?")


@dataclass(frozen=True, slots=True)
class PredictionRoute:
    """Which prediction route a path names; `handler` is its template, the label of HTTP metrics."""

    handler: str
    kind: Kind
    model_name: str | None


_ROUTES = {
    SINGLE_ROUTE: PredictionRoute(SINGLE_ROUTE, "single", None),
    BATCH_ROUTE: PredictionRoute(BATCH_ROUTE, "batch", None),
    "/predict": PredictionRoute(SINGLE_ROUTE, "single", None),
    "/predict-batch": PredictionRoute(BATCH_ROUTE, "batch", None),
}


def prediction_route(path: str) -> PredictionRoute | None:
    """Return the prediction route of a path, or None."""
    route = _ROUTES.get(path)
    if route is None and path.startswith("/v1/models/"):
        match = _MODEL_PATH.fullmatch(path)
        if match is not None:
            handler = MODEL_BATCH_ROUTE if match[2] else MODEL_SINGLE_ROUTE
            return PredictionRoute(handler, "batch" if match[2] else "single", match[1])
    return route


@dataclass(slots=True)
class Served:
    """What is known of a prediction request beside its head: who calls, and for the log line how it ended."""

    caller: str = ""
    key: ModelKey = OTHER_MODEL
    outcome: Outcome = "rejected"
    rows: int = 0


_OUTCOMES: dict[type[RequestError], Outcome] = {
    QueueFullError: "shed",
    PredictionLogFullError: "shed",
    NotReadyError: "failed",
    DeadlineError: "expired",
    ClientGoneError: "disconnected",
    PredictionError: "failed",
}


def outcome_of(error: RequestError) -> Outcome:
    """Say how a request that ends in this error counts: `rejected` is the client's mistake."""
    return _OUTCOMES.get(type(error), "rejected")


@dataclass(frozen=True, slots=True)
class BodyLimits:
    """Bounds on what is read of one request."""

    single_max_bytes: int
    batch_max_bytes: int
    seconds: float


class PredictionEndpoint:
    """Answers single and batch predictions.

    Args:
        models: who answers.
        engine: where it is computed.
        announcer: hears how each request ended, before its answer leaves.
        limits: bounds on the body.
    """

    def __init__(self, models: Models, engine: Engine, announcer: Announcer, limits: BodyLimits) -> None:
        self._models = models
        self._engine = engine
        self._announcer = announcer
        self._limits = limits

    async def answer(
        self, route: PredictionRoute, head: RequestHead, receive: Receive, started: float, served: Served
    ) -> Answer:
        """Answer one request and announce how it ended.

        Args:
            route: the route that the path names.
            head: the request's head.
            receive: the ASGI channel of its body.
            started: `time.perf_counter()` when the request entered.
            served: tells the caller; the rest is filled in, for the log line.

        Raises:
            RequestError: the request gets no prediction.
        """
        try:
            answer = await self._predict(route, head, receive, started, served)
            served.outcome = "ok"
        except InvalidInputError as error:
            self._announcer.announce(InputRejected(served.key, error.violations))
            raise
        except RequestError as error:
            served.outcome = outcome_of(error)
            if served.outcome == "shed" and self._models.is_draining:
                served.outcome = "draining"
            raise
        except Exception:
            served.outcome = "failed"
            raise
        finally:
            seconds = time.perf_counter() - started
            self._announcer.announce(ModelRequestFinished(served.key, served.outcome, route.kind, seconds))
        return answer

    async def _predict(
        self, route: PredictionRoute, head: RequestHead, receive: Receive, started: float, served: Served
    ) -> Answer:
        if head.method != "POST":
            raise MethodNotAllowedError("POST")
        query = read_prediction_query(head.query, route.model_name)
        served.key = self._models.resolve(query.model_name, query.model_version)
        model = self._models.serving(served.key)
        check_media_type(head.content_type, head.content_encoding)
        self._engine.check_room()
        is_single = route.kind == "single"
        max_bytes = self._limits.single_max_bytes if is_single else self._limits.batch_max_bytes
        body = await read_body(receive, head.content_length, max_bytes, self._limits.seconds)
        if is_single:
            rows = [model.parser.single(body)]
        else:
            self._check_room_for_batch(model, body)
            rows = model.parser.batch(body)
        request = ServedRequest(head.request_id, served.caller, len(rows), body)
        predicted = await self._engine.predict(
            model, rows, route.kind, request, lambda: wait_for_disconnect(receive)
        )
        served.rows = len(rows)
        seconds = time.perf_counter() - started
        if is_single:
            return Answer(200, single_answer(model, rows[0], predicted, query.probabilities, seconds))
        return Answer(200, batch_answer(model, rows, predicted, query.probabilities, seconds))

    def _check_room_for_batch(self, model: ServedModel, body: bytes) -> None:
        """Refuse a batch that does not fit before its rows are validated.

        Counting rows costs most of a parse: it is done only when a batch of the largest size would not fit.
        """
        try:
            self._engine.check_room(model.parser.batch_rows_max)
        except QueueFullError:
            self._engine.check_room(model.parser.count_batch_rows(body))
