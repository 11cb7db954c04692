"""Liveness and readiness tell apart what they must."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

from service.api.framework_app import create_framework_app
from service.bootstrap import build_app
from service.settings import Settings
from tests.asgi import AsgiClient, assert_error_body
from tests.builders import MIXED, NUMBERS, copy_bundle
from tests.fakes import Recorder
from tests.service.api.test_edge import edge_around


def test_healthy_and_ready(client: AsgiClient) -> None:
    """All test bundles passed their golden requests."""
    assert client.get("/health").json() == {"status": "alive", "inference_seconds": 0.0}
    content = client.get("/ready").json()
    assert content["status"] == "ready"
    assert content["models"]["numbers"] == ["3"]
    assert content["failed"] == {}


def test_one_broken_bundle_among_several(settings: Settings, tmp_path: Path) -> None:
    """The others serve, readiness stays green and names the broken one, its requests get 503."""
    copy_bundle(MIXED, tmp_path)
    broken = copy_bundle(NUMBERS, tmp_path)
    (broken / "model.joblib").write_bytes(b"x")
    with AsgiClient(build_app(settings.model_copy(update={"bundle_dir": tmp_path}))) as client:
        content = client.get("/ready").json()
        assert content["models"] == {"mixed": ["3"]}
        assert content["failed"] == {"numbers 3": "hash"}
        response = client.post("/v1/models/numbers/predict", {"features": [1, 2, 3]})
        assert_error_body(response, 503, "not_ready")
        assert "retry-after" in response.headers
        labels = '{model_name="numbers",model_version="3",reason="hash"} 1'
        assert f"ml_model_load_failures_total{labels}" in client.get("/metrics").body.decode()


def test_broken_default_model(settings: Settings, tmp_path: Path) -> None:
    """Without the default model a worker should get no traffic; it lives all the same."""
    copy_bundle(NUMBERS, tmp_path)
    broken = copy_bundle(MIXED, tmp_path)
    (broken / "manifest.json").write_bytes(b"{")
    (tmp_path / "routing.toml").write_text('default_model = "mixed"\n')
    with AsgiClient(build_app(settings.model_copy(update={"bundle_dir": tmp_path}))) as client:
        details = assert_error_body(client.get("/ready"), 503, "not_ready")
        assert details == [{"field": "model", "reason": "the default model mixed is not ready"}]
        assert client.get("/health").status == 200


def test_draining(settings: Settings) -> None:
    """A worker that has to end says so at once, and still answers what it is asked."""
    with AsgiClient(build_app(settings)) as client:
        client.state["draining"] = True
        client.run(_until_not_ready(client))
        details = assert_error_body(client.get("/ready"), 503, "not_ready")
        assert details[0]["reason"] == "draining"
        assert client.post("/v1/models/numbers/predict", {"features": [1.5, 11, -2]}).status == 200


class Hanging:
    """An engine whose thread does not come back."""

    is_alive = False
    stalled_seconds = 77.0


def test_hanging_inference_is_told_in_the_one_error_body() -> None:
    """A worker whose inference thread hangs is not alive; the answer has the body of every other error."""
    models: Any = None
    engine: Any = Hanging()
    with edge_around(create_framework_app(models, engine, None), Recorder()) as client:
        details = assert_error_body(client.get("/health"), 503, "not_ready")
    assert details == [{"field": "model", "reason": "the inference thread hangs"}]


async def _until_not_ready(client: AsgiClient) -> None:
    while (await client.send("GET", "/ready")).status == 200:
        await asyncio.sleep(0.01)
