"""`POST /v1/log-prediction`: a prediction that other software made, counted and logged like ours."""

from __future__ import annotations

import numpy as np
import orjson

from service.api.answer import Answer
from service.api.body import Receive, read_post
from service.api.logged_prediction import LoggedPrediction, name_in, read_logged_prediction, read_object
from service.api.prediction_endpoint import BodyLimits, outcome_of
from service.api.request_head import RequestHead
from service.errors import InvalidInputError, RequestError
from service.events import (
    NOT_JUDGED,
    OTHER_MODEL,
    Announcer,
    InputRejected,
    ModelRequestFinished,
    Outcome,
    PredictionsServed,
    ServedRequest,
)
from service.inference.micro_batch import RecordPredictions
from service.inference.models import DescribedModel, Models

LOG_PREDICTION_ROUTE = "/v1/log-prediction"


class LoggedPredictionEndpoint:
    """Takes predictions made elsewhere.

    Args:
        models: whose predictions may come, external ones included.
        record: keeps them and gives each its id.
        announcer: hears of them as of ours.
        limits: bounds on the body; that of single predictions holds.
    """

    def __init__(
        self, models: Models, record: RecordPredictions, announcer: Announcer, limits: BodyLimits
    ) -> None:
        self._models = models
        self._record = record
        self._announcer = announcer
        self._limits = limits

    async def answer(self, head: RequestHead, receive: Receive, caller: str) -> Answer:
        """Answer one request with the id of the prediction.

        Args:
            head: the request's head.
            receive: the ASGI channel of its body.
            caller: name of the token's holder.

        Raises:
            RequestError: nothing was taken.
        """
        body = await read_post(head, receive, self._limits.single_max_bytes, self._limits.seconds)
        key, seconds = OTHER_MODEL, 0.0
        outcome: Outcome = "failed"
        try:
            content = read_object(body)
            key = self._models.resolve(name_in(content, "model_name"), name_in(content, "model_version"))
            model = self._models.described(key)
            logged = read_logged_prediction(content, model)
            # The time that counts is the one it took there.
            seconds = logged.latency_ms / 1000
            served = _as_served(model, logged, ServedRequest(head.request_id, caller, 1, body))
            (prediction_id,) = self._record(served)
            self._announcer.announce(served)
            outcome = "ok"
        except RequestError as error:
            outcome = outcome_of(error)
            if isinstance(error, InvalidInputError):
                self._announcer.announce(InputRejected(key, error.violations))
            raise
        finally:
            self._announcer.announce(ModelRequestFinished(key, outcome, "single", seconds))
        name, version = key
        answer = {"prediction_id": prediction_id, "model_name": name, "model_version": version}
        return Answer(200, orjson.dumps(answer))


def _as_served(model: DescribedModel, logged: LoggedPrediction, request: ServedRequest) -> PredictionsServed:
    confidences = None if logged.confidence is None else np.array([logged.confidence])
    rows = [] if logged.row is None else [logged.row]
    return PredictionsServed(
        model.key,
        rows,
        None if logged.class_index is None else np.array([logged.class_index], dtype=np.intp),
        None if logged.value is None else np.array([logged.value]),
        confidences,
        model.judge.verdicts(rows, confidences) if rows else np.array([NOT_JUDGED], dtype=np.int8),
        [request],
    )
