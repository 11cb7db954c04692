"""The real Alertmanager, the committed configuration with short waits, and the local sink as Slack."""

import json
import socket
import subprocess
import threading
import time
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import pytest
import yaml

from operations.slack_sink import SinkServer
from prometheus.build import ROOT, Settings, render
from tests.prometheus.monitoring_binaries import LINES, binaries

# Waits of 1 to 2 s, and the first repetition after 6: later than any test looks.
FACTOR = 600
DEADLINE_SECONDS = 30
COLORS = {"critical": "#ef4444", "warning": "#f59e0b", "resolved": "#22c55e"}
EXTERNAL_URL = "http://alertmanager.example:9093"
GENERATOR_URL = "http://prometheus.example:9090/graph?g0.expr=up"
RULES = {
    rule["alert"]: rule
    for path in sorted((ROOT / "prometheus" / "rules").glob("*.alerts.yml"))
    for group in yaml.safe_load(path.read_text())["groups"]
    for rule in group["rules"]
}
STARTED = datetime.now(UTC) - timedelta(minutes=12)
MUTED = ("PredictorNotReady", "PredictorLatencyHigh", "PredictorOverloaded")


@dataclass
class Stack:
    """A running Alertmanager and the sink behind it."""

    url: str
    folder: Path
    bin: Path
    sink: SinkServer
    log: Path

    def post(self, *alerts: dict[str, Any]) -> None:
        """Send alerts as Prometheus does, from now to an end that lies ahead, unless they are given."""
        now = datetime.now(UTC)
        times = {"startsAt": now.isoformat(), "endsAt": (now + timedelta(minutes=5)).isoformat()}
        body = json.dumps([times | alert for alert in alerts]).encode()
        request = urllib.request.Request(
            f"{self.url}/api/v2/alerts", body, {"Content-Type": "application/json"}
        )
        with urllib.request.urlopen(request, timeout=5) as response:
            assert response.status == 200

    def message(self, found: Callable[[dict[str, Any]], bool]) -> dict[str, Any]:
        """Wait for a message and return its attachment."""
        deadline = time.monotonic() + DEADLINE_SECONDS
        while time.monotonic() < deadline:
            for stored in self.sink.inbox.messages():
                (attachment,) = stored["message"]["attachments"]
                if found(attachment):
                    return {**stored["message"], **attachment}
            time.sleep(0.1)
        raise AssertionError(f"no such message; Alertmanager says\n{self.log.read_text()[-2000:]}")

    def alerts(self, **labels: str) -> list[dict[str, Any]]:
        """Return the alerts that Alertmanager knows with these labels."""
        with urllib.request.urlopen(f"{self.url}/api/v2/alerts", timeout=5) as response:
            known: list[dict[str, Any]] = json.load(response)
        return [alert for alert in known if labels.items() <= alert["labels"].items()]


def free_port() -> int:
    """Return a port that is free now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


@pytest.fixture(scope="module", params=LINES)
def stack(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """Start Alertmanager of one line with the rendered configuration, and stop it again."""
    programs = binaries(request.param)
    folder = tmp_path_factory.mktemp(request.param)
    with SinkServer(("127.0.0.1", 0), keep=1000) as sink:
        thread = threading.Thread(target=sink.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        render(Settings(factor=FACTOR, sink=f"http://127.0.0.1:{sink.server_port}"), folder)
        port = free_port()
        command = [
            str(programs / "alertmanager"),
            f"--config.file={folder / 'alertmanager.yml'}",
            f"--storage.path={folder / 'data'}",
            f"--web.listen-address=127.0.0.1:{port}",
            f"--web.external-url={EXTERNAL_URL}",
            "--web.route-prefix=/",
            "--cluster.listen-address=",
        ]
        log = folder / "alertmanager.log"
        with log.open("w") as output, subprocess.Popen(command, stdout=output, stderr=output) as process:
            try:
                running = Stack(f"http://127.0.0.1:{port}", folder, programs, sink, log)
                wait_until_ready(running, process)
                yield running
            finally:
                process.terminate()
                process.wait(timeout=DEADLINE_SECONDS)
                sink.shutdown()
                thread.join()


def wait_until_ready(running: Stack, process: subprocess.Popen[bytes]) -> None:
    """Wait until Alertmanager answers."""
    deadline = time.monotonic() + DEADLINE_SECONDS
    while time.monotonic() < deadline and process.poll() is None:
        try:
            with urllib.request.urlopen(f"{running.url}/-/ready", timeout=1):
                return
        except OSError:
            time.sleep(0.1)
    raise AssertionError(f"Alertmanager did not start\n{running.log.read_text()}")


def alert_of(name: str, **labels: str) -> dict[str, Any]:
    """Build an alert from a rule's labels and annotations, its description with what must be escaped."""
    rule = RULES[name]
    annotations = rule["annotations"] | {"description": f"{name} of <{labels.get('job', '?')}> & others."}
    annotations["dashboard_url"] = annotations["dashboard_url"].split("?")[0]
    return {
        "labels": {"alertname": name, **rule["labels"], **labels},
        "annotations": annotations,
        "generatorURL": GENERATOR_URL,
    }


def titled(*parts: str) -> Callable[[dict[str, Any]], bool]:
    """Say how to find a message by parts of its title."""
    return lambda attachment: all(part in attachment["title"] for part in parts)


@pytest.mark.parametrize("name", [name for name in RULES if name != "Watchdog"])
def test_each_alert_reaches_slack_with_every_part_filled(stack: Stack, name: str) -> None:
    """Deliver the message of each rule with its colour, texts, fields and four buttons."""
    model = f"model-{name.lower()}"
    alert = alert_of(name, job=f"job-{name}", model_name=model, model_version="7")
    stack.post(alert | {"startsAt": STARTED.isoformat()})
    message = stack.message(titled(name, model))

    severity = RULES[name]["labels"]["severity"]
    assert message["channel"] == "#ml-alerts"
    assert message["username"] == "Plumbline"
    assert message["color"] == COLORS[severity]
    assert message["title"] == f"[{severity.upper()}] {name} - {model}"
    assert message["title_link"] == RULES[name]["annotations"]["dashboard_url"].split("?")[0]
    summary = RULES[name]["annotations"]["summary"]
    assert message["text"].startswith(f"*{summary}*\n• {name} of &lt;job-{name}&gt; &amp; others.")
    assert message["fallback"] == f"[{severity.upper()}] {name} - {model}: {summary}"
    assert {field["title"]: field["value"] for field in message["fields"]} == {
        "Severity": severity,
        "Model": f"{model} version 7",
        "Firing": "1 of 1",
        "Since": f"{STARTED:%Y-%m-%d %H:%M:%S} UTC",
    }
    buttons = {action["text"]: action["url"] for action in message["actions"]}
    assert buttons == {
        "Runbook": RULES[name]["annotations"]["runbook_url"],
        "Dashboard": message["title_link"],
        "Query": GENERATOR_URL,
        "Silence": buttons["Silence"],
    }
    assert unquote(buttons["Silence"]) == (
        f'{EXTERNAL_URL}/#/silences/new?filter={{alertname="{name}", model_name="{model}"}}'
    )


def test_a_resolved_alert_turns_green_and_says_how_long_it_lasted(stack: Stack) -> None:
    """Send the resolved form with its own title, colour, struck-out text and duration."""
    alert = alert_of("ModelInvalidOutputs", model_name="mended", model_version="3")
    stack.post(alert | {"startsAt": STARTED.isoformat()})
    stack.message(titled("[CRITICAL] ModelInvalidOutputs", "mended"))
    stack.post(alert | {"startsAt": STARTED.isoformat(), "endsAt": datetime.now(UTC).isoformat()})
    message = stack.message(titled("[RESOLVED] ModelInvalidOutputs", "mended"))
    assert message["color"] == COLORS["resolved"]
    assert "• ~ModelInvalidOutputs of &lt;?&gt; &amp; others.~ (resolved after 12m" in message["text"]
    assert {field["title"]: field["value"] for field in message["fields"]}["Firing"] == "0 of 1"


def test_alerts_of_one_model_share_a_message_that_stays_readable(stack: Stack) -> None:
    """Group by alert and model whatever the version and reason, and show ten of them."""
    stack.post(
        *(
            alert_of("ModelLoadFailed", model_name="crowd", model_version=str(version), reason="hash")
            for version in range(12)
        )
    )
    message = stack.message(titled("ModelLoadFailed", "crowd"))
    assert message["text"].count("• ModelLoadFailed of") == 10
    assert "• 10 of 12 shown" in message["text"]
    fields = {field["title"]: field["value"] for field in message["fields"]}
    assert (fields["Model"], fields["Firing"]) == ("crowd", "12 of 12")


def test_an_alert_without_annotations_and_severity_still_arrives(stack: Stack) -> None:
    """Fall back on addresses and words that are never empty."""
    stack.post({"labels": {"alertname": "Stray"}})
    message = stack.message(titled("Stray"))
    assert message["title"] == "[FIRING] Stray"
    assert message["color"] == COLORS["warning"]
    assert "• Stray (no description)" in message["text"]
    assert all(field["value"] for field in message["fields"])
    assert all(action["url"].startswith("http://") for action in message["actions"])


def test_watchdog_reaches_its_own_receiver_only(stack: Stack) -> None:
    """Beat the webhook and stay out of Slack."""
    stack.post(alert_of("Watchdog"))
    deadline = time.monotonic() + DEADLINE_SECONDS
    while stack.sink.inbox.watchdog()[0] == 0 and time.monotonic() < deadline:
        time.sleep(0.1)
    assert stack.sink.inbox.watchdog()[0] > 0
    assert "Watchdog" not in json.dumps(stack.sink.inbox.messages())


@pytest.mark.parametrize("source", ["PredictorDown", "PredictorAbsent"])
def test_a_dead_predictor_mutes_its_lesser_alerts_and_no_others(stack: Stack, source: str) -> None:
    """Mute exactly the named alerts, and only those of the same job."""
    job = f"dead-{source}"
    lesser = [alert_of(name, job=job) for name in MUTED]
    models = [alert_of(name, job=job, model_name=job) for name in RULES if name.startswith("Model")]
    elsewhere = [alert_of(name, job="alive") for name in MUTED]
    jobless = alert_of("PredictorOverloaded", instance=source)
    stack.post(alert_of(source, job=job), *lesser, *models, *elsewhere, jobless)
    stack.message(titled(source))
    deadline = time.monotonic() + DEADLINE_SECONDS
    while time.monotonic() < deadline:
        muted = {a["labels"]["alertname"] for a in stack.alerts(job=job) if a["status"]["inhibitedBy"]}
        if muted == set(MUTED):
            break
        time.sleep(0.1)
    assert muted == set(MUTED)
    assert not any(alert["status"]["inhibitedBy"] for alert in stack.alerts(job="alive"))
    assert not any(alert["status"]["inhibitedBy"] for alert in stack.alerts(instance=source))


def test_a_high_error_rate_mutes_the_low_accuracy_of_the_same_version_only(stack: Stack) -> None:
    """Report a version that is wrong too often once, and leave the other versions of the model alone."""
    wrong = {"model_name": "wrong", "model_version": "2"}
    other = {"model_name": "wrong", "model_version": "1"}
    stack.post(
        alert_of("ModelErrorRateHigh", **wrong),
        *(alert_of("ModelAccuracyLow", **version) for version in (wrong, other)),
    )
    stack.message(titled("ModelErrorRateHigh", "wrong"))
    deadline = time.monotonic() + DEADLINE_SECONDS
    while time.monotonic() < deadline:
        inhibited = [a["labels"] for a in stack.alerts(model_name="wrong") if a["status"]["inhibitedBy"]]
        if inhibited:
            break
        time.sleep(0.1)
    found = [(labels["alertname"], labels["model_version"]) for labels in inhibited]
    assert found == [("ModelAccuracyLow", "2")]


@pytest.mark.parametrize(
    ("receiver", "labels"),
    [
        ("slack", ["severity=critical", "alertname=PredictorDown"]),
        ("slack", ["severity=warning", "alertname=PredictorOverloaded"]),
        ("slack", ["alertname=Stray"]),
        ("watchdog", ["severity=none", "alertname=Watchdog"]),
    ],
)
def test_routes_lead_where_they_should(stack: Stack, receiver: str, labels: list[str]) -> None:
    """Route by severity and name, as amtool sees it."""
    config = f"--config.file={stack.folder / 'alertmanager.yml'}"
    amtool = str(stack.bin / "amtool")
    command = [amtool, "config", "routes", "test", config, f"--verify.receivers={receiver}"]
    done = subprocess.run([*command, *labels], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
