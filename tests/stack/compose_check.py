"""The compose file built and run for real; scripts/compose-check runs it, an ordinary test run does not."""

from __future__ import annotations

import json
import os
import shlex
import subprocess
import urllib.parse
from collections.abc import Callable, Iterator

import pytest

from operations.stack.layout import Layout, Ports, Stack
from operations.stack.prometheus_api import are_all_up, is_predictor_ready
from tests.stack.predictor_process import ROOT, fetch
from tests.stack.running_stack import repeating, sink_message, slang
from tests.stack.worker_process import wait_until

COMPOSE = [*shlex.split(os.environ["PLUMBLINE_COMPOSE"]), "--env-file", "demo-clock.env", "--profile", "load"]
SERVICES = ("predictor", "prometheus", "alertmanager", "sink", "locust")
STACK = Stack(Layout(ROOT / ".local"), Ports(), "demo")
AMBER, RED, GREEN = "#f59e0b", "#ef4444", "#22c55e"

Compose = Callable[..., subprocess.CompletedProcess[str]]


def run_compose(*arguments: str) -> subprocess.CompletedProcess[str]:
    """Run a compose command and show what it said if it failed."""
    done = subprocess.run([*COMPOSE, *arguments], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    return done


@pytest.fixture(scope="module")
def compose() -> Iterator[Compose]:
    """Build and start the services; remove containers and volumes at the end."""
    assert not Ports().busy(), "the ports of the compose file are taken"
    run_compose("build", *SERVICES)
    try:
        run_compose("up", "--detach", *SERVICES)
        yield run_compose
    finally:
        run_compose("down", "--volumes")
        assert not Ports().busy()


def test_every_target_comes_up(compose: Compose) -> None:
    """The three targets are found by the names of the services."""
    wait_until(lambda: is_predictor_ready(STACK), "a predictor that is ready", 120)
    wait_until(lambda: are_all_up(STACK), "every target up", 60)


def test_each_model_predicts(compose: Compose) -> None:
    """The bundles trained in the image are the ones that are served."""
    models = fetch(f"{STACK.url('predictor')}/v1/models")[1]["models"]
    assert len(models) == 5
    status, answer = fetch(
        f"{STACK.url('predictor')}/v1/predict?model_name=tickets", b'{"text": "no internet"}'
    )
    assert (status, answer["model_name"]) == (200, "tickets")


def counted_truths() -> float:
    """Ask Prometheus how many truths of iris counted."""
    query = 'ml_ground_truth_total{model_name="iris",result="counted"}'
    _, answer = fetch(f"{STACK.url('prometheus')}/api/v1/query?{urllib.parse.urlencode({'query': query})}")
    return sum(float(series["value"][1]) for series in answer["data"]["result"])


def test_ground_truth_is_counted_and_outlives_its_container(compose: Compose) -> None:
    """The drainer runs beside the predictor, and what it stored is in the volume: the next one counts on."""
    url = STACK.url("predictor")
    before = counted_truths()
    _, answer = fetch(f"{url}/v1/predict", b'{"features": [5.1, 3.5, 1.4, 0.2]}')
    truth = json.dumps({"prediction_id": answer["prediction_id"], "ground_truth": "setosa"}).encode()
    assert fetch(f"{url}/v1/log-ground-truth", truth)[0] == 200
    wait_until(lambda: counted_truths() > before, "a truth that counts", 30)
    counted = counted_truths()
    compose("up", "--detach", "--force-recreate", "--no-deps", "predictor")
    wait_until(lambda: is_predictor_ready(STACK), "a predictor that is ready", 120)
    # Its id was signed by the key in the volume.
    assert fetch(f"{url}/v1/log-ground-truth", truth)[0] == 200
    wait_until(lambda: counted_truths() >= counted, "the same totals again", 60)


def test_slang_reaches_the_sink_as_out_of_distribution(compose: Compose) -> None:
    """The same alert as on the native stack, with colour, text, runbook and dashboard."""
    texts = slang()
    url = f"{STACK.url('predictor')}/v1/predict?model_name=tickets"
    with repeating(lambda: fetch(url, json.dumps({"text": next(texts)}).encode())):
        message = sink_message(STACK.url("sink"), "[WARNING] ModelOutOfDistributionHigh - tickets")
    assert message["color"] == AMBER
    assert "rows for tickets version 1" in message["text"]
    links = {action["text"]: action["url"] for action in message["actions"]}
    assert links["Runbook"].endswith("/ModelOutOfDistributionHigh.md")
    assert links["Dashboard"].startswith("http://localhost:3000/d/plumbline-overview")


def test_stopped_predictor_ends_cleanly_and_raises_an_alert(compose: Compose) -> None:
    """SIGTERM reaches Gunicorn: status 0 within the grace period; PredictorDown comes and goes."""
    compose("stop", "predictor")
    log = compose("logs", "predictor").stdout
    assert "Shutting down: Master" in log
    assert sink_message(STACK.url("sink"), "[CRITICAL] PredictorDown")["color"] == RED
    compose("start", "predictor")
    assert sink_message(STACK.url("sink"), "[RESOLVED] PredictorDown")["color"] == GREEN
