"""`plumbline up` for real: everything comes up, an alert arrives and resolves, and nothing is left behind."""

from __future__ import annotations

import json
import os
import re
import signal
from collections.abc import Iterator
from typing import Any

import pytest

from operations.stack.prometheus_api import Prometheus, firing_alerts, targets
from tests.stack.predictor_process import fetch
from tests.stack.running_stack import (
    END_SECONDS,
    RunningStack,
    forget_messages,
    repeating,
    running_stack,
    sink_message,
    slang,
)
from tests.stack.worker_process import is_alive, port_is_free, wait_until

AMBER, RED, GREEN = "#f59e0b", "#ef4444", "#22c55e"
SIGNALS = {
    "breast_cancer": "accuracy",
    "diabetes": "mae",
    "iris": "accuracy",
    "tickets": "accuracy",
    "wide_forest": "accuracy",
}
"""The demo models, and by what each is measured."""
CALIBRATED = "last_over_time(model:ml_ece:ratio1d[10s])"
"""Of each model with enough truths to judge its confidence by; written every 5 s on this clock."""
QUALITY_ALERTS = 'ALERTS{alertname=~"Model(AccuracyLow|ErrorRateHigh|CalibrationOff)"}'


@pytest.fixture(scope="module")
def running() -> Iterator[RunningStack]:
    """Start one stack for all tests of this file, in the order in which they stand."""
    with running_stack(workers=1, log_requests="errors") as running:
        yield running


def buttons(attachment: dict[str, list[dict[str, str]]]) -> dict[str, str]:
    """Give the address behind each button."""
    return {action["text"]: action["url"] for action in attachment["actions"]}


def test_every_target_is_up(running: RunningStack) -> None:
    """Prometheus scrapes predictor, itself and Alertmanager, on loopback."""
    found = targets(running.stack)
    assert {target.job for target in found} == {"predictor", "prometheus", "alertmanager"}
    assert {target.health for target in found} == {"up"}
    assert all(target.address.startswith("127.0.0.1:") for target in found)


def test_addresses_and_alerts_to_try_are_printed(running: RunningStack) -> None:
    """A person sees where to look and what to do next."""
    text = running.output.read_text()
    assert [line[:5] for line in text.splitlines() if line.startswith("[")] == [
        f"[{n}/6]" for n in range(1, 7)
    ]
    for program in ("predictor", "prometheus", "alertmanager", "sink"):
        assert running.stack.url(program) in text
    assert "stop predictor" in text


def test_each_demo_model_predicts(running: RunningStack) -> None:
    """Every routed model answers an example of its own signature."""
    names = [
        model["model_name"] for model in fetch(f"{running.stack.url('predictor')}/v1/models")[1]["models"]
    ]
    assert sorted(names) == sorted(SIGNALS)
    status, answer = fetch(
        f"{running.stack.url('predictor')}/v1/models/tickets/predict",
        b'{"text": "I was charged twice in May"}',
    )
    assert (status, answer["model_name"]) == (200, "tickets")


def test_status_shows_programs_targets_and_alerts(running: RunningStack) -> None:
    """All programs run, the demo traffic included, and a quiet stack has no alert."""
    wait_until(lambda: running.run("status").returncode == 0, "a status without complaint")
    status = running.run("status").stdout
    for program in ("predictor", "exporter", "drainer", "prometheus", "alertmanager", "sink", "traffic"):
        assert re.search(rf"^{program} +running +0:\d\d:\d\d +0( |$)", status, re.MULTILINE)
    assert "no alert fires" in status


def test_status_shows_the_measured_quality_of_each_demo_model(running: RunningStack) -> None:
    """The demo traffic tells what was true, and every model keeps its objective, or misses it by chance."""
    found: dict[str, dict[str, Any]] = {}

    def is_measured() -> bool:
        models = json.loads(running.run("status", "--json").stdout)["models"]
        found.update({model["model_name"]: model["quality"] for model in models})
        return len(found) >= len(SIGNALS) and all(quality["value"] for quality in found.values())

    wait_until(is_measured, "a measured quality of each model", 120)
    assert {name: quality["signal"] for name, quality in found.items()} == SIGNALS
    for quality in found.values():
        assert quality["label_count"] >= quality["label_count_needed"]
        assert quality["standard_error"] > 0
        assert quality["verdict"] in {"met", "missed_within_chance"}


def test_demo_models_keep_what_they_promised(running: RunningStack) -> None:
    """With truths enough to judge each confidence, no alert on quality is even pending."""
    prometheus = Prometheus(running.stack.url("prometheus"))
    wait_until(lambda: len(prometheus.query(CALIBRATED)) == len(SIGNALS) - 1, "200 truths of each", 180)
    assert not prometheus.query(QUALITY_ALERTS)


def test_slang_reaches_the_sink_as_out_of_distribution(running: RunningStack) -> None:
    """The warning has its colour, a text that names the model, runbook and dashboard."""
    texts = slang()
    url = f"{running.stack.url('predictor')}/predict?model_name=tickets"
    with repeating(lambda: fetch(url, json.dumps({"text": next(texts)}).encode())):
        message = sink_message(running.stack.url("sink"), "[WARNING] ModelOutOfDistributionHigh - tickets")
    assert message["color"] == AMBER
    assert "rows for tickets version 1" in message["text"]
    assert "out of distribution" in message["text"]
    assert buttons(message)["Runbook"].endswith("/docs/runbooks/ModelOutOfDistributionHigh.md")
    assert buttons(message)["Dashboard"].startswith("http://localhost:3000/d/plumbline-overview")
    assert buttons(message)["Query"].startswith(running.stack.url("prometheus"))


def test_killed_program_comes_back_by_itself(running: RunningStack) -> None:
    """The supervisor starts a program anew after kill -9, and status counts it."""
    before = running.program("exporter")
    os.kill(before.pid, signal.SIGKILL)
    wait_until(lambda: running.program("exporter").pid not in {0, before.pid}, "another exporter")
    wait_until(lambda: running.program("exporter").state == "RUNNING", "an exporter that stays")
    assert running.program("exporter").restarts == before.restarts + 1
    wait_until(lambda: running.run("status").returncode == 0, "every target up again")


def test_stopped_predictor_raises_an_alert_that_resolves(running: RunningStack) -> None:
    """PredictorDown arrives in red when it is stopped, and in green when it is started again."""
    sink = running.stack.url("sink")
    wait_until(lambda: not firing_alerts(running.stack), "no alert of the tests before", 120)
    forget_messages(sink)
    assert running.run("stop", "predictor").returncode == 0
    assert sink_message(sink, "[CRITICAL] PredictorDown")["color"] == RED
    assert "PredictorDown" in running.run("status").stdout
    assert running.run("start", "predictor").returncode == 0
    assert sink_message(sink, "[RESOLVED] PredictorDown")["color"] == GREEN


def test_end_leaves_no_process_and_no_port(running: RunningStack) -> None:
    """Ctrl-C stops every program, and says so."""
    processes = running.processes()
    assert len(processes) >= 7
    running.process.send_signal(signal.SIGINT)
    assert running.process.wait(END_SECONDS) == 0
    assert not [pid for pid in processes if is_alive(pid)]
    assert not running.processes()
    assert not running.stack.ports.busy()
    assert port_is_free(running.stack.ports.predictor)
    ended = running.run("status")
    assert ended.returncode == 1
    assert ended.stderr.startswith("plumbline status: no stack runs")
