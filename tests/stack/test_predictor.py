"""The predictor as a user meets it: demo models, bad input, contract."""

from __future__ import annotations

import json
import math
import socket
from pathlib import Path
from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, given, settings

from tests.stack.predictor_process import RunningPredictor, fetch, running_predictor
from tests.stack.worker_process import wait_until

ROOT = Path(__file__).resolve().parents[2]
DEMO_MODELS = {
    "iris": {"features": {"sepal_length": 5.1, "sepal_width": 3.5, "petal_length": 1.4, "petal_width": 0.2}},
    "tickets": {"text": "my router keeps dropping the connection every evening"},
    "wide_forest": {"features": [0.1] * 20},
}
IRIS = json.dumps(DEMO_MODELS["iris"]).encode()


def raw(predictor: RunningPredictor, head: str, body: bytes = b"", *, chunks: int = 0) -> bytes:
    """Send raw bytes, `chunks` more pieces of the body, and return the answer."""
    with socket.create_connection(("127.0.0.1", predictor.port), timeout=20) as client:
        client.sendall(head.replace("\n", "\r\n").encode() + body)
        try:
            for _ in range(chunks):
                client.sendall(b"x" * 65536)
        except (ConnectionResetError, BrokenPipeError):
            pass
        with client.makefile("rb") as answer:
            status_and_headers = b"".join(iter(answer.readline, b"\r\n"))
            length = next(
                int(line.partition(b":")[2])
                for line in status_and_headers.splitlines()
                if line.lower().startswith(b"content-length")
            )
            return status_and_headers + b"\r\n" + answer.read(length)


@pytest.mark.parametrize("model_name", ["iris", "breast_cancer", "tickets", "wide_forest", "diabetes"])
def test_every_demo_model_answers_its_own_example(predictor: RunningPredictor, model_name: str) -> None:
    """The examples of the OpenAPI page work for all five."""
    _, document = predictor.get("/openapi.json")
    path = f"/v1/models/{model_name}/predict"
    content = document["paths"][path]["post"]["requestBody"]["content"]["application/json"]
    status, answer = predictor.post(path, content["examples"][model_name]["value"])
    assert status == 200
    assert answer["model_name"] == model_name
    assert answer["out_of_distribution"] is False


def test_openapi_equals_its_snapshot(predictor: RunningPredictor) -> None:
    """The contract changes only on purpose: `make generate` writes the snapshot."""
    _, document = predictor.get("/openapi.json")
    assert document == json.loads((ROOT / "docs" / "openapi.json").read_text())


def test_slang_moves_the_counter(predictor: RunningPredictor) -> None:
    """A text unlike the training texts is flagged and counted."""
    labels = {"model_name": "tickets", "reason": "novelty"}
    before = predictor.total("ml_input_out_of_distribution_total", **labels)
    status, answer = predictor.post("/v1/models/tickets/predict", {"text": "yo fam dat drop slaps ngl fr fr"})
    assert status == 200
    assert answer["out_of_distribution"] is True
    assert predictor.total("ml_input_out_of_distribution_total", **labels) == before + 1


def test_feature_bins_follow(predictor: RunningPredictor) -> None:
    """Rows reach the feature bins within a flush."""
    name, labels = "ml_feature_bin_total", {"model_name": "iris", "feature": "petal_width"}
    before = predictor.total(name, **labels)
    rows = [[5.1, 3.5, 1.4, 0.2]] * 7
    assert predictor.post("/v1/predict/batch", {"batch": rows})[0] == 200
    wait_until(lambda: predictor.total(name, **labels) == before + 7, "seven rows in the bins")


HEAD = "POST /v1/predict HTTP/1.1\nHost: x\nContent-Type: application/json\n"
BAD_REQUESTS: dict[str, tuple[str, bytes, int, int]] = {
    "50 MB body": (HEAD + f"Content-Length: {50 * 2**20}\n\n", b"", 800, 413),
    "50 MB in chunks": (HEAD + "Transfer-Encoding: chunked\n\n", b"3200000\r\n", 800, 413),
    "5,000 headers": (HEAD + "".join(f"X-{n}: 1\n" for n in range(5000)) + "\n", b"", 0, 431),
    "header of 1 MB": (HEAD + f"X-Long: {'a' * 2**20}\n\n", b"", 0, 431),
    "long request line": (f"GET /{'a' * 100_000} HTTP/1.1\nHost: x\n\n", b"", 0, 414),
    "no HTTP": ("hello\n\n", b"", 0, 400),
    "10,000 levels": (HEAD + "Content-Length: 10000\n\n", b"[" * 10_000, 0, 422),
    "two lengths": (HEAD + "Content-Length: 2\nContent-Length: 3\n\n", b"{}", 0, 400),
    "invalid UTF-8": (HEAD + "Content-Length: 4\n\n", b'"\xff\xfe"', 0, 422),
}


@pytest.mark.parametrize(("head", "body", "chunks", "status"), BAD_REQUESTS.values(), ids=BAD_REQUESTS)
def test_hostile_bytes(predictor: RunningPredictor, head: str, body: bytes, chunks: int, status: int) -> None:
    """Each gets a clear 4xx in the one error body, and no new time series."""
    before = set(predictor.samples())
    answer = raw(predictor, head, body, chunks=chunks)
    assert int(answer.split(b" ")[1]) == status, answer[:200]
    error = json.loads(answer.partition(b"\r\n\r\n")[2])["error"]
    assert set(error) == {"code", "message", "details", "request_id"}
    assert set(predictor.samples()) == before


def test_client_values_make_no_series(predictor: RunningPredictor) -> None:
    """Invented paths, methods, models, versions, parameters and fields leave the series as they are."""
    before = set(predictor.samples())
    for number in range(30):
        fetch(f"{predictor.url}/p{number}")
        fetch(f"{predictor.url}/v1/predict?model_name=m{number}", IRIS)
        fetch(f"{predictor.url}/v1/predict?model_version={number}", IRIS)
        fetch(f"{predictor.url}/v1/predict?x{number}=1", IRIS)
        fetch(f"{predictor.url}/v1/predict", json.dumps({"features": {f"f{number}": 1}}).encode())
        raw(predictor, f"M{number} /v1/predict HTTP/1.1\nHost: x\nConnection: close\n\n")
    assert set(predictor.samples()) == before


def test_body_that_never_ends(tmp_path: Path) -> None:
    """A body that drips is answered 408 at the deadline, though a byte comes now and then."""
    with running_predictor(tmp_path, workers=1, body_timeout_seconds=0.5) as running:
        with socket.create_connection(("127.0.0.1", running.port), timeout=20) as client:
            client.sendall((HEAD + "Content-Length: 100\n\n").replace("\n", "\r\n").encode())
            client.settimeout(0.1)
            answer = b""
            for _ in range(100):
                client.sendall(b" ")
                try:
                    answer = client.recv(65536)
                    break
                except TimeoutError:
                    continue
        assert b" 408 " in answer.splitlines()[0]
        assert b'"field":"body"' in answer


def test_no_schema_fuzzing_makes_a_5xx(predictor: RunningPredictor) -> None:
    """Schemathesis walks every operation of the OpenAPI page with good and bad data."""
    schema = schemathesis.openapi.from_url(f"{predictor.url}/openapi.json")
    statuses: dict[int, int] = {}

    def ask(case: Any) -> None:
        response = case.call(base_url=predictor.url, timeout=20)
        statuses[response.status_code] = statuses.get(response.status_code, 0) + 1
        assert response.status_code < 500, (case.as_curl_command(), response.text)

    for result in schema.get_all_operations():
        operation: Any = result.ok()  # type: ignore[union-attr]  # a broken operation is an error here too
        _run(operation.as_strategy(), ask)
    assert statuses.get(200, 0) > 50
    assert statuses.get(422, 0) + statuses.get(400, 0) > 0


def _run(strategy: Any, ask: Any) -> None:
    checked = settings(max_examples=15, deadline=None, suppress_health_check=list(HealthCheck), database=None)
    run: Any = checked(given(strategy)(ask))
    run()


def test_exposition_holds_numbers(predictor: RunningPredictor) -> None:
    """No series is NaN: one would poison every sum that it enters."""
    samples = predictor.samples()
    assert len(samples) > 1000
    assert not any(math.isnan(value) for value in samples.values())
