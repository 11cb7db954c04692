"""Clients that predict and tell the truth later, and keep a ledger of what was acknowledged."""

from __future__ import annotations

import http.client
import json
import random
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from loadtest.payloads import load_table
from loadtest.served_models import ServedModel, describe_model
from tests.stack.log_ledger import Ledger

MODELS = ("iris", "breast_cancer", "tickets", "diabetes")
PREDICT, BATCH = "predict", "predict/batch"
LOG_PREDICTION, TRUTHS = "/v1/log-prediction", "/v1/log-ground-truth"
_HEADERS = {"Content-Type": "application/json"}
# Longer than a micro-batch, so that some requests take several.
_BATCH_ROWS = (2, 5, 150)
_PAUSE_SECONDS = 0.004
_AWAY_SECONDS = 0.05
SECOND_TRUTHS, WRONG_TRUTHS = 0.1, 0.05
"""Shares of truths that are sent again, and of those sent again with another value."""


class Client(threading.Thread):
    """One client with a connection of its own to each address; its choices follow from its seed.

    Args:
        ports: of the replicas; each request goes to any of them.
        models: what is asked.
        ledger: shared by all clients.
        seed: of the choices.
    """

    def __init__(
        self, ports: Sequence[int], models: Sequence[ServedModel], ledger: Ledger, seed: str
    ) -> None:
        super().__init__(name=f"client {seed}", daemon=True)
        self._ports = ports
        self._models = models
        self._ledger = ledger
        self._choose = random.Random(seed)
        self._connections: dict[int, http.client.HTTPConnection] = {}
        self._again: list[tuple[str, Any]] = []
        self.stopping = threading.Event()
        self.error: BaseException | None = None

    def run(self) -> None:
        """Ask until told to stop."""
        try:
            while not self.stopping.wait(_PAUSE_SECONDS):
                kind = self._choose.choices(
                    (self.predict, self.predict_batch, self.log_prediction, self.tell, self.tell_many),
                    (40, 10, 10, 25, 15),
                )[0]
                kind()
        except BaseException as error:  # a test must hear of it
            self.error = error
        finally:
            for connection in self._connections.values():
                connection.close()

    def predict(self) -> None:
        """Ask for one prediction."""
        model = self._choose.choice(self._models)
        body = model.single_body(self._choose.choice(model.rows))
        answer = self._post(model.single_path, body, PREDICT, rows=1)
        if answer is not None:
            self._ledger.add_predictions(model.name, {answer["prediction_id"]: answer["prediction"]})

    def predict_batch(self) -> None:
        """Ask for several at once."""
        model = self._choose.choice(self._models)
        rows = self._choose.choices(model.rows, k=self._choose.choice(_BATCH_ROWS))
        answer = self._post(model.batch_path, model.batch_body(rows), BATCH, rows=len(rows))
        if answer is not None:
            items = answer["predictions"]
            assert len(items) == len(rows)
            self._ledger.add_predictions(
                model.name, {item["prediction_id"]: item["prediction"] for item in items}
            )

    def log_prediction(self) -> None:
        """Log a prediction that was made elsewhere."""
        model = self._choose.choice(self._models)
        prediction = self._some_truth(model)
        content: dict[str, Any] = {"prediction": prediction, "latency_ms": 3.5, "model_name": model.name}
        if model.classes is not None:
            content["confidence"] = 0.75
        answer = self._post(LOG_PREDICTION, json.dumps(content).encode(), LOG_PREDICTION, rows=1)
        if answer is not None:
            self._ledger.add_predictions(model.name, {answer["prediction_id"]: prediction})

    def tell(self) -> None:
        """Post one truth."""
        item = self._next_truth()
        if item is not None:
            self._tell([item], json.dumps(_posted(item)).encode())

    def tell_many(self) -> None:
        """Post several truths at once, in any order."""
        items = [item for _ in range(self._choose.choice((2, 20))) if (item := self._next_truth())]
        if items:
            self._tell(items, json.dumps({"batch": [_posted(item) for item in items]}).encode())

    def _tell(self, items: list[tuple[str, Any]], body: bytes) -> None:
        answer = self._post(TRUTHS, body, TRUTHS, truths=items)
        if answer is None:
            return
        results = [one["result"] for one in answer.get("results", [answer])]
        assert len(results) == len(items)
        assert set(results) <= {"accepted", "duplicate", "conflict"}, results
        self._ledger.add_truths(items)

    def _next_truth(self) -> tuple[str, Any] | None:
        if self._again and self._choose.random() < SECOND_TRUTHS:
            key, value = self._choose.choice(self._again)
        else:
            # Old and new ones alike, and some of which another client has told already.
            key, value = self._ledger.id_at(self._choose.random()) or "", None
            if not key:
                return None
        model = next(one for one in self._models if one.name == self._ledger.predictions[key].model_name)
        if value is None or self._choose.random() < WRONG_TRUTHS:
            value = self._some_truth(model)
        self._again.append((key, value))
        return key, value

    def _some_truth(self, model: ServedModel) -> Any:
        if model.classes is None:
            return round(self._choose.uniform(50.0, 300.0), 3)
        return self._choose.choice(model.classes)

    def _post(
        self, path: str, body: bytes, route: str, *, rows: int = 0, truths: Sequence[tuple[str, Any]] = ()
    ) -> Any:
        """Send a request for rows or with truths; give the content of a 200, else None."""
        port = self._choose.choice(self._ports)
        connection = self._connections.get(port)
        try:
            if connection is None:
                connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
                connection.connect()
                self._connections[port] = connection
        except OSError:
            self._ledger.add_failure(route, None)
            self.stopping.wait(_AWAY_SECONDS)
            return None
        try:
            connection.request("POST", path, body, _HEADERS)
            response = connection.getresponse()
            content = response.read()
        except (OSError, http.client.HTTPException):
            self._connections.pop(port).close()
            self._ledger.add_failure(route, None)
            self._ledger.doubt(rows, truths)
            return None
        if response.will_close:
            self._connections.pop(port).close()
        if response.status == 200:
            return json.loads(content)
        self._ledger.add_failure(route, response.status)
        self._ledger.doubt(rows, truths)
        return None


def _posted(item: tuple[str, Any]) -> dict[str, Any]:
    return {"prediction_id": item[0], "ground_truth": item[1]}


def describe_models(url: str, names: Sequence[str] = MODELS) -> list[ServedModel]:
    """Ask a predictor for the models that clients ask."""
    return [describe_model(url, name, {}, load_table(name), 10.0) for name in names]


@contextmanager
def running_clients(
    ports: Sequence[int], models: Sequence[ServedModel], seed: object, count: int = 3
) -> Iterator[Ledger]:
    """Run clients while the block does harm; give their ledger."""
    ledger = Ledger()
    clients = [Client(ports, models, ledger, f"{seed}-{number}") for number in range(count)]
    for client in clients:
        client.start()
    try:
        yield ledger
    finally:
        for client in clients:
            client.stopping.set()
        for client in clients:
            client.join()
    for client in clients:
        if client.error is not None:
            raise client.error


def wait_for(ledger: Ledger, predictions: int, truths: int, seconds: float = 30.0) -> None:
    """Wait until so much more was acknowledged."""
    wanted = (len(ledger.predictions) + predictions, ledger.acknowledged_items + truths)
    end = time.monotonic() + seconds
    while len(ledger.predictions) < wanted[0] or ledger.acknowledged_items < wanted[1]:
        assert time.monotonic() < end, f"only {len(ledger.predictions)} predictions; {ledger.errors}"
        time.sleep(0.02)
