"""A predictor without models: speaks the HTTP contract, and can break it on purpose."""

from __future__ import annotations

import itertools
import json
import threading
from collections import Counter, defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

from sklearn.datasets import load_breast_cancer, load_diabetes, load_iris

from service.bundle.row_schema import RowParser
from service.bundle.signature import Feature, Signature
from service.errors import InvalidInputError, Violation
from service.prediction_log.truth_posts import TruthPost, read_truth_posts

GROUND_TRUTH_PATH = "/v1/log-ground-truth"
TOKEN = "a-token-of-at-least-thirty-two-characters"
BODY_MAX_BYTES = {"single": 262_144, "batch": 4_194_304}


def _tabular(names: list[str], classes: tuple[int | str, ...] | None, task: str) -> Signature:
    features = [{"name": name, "type": "number"} for name in names]
    return Signature.model_validate(
        {"task": task, "input": "tabular", "features": features, "classes": classes}
    )


SIGNATURES = {
    "iris": _tabular(
        list(reversed(load_iris().feature_names)), ("Setosa", "VIRGINICA", "versicolor"), "multiclass"
    ),
    "breast_cancer": _tabular(list(load_breast_cancer().feature_names), (0, 1), "binary"),
    "wide_forest": _tabular([f"column_{index}" for index in range(20)], (0, 1), "binary"),
    "diabetes": _tabular(load_diabetes().feature_names, None, "regression"),
    "tickets": Signature(
        task="multiclass",
        input="text",
        features=(Feature(name="text", type="text", max_length=2000),),
        classes=("account", "billing", "delivery", "hardware", "network"),
    ),
}


class RefusalError(Exception):
    """An answer other than 200."""

    def __init__(self, status: int, details: list[dict[str, str]] | None = None) -> None:
        super().__init__(status)
        self.status = status
        self.details = details or []


class StubHandler(BaseHTTPRequestHandler):
    """Answers by the contract, except for the faults of its server."""

    protocol_version = "HTTP/1.1"
    server: StubServer

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the name is the base class's
        """Keep quiet."""

    def do_GET(self) -> None:
        """Describe a model."""
        self._answer(self._describe)

    def do_POST(self) -> None:
        """Predict, or take truths."""
        self._answer(self._take_truths if urlsplit(self.path).path == GROUND_TRUTH_PATH else self._predict)

    def _answer(self, act: Any) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        headers = {}
        try:
            if self.server.token and self.headers.get("Authorization") != f"Bearer {self.server.token}":
                raise RefusalError(401)
            status, content = 200, act(urlsplit(self.path), body)
        except RefusalError as refusal:
            status = refusal.status
            error = {"code": f"code_{status}", "message": "no", "details": refusal.details, "request_id": "r"}
            content = {"error": error}
            if status == 503:
                headers["Retry-After"] = "1"
        data = json.dumps(content).encode()
        self.send_response(status)
        for name, value in {**headers, "Content-Length": str(len(data))}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(data)

    def _describe(self, url: Any, body: bytes) -> object:
        if url.path.endswith("/predict") or url.path == GROUND_TRUTH_PATH:
            raise RefusalError(405)
        name = url.path.removeprefix("/v1/models/")
        if name not in SIGNATURES:
            raise RefusalError(404)
        signature = SIGNATURES[name].model_dump(mode="json", exclude_defaults=True)
        version = {"model_version": "1", "role": "stable", "signature": signature}
        return {"model_name": name, "versions": [version]}

    def _predict(self, url: Any, body: bytes) -> object:
        kind = "batch" if url.path.endswith("/batch") else "single"
        name = url.path.split("/")[3] if url.path.startswith("/v1/models/") else "iris"
        is_known = name in SIGNATURES and "model_version" not in parse_qs(url.query)
        if not is_known or not url.path.removesuffix("/batch").endswith("/predict"):
            raise RefusalError(404)
        if self.headers.get("Content-Type") != "application/json":
            raise RefusalError(415)
        if len(body) > BODY_MAX_BYTES[kind]:
            raise RefusalError(413)
        self._shed_some()
        if "lenient" in self.server.faults:
            body = body.replace(b"NaN", b"1.5")
        parser = RowParser(SIGNATURES[name], 1000)
        try:
            rows = [parser.single(body)] if kind == "single" else parser.batch(body)
        except InvalidInputError as error:
            raise _refusal(error) from error
        predictions = [self._row(name, row) for row in rows]
        common = {"model_name": name, "model_version": "1", "latency_ms": 0.1}
        if kind == "single":
            return {**predictions[0], **common}
        if "reverse" in self.server.faults:
            predictions.reverse()
        return {"predictions": predictions, **common}

    def _take_truths(self, url: Any, body: bytes) -> object:
        if url.query:
            raise RefusalError(400)
        if self.headers.get("Content-Type") != "application/json":
            raise RefusalError(415)
        self._shed_some()
        try:
            posts = read_truth_posts(body, 1000)
            verdicts = [self._take_truth(post, posts.field(i, "")) for i, post in enumerate(posts.items)]
            if not posts.is_batch and "field" in verdicts[0]:
                reason = verdicts[0]["reason"]
                raise InvalidInputError([Violation(verdicts[0]["field"], reason, "category", None)])
        except InvalidInputError as error:
            raise _refusal(error) from error
        if not posts.is_batch:
            return verdicts[0]
        counts = Counter(verdict["result"] for verdict in verdicts)
        names = ("accepted", "duplicate", "conflict", "invalid")
        return {"results": verdicts, "counts": {name: counts[name] for name in names}}

    def _take_truth(self, post: TruthPost, prefix: str) -> dict[str, str]:
        model_name = self.server.models.get(post.prediction_id)
        if model_name is None:
            return {"result": "invalid", "field": f"{prefix}prediction_id", "reason": "is not ours"}
        signature = SIGNATURES[model_name]
        is_number = isinstance(post.ground_truth, int | float) and not isinstance(post.ground_truth, bool)
        is_class = signature.class_index(post.ground_truth) is not None
        if not (is_number if signature.classes is None else is_class):
            return {"result": "invalid", "field": f"{prefix}ground_truth", "reason": "is no truth of it"}
        known = self.server.truths[post.prediction_id]
        known.append(post.ground_truth)
        if "conflict" in self.server.faults:
            return {"result": "conflict"}
        return {"result": "accepted" if len(known) == 1 else "duplicate"}

    def _shed_some(self) -> None:
        if "shed" in self.server.faults and next(self.server.requests) % 4 == 0:
            raise RefusalError(503)

    def _row(self, model_name: str, row: tuple[Any, ...]) -> dict[str, object]:
        number = hash(row) % 1000
        classes = SIGNATURES[model_name].classes
        prediction_id = f"stub-id-{next(self.server.ids)}"
        self.server.models[prediction_id] = model_name
        return {
            "prediction_id": prediction_id,
            "prediction": number / 10 if classes is None else classes[number % len(classes)],
            "confidence": None if classes is None else 0.9,
            "out_of_distribution": False,
            "warnings": [],
        }


def _refusal(error: InvalidInputError) -> RefusalError:
    return RefusalError(422, [{"field": each.field, "reason": each.message} for each in error.violations])


class StubServer(ThreadingHTTPServer):
    """The server; `faults` may hold `shed`, `reverse`, `lenient` and `conflict`."""

    daemon_threads = True
    request_queue_size = 128

    def __init__(self, faults: frozenset[str], token: str | None) -> None:
        super().__init__(("127.0.0.1", 0), StubHandler)
        self.faults = faults
        self.token = token
        self.url = f"http://127.0.0.1:{self.server_port}"
        # `next` of a count is one step of the interpreter, so threads need no lock.
        self.requests, self.ids = itertools.count(), itertools.count()
        # Model of each prediction, and what was told of it.
        self.models: dict[str, str] = {}
        self.truths: defaultdict[str, list[object]] = defaultdict(list)


@contextmanager
def stub_predictor(*faults: str, token: str | None = None) -> Iterator[StubServer]:
    """Run a stub predictor on a free port."""
    server = StubServer(frozenset(faults), token)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
