"""The users: each sends one kind of request over a connection of its own and checks every answer."""

from __future__ import annotations

import itertools
import time
from collections.abc import Iterator, Sequence
from typing import Any, ClassVar, NamedTuple

from locust import FastHttpUser, task

from loadtest.answers import Check, prediction_ids, refusal, told_truths
from loadtest.malformed import BadRequest
from loadtest.payloads import Row, Scalar
from loadtest.pending_truths import GROUND_TRUTH_PATH, ground_truth_body
from loadtest.served_models import ServedModel
from loadtest.traffic import Traffic, choose_fraction, choose_labeled_rows, choose_row, choose_rows

JSON = "application/json"


class WrongAnswerError(Exception):
    """What is wrong with an answer; locust reports the `repr` of an exception, so that is the bare text."""

    def __repr__(self) -> str:
        return str(self)


class Answer(NamedTuple):
    """What came back.

    Args:
        status: of HTTP; 0 if there was no answer.
        body: of the answer.
        is_promised: whether it is the answer that was promised; a shed request has none.
    """

    status: int
    body: bytes
    is_promised: bool


class PredictorUser(FastHttpUser):
    """Sends requests at the rate asked for, and tells an answer from a shed request and from a failure."""

    abstract = True
    connection_timeout = 10.0
    network_timeout = 30.0
    traffic: ClassVar[Traffic]

    def __init__(self, environment: Any) -> None:
        super().__init__(environment)
        # A random first step, so that users spawned together do not send together for ever.
        self._next_at = time.monotonic() - choose_fraction() * self._period

    @property
    def _period(self) -> float:
        return 1 / self.traffic.rate if self.traffic.rate else 0.0

    def wait_time(self) -> float:
        """Wait for the user's next turn; one that is late goes at once and makes up for nothing."""
        now = time.monotonic()
        self._next_at = max(now, self._next_at + self._period)
        return self._next_at - now

    def send(
        self,
        name: str,
        path: str,
        body: bytes | None,
        check: Check,
        *,
        method: str = "POST",
        content_type: str = JSON,
        with_token: bool = True,
    ) -> Answer:
        """Send one request and report it under `name`."""
        headers = {"Content-Type": content_type} | (self.traffic.headers if with_token else {})
        with self.client.request(
            method,
            path,
            name=name,
            data=body,  # type: ignore[arg-type]  # bytes are sent as they are, which the annotation forgets
            headers=headers,
            catch_response=True,
        ) as response:
            problem: str | None
            is_shed = response.status_code == 503 and "retry-after" in (response.headers or {})
            if response.status_code == 0:
                problem = f"no answer: {type(response.error).__name__}"
            elif is_shed:
                response.request_meta["request_type"] = "SHED"
                problem = "shed" if self.traffic.shed_is_failure else None
            else:
                problem = check(response.status_code, response.content or b"")
            if problem:
                response.failure(WrongAnswerError(problem))
            else:
                response.success()
            return Answer(response.status_code, response.content or b"", not problem and not is_shed)

    def send_row(self, kind: str, model: ServedModel, row: Row, *, positional: bool) -> Answer:
        """Ask for one prediction."""
        body = model.single_body(row, positional=positional)
        return self.send(
            f"{kind} {model.name}", model.single_path, body, self.traffic.checks.single(model, row)
        )

    def send_rows(self, model: ServedModel, rows: Sequence[Row]) -> Answer:
        """Ask for the predictions of a batch, half of the time by position."""
        body = model.batch_body(rows, positional=choose_fraction() < 0.5)
        return self.send(
            f"batch {model.name}", model.batch_path, body, self.traffic.checks.batch(model, rows)
        )


class SinglePredictionUser(PredictorUser):
    """Asks for one prediction after the other; every second row is sent by position, for tabular models."""

    @task
    def predict(self) -> None:
        """Send one real row to one of the models."""
        model = self.traffic.choose_model()
        self.send_row("single", model, choose_row(model), positional=choose_fraction() < 0.5)


class BatchPredictionUser(PredictorUser):
    """Asks for predictions of many rows at once, and checks that they come in order."""

    @task
    def predict_batch(self) -> None:
        """Send a batch of real rows to one of the models."""
        model = self.traffic.choose_model()
        self.send_rows(model, choose_rows(model, self.traffic.batch_rows))


class GroundTruthUser(PredictorUser):
    """Asks for predictions and tells later what was true; whether the model was right is no matter here.

    The truths wait in one place for all these users, so they come over other connections than the
    predictions, in another order, and with those of other models.
    """

    @task(3)
    def predict(self) -> None:
        """Send one real row and remember what is true of it."""
        model = self.traffic.choose_model()
        rows, truths = choose_labeled_rows(model, 1)
        self._remember(self.send_row("single", model, rows[0], positional=choose_fraction() < 0.5), truths)

    @task(1)
    def predict_batch(self) -> None:
        """Send a batch of real rows and remember what is true of each."""
        model = self.traffic.choose_model()
        rows, truths = choose_labeled_rows(model, self.traffic.batch_rows)
        self._remember(self.send_rows(model, rows), truths)

    @task(1)
    def tell_truths(self) -> None:
        """Tell all truths that are due; if none is, predict instead."""
        pending = self.traffic.pending
        truths = pending.take_due()
        if not truths:
            self.predict()
            return
        name = "single ground truth" if len(truths) == 1 else "batch ground truth"
        answer = self.send(name, GROUND_TRUTH_PATH, ground_truth_body(truths), told_truths(truths))
        if answer.is_promised:
            pending.repeat_some(truths)
        elif answer.status in {0, 503}:
            # A client that wants its truths to count sends them until one answer says that they are kept.
            pending.put_back(truths, may_have_arrived=answer.status == 0)

    def _remember(self, answer: Answer, truths: Sequence[Scalar]) -> None:
        if answer.is_promised:
            for prediction_id, truth in zip(prediction_ids(answer.body), truths, strict=True):
                self.traffic.pending.add(prediction_id, truth)


class SlangUser(PredictorUser):
    """Sends slang and off-topic messages to the text model: answered, but out of distribution."""

    @task
    def predict_slang(self) -> None:
        """Send one message that no class fits."""
        model = self.traffic.slang
        assert model is not None, "traffic is prepared with slang whenever this user is asked for"
        self.send_row("slang", model, choose_row(model), positional=False)


class MalformedInputUser(PredictorUser):
    """Sends one bad request after the other; a refusal as expected is a success, anything else a failure."""

    def on_start(self) -> None:
        """Start anywhere in the table, so that few users and short runs still see all of it."""
        requests = self.traffic.malformed
        start = int(choose_fraction() * len(requests))
        self._requests: Iterator[BadRequest] = itertools.cycle(requests[start:] + requests[:start])

    @task
    def send_bad_request(self) -> None:
        """Send the next bad request of the table."""
        bad = next(self._requests)
        self.send(
            f"malformed {bad.name}",
            bad.path,
            bad.body,
            refusal(bad),
            method=bad.method,
            content_type=bad.content_type,
            with_token=bad.with_token,
        )
