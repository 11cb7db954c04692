"""The clients of the replay: one a stream that predicts in the order of time, and some that tell truths."""

from __future__ import annotations

import http.client
import json
import queue
import random
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from tests.stack.replay_ledger import Kind, Ledger, Post, Predicted
from tests.stack.replay_models import VERSION

WINDOW = 48
"""Truths that are shuffled together: a day of half hours."""
TWICE, CONFLICTING, NEVER = 0.05, 0.01, 0.1
"""Shares of truths: sent again (half of these at the same time), again with another value, never sent."""
# Most requests are of a single row, most rows come in batches.
_PREDICTION_ROWS = (1, 1, 1, 8, 24)
_TRUTH_ROWS = (1, 1, 8, 24)
_REQUESTS_PER_CONNECTION = 25
_AWAY_SECONDS, _PATIENCE_SECONDS = 0.05, 60.0
_HEADERS = {"Content-Type": "application/json"}


class Caller:
    """Sends requests until they are answered, on a connection that is made anew now and then.

    A new connection goes to any worker.

    Args:
        port: of the predictor.
    """

    def __init__(self, port: int) -> None:
        self._port = port
        self._connection: http.client.HTTPConnection | None = None
        self._left = 0

    def post(self, path: str, content: object, on_cut: Callable[[], None]) -> Any:
        """Send a request and return what is answered; `on_cut` is told of each time that it was not."""
        body = json.dumps(content).encode()
        end = time.monotonic() + _PATIENCE_SECONDS
        while True:
            connection = self._connect(end)
            try:
                connection.request("POST", path, body, _HEADERS)
                response = connection.getresponse()
                answer = response.read()
            except (OSError, http.client.HTTPException):
                self.close()
                on_cut()
                continue
            self._left -= 1
            if response.will_close or self._left == 0:
                self.close()
            assert response.status == 200, answer
            return json.loads(answer)

    def close(self) -> None:
        """Close the connection, if there is one."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def _connect(self, end: float) -> http.client.HTTPConnection:
        while self._connection is None:
            assert time.monotonic() < end, f"nobody answers on port {self._port}"
            connection = http.client.HTTPConnection("127.0.0.1", self._port, timeout=30)
            try:
                connection.connect()
            except OSError:
                connection.close()
                time.sleep(_AWAY_SECONDS)
            else:
                self._connection, self._left = connection, _REQUESTS_PER_CONNECTION
        return self._connection


@dataclass(frozen=True)
class Batch:
    """Truths of one request."""

    ledger: Ledger
    posts: list[Post]


Batches = queue.Queue[Batch | None]
"""What is to be sent; None ends one of those who send."""


class Predictor:
    """Replays one stream, and hands out its truths when they are due.

    Args:
        ledger: of the stream.
        port: of the predictor.
        batches: where truths go.
    """

    def __init__(self, ledger: Ledger, port: int, batches: Batches) -> None:
        self._ledger = ledger
        self._stream = ledger.stream
        self._caller = Caller(port)
        self._batches = batches
        self._choose = random.Random(self._stream.name)
        # What becomes of each truth hangs on no moment at which something was answered.
        self._chances = random.Random(f"chances of {self._stream.name}")
        self._row = 0
        self._due = 0

    def replay(self, last: int, seconds: float) -> None:
        """Go on up to a row, spread evenly over some seconds."""
        begin, first = time.monotonic(), self._row
        try:
            while self._row < last:
                share = (self._row - first) / (last - first)
                time.sleep(max(0.0, begin + share * seconds - time.monotonic()))
                self._row += self._log(self._row) if self._stream.said else self._predict(self._row)
                while self._row - self._stream.late - self._due >= WINDOW:
                    self._tell()
        finally:
            self._caller.close()

    def repeat(self) -> None:
        """Hand out what is left to be sent again, once all first truths are there."""
        self._batches.join()
        self._hand_out(self._ledger.take_again())

    def _predict(self, row: int) -> int:
        rows = self._stream.rows[row : row + self._choose.choice(_PREDICTION_ROWS)]
        path = f"/v1/models/{self._stream.name}/predict"
        if len(rows) == 1:
            answers = [self._ask(path, {"features": rows[0]}, 1)]
        else:
            answers = self._ask(f"{path}/batch", {"batch": rows}, len(rows))["predictions"]
        for index, answer in enumerate(answers):
            self._note(answer["prediction_id"], row + index, answer["prediction"], answer["confidence"])
        return len(rows)

    def _log(self, row: int) -> int:
        prediction, confidence = self._stream.said[row]
        content = {
            "prediction": prediction,
            "confidence": confidence,
            "latency_ms": 2.5,
            "model_name": self._stream.name,
            "model_version": VERSION,
            "features": self._stream.rows[row],
        }
        answer = self._ask("/v1/log-prediction", content, 1)
        self._note(answer["prediction_id"], row, prediction, confidence)
        return 1

    def _ask(self, path: str, content: object, rows: int) -> Any:
        def on_cut() -> None:
            self._ledger.cut_rows += rows

        return self._caller.post(path, content, on_cut)

    def _note(self, prediction_id: str, row: int, prediction: float, confidence: float | None) -> None:
        assert prediction_id not in self._ledger.predictions
        self._ledger.predictions[prediction_id] = Predicted(row, prediction, confidence, time.time())

    def _tell(self) -> None:
        """Hand out a window of truths, shuffled, and among them what is to be sent again of earlier ones."""
        posts = self._ledger.take_again()
        for key in list(self._ledger.predictions)[self._due : self._due + WINDOW]:
            truth = self._stream.truths[self._ledger.predictions[key].row]
            chance = self._chances.random()
            if chance < TWICE / 2:
                posts += [Post(key, truth, "first", has_twin=True), Post(key, truth, "duplicate")]
            elif chance < 1 - NEVER:
                posts.append(Post(key, truth, "first", later=_later(chance - TWICE / 2)))
        self._due += WINDOW
        self._choose.shuffle(posts)
        self._hand_out(posts)

    def _hand_out(self, posts: list[Post]) -> None:
        while posts:
            size = self._choose.choice(_TRUTH_ROWS)
            self._batches.put(Batch(self._ledger, posts[:size]))
            posts = posts[size:]


def _later(chance: float) -> Kind | None:
    if chance < TWICE / 2:
        return "duplicate"
    return "conflict" if chance < TWICE / 2 + CONFLICTING else None


def send_truths(port: int, batches: Batches) -> None:
    """Send truths until there are none any more; what went wrong is raised at the end."""
    caller = Caller(port)
    errors: list[Exception] = []
    for batch in iter(batches.get, None):
        try:
            _send(caller, batch)
        except Exception as error:  # others wait until all that was handed out is done
            errors.append(error)
        finally:
            batches.task_done()
    caller.close()
    if errors:
        raise errors[0]


def _send(caller: Caller, batch: Batch) -> None:
    was_cut = False

    def on_cut() -> None:
        nonlocal was_cut
        was_cut = True
        batch.ledger.cut(batch.posts)

    items = [{"prediction_id": one.prediction_id, "ground_truth": one.ground_truth} for one in batch.posts]
    answer = caller.post("/v1/log-ground-truth", items[0] if len(items) == 1 else {"batch": items}, on_cut)
    results = [answer] if len(items) == 1 else answer["results"]
    batch.ledger.acknowledge(batch.posts, [one["result"] for one in results], was_cut)
