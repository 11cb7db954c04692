"""`plumbline status` tells what Prometheus knows, of the native stack or of any other."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from operations.__main__ import main
from operations.stack.layout import ROOT, Layout, Ports, Stack
from operations.stack.supervision import ProgramState
from tests.operations.stub_prometheus import StubPrometheus, serving

IRIS = ("iris", "7")
VALUES = {
    "is_scraped": 1,
    "requests_per_second": 4.2,
    "accuracy_objective": 0.85,
    "accuracy_1h": 0.712,
    "accuracy_stderr_1h": 0.021,
    "accuracy_bound_1h": 0.78,
    "labels_1h": 460,
    "labels_1d": 9100,
    "labels_total": 9100,
}
ALERT = {
    "alertname": "ModelErrorRateHigh",
    "severity": "critical",
    "model_name": "iris",
    "model_version": "7",
    "description": "iris version 7, by the truths that arrived: wrong in 28.8% of 460 over the last 1h, "
    "objective 20%; it serves since 2026-07-26 10:12:03 +0000 UTC.",
}
ALL_UP = {"predictor": "up", "prometheus": "up", "alertmanager": "up"}
PROGRAMS = [
    ProgramState("predictor", "RUNNING", 4711, 3725, 2),
    ProgramState("drainer", "RUNNING", 4712, 3725, 0),
    ProgramState("prometheus", "RUNNING", 4713, 3700, 0),
]


def stub(**changed: Any) -> StubPrometheus:
    """Make a Prometheus that knows one version with an alert."""
    known: dict[str, Any] = {
        "values": {IRIS: VALUES},
        "roles": {IRIS: ("stable",)},
        "targets": ALL_UP,
        "alerts": [ALERT],
        "clock_factor": 60,
    }
    return StubPrometheus(**(known | changed))


class RunningSupervisor:
    """A supervisor that answers."""

    states = PROGRAMS

    def __init__(self, _layout: Layout) -> None:
        """Take what the real one takes."""

    def programs(self) -> list[ProgramState]:
        """Return the states of the class."""
        return self.states


@pytest.fixture(autouse=True)
def terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    """Give every test a width of 120."""
    monkeypatch.setenv("COLUMNS", "120")


@pytest.fixture
def supervisor(monkeypatch: pytest.MonkeyPatch) -> type[RunningSupervisor]:
    """Let a supervisor answer."""
    monkeypatch.setattr(RunningSupervisor, "states", PROGRAMS)
    monkeypatch.setattr("operations.status_report.Supervisor", RunningSupervisor)
    return RunningSupervisor


def native(folder: Path, url: str) -> list[str]:
    """Note a native stack whose Prometheus is at this address, and return the command that reads it."""
    stack = Stack(Layout(folder), Ports(prometheus=int(url.rpartition(":")[2])), "demo")
    stack.layout.create()
    stack.save()
    return ["status", "--local", str(folder)]


def test_any_prometheus_can_be_read_without_a_stack(capsys: pytest.CaptureFixture[str]) -> None:
    """Targets, models and alerts, but no programs; the clock is that of its rules."""
    with serving(stub()) as url:
        assert main(["status", "--prometheus", url]) == 0
    output = capsys.readouterr().out
    assert "program" not in output
    assert re.search(r"^predictor +up +predictor:9101$", output, re.MULTILINE)
    assert "models, on the demo clock (60 times as fast: 1h passes in 1m, 1d in 24m)" in output
    assert re.search(r"^iris/7 +stable +4\.2 .* 0\.712 ±0\.021 !! +acc ≥0\.85 +460 1h ", output, re.MULTILINE)
    assert "  firing: ModelErrorRateHigh\n" in output
    assert (
        "firing alerts\n  critical  ModelErrorRateHigh: iris version 7, by the truths that arrived" in output
    )
    assert all(len(line) <= 120 for line in output.splitlines())
    assert "\x1b" not in output


def test_native_stack_shows_programs_too(
    tmp_path: Path, supervisor: type[RunningSupervisor], capsys: pytest.CaptureFixture[str]
) -> None:
    """Uptime, restarts and address of each."""
    with serving(stub()) as url:
        assert main(native(tmp_path, url)) == 0
    output = capsys.readouterr().out
    assert re.search(r"^predictor +running +1:02:05 +2 +http://127.0.0.1:8000$", output, re.MULTILINE)
    assert re.search(r"^drainer +running +1:02:05 +0$", output, re.MULTILINE)
    assert "iris/7" in output


def test_program_that_does_not_run_is_status_1(
    tmp_path: Path,
    supervisor: type[RunningSupervisor],
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Everything else is still told."""
    monkeypatch.setattr(supervisor, "states", [ProgramState("predictor", "BACKOFF", 0, 0, 5), *PROGRAMS[1:]])
    with serving(stub()) as url:
        assert main(native(tmp_path, url)) == 1
    output = capsys.readouterr().out
    assert re.search(r"^predictor +backoff +- +5 ", output, re.MULTILINE)
    assert "iris/7" in output


@pytest.mark.parametrize("targets", [{}, {"predictor": "up"}, ALL_UP | {"predictor": "down"}])
def test_native_stack_needs_all_of_its_targets_up(
    tmp_path: Path,
    supervisor: type[RunningSupervisor],
    capsys: pytest.CaptureFixture[str],
    targets: dict[str, str],
) -> None:
    """Status 1 with a target missing or down; the reason stands below it."""
    with serving(stub(targets=targets)) as url:
        assert main(native(tmp_path, url)) == 1
    output = capsys.readouterr().out
    assert ("no target is scraped" in output) is (not targets)
    assert ("  connection refused" in output) is ("down" in targets.values())


def test_native_stack_whose_prometheus_is_silent_shows_its_programs(
    tmp_path: Path, supervisor: type[RunningSupervisor], capsys: pytest.CaptureFixture[str]
) -> None:
    """One line stands for the rest, in text and in JSON, and the status is 1."""
    with serving(stub()) as url:
        command = native(tmp_path, url)
    assert main(command) == 1
    output = capsys.readouterr().out
    assert "predictor" in output
    assert output.splitlines()[-1] == f"Prometheus at {url} does not answer: Connection refused"
    assert main([*command, "--json"]) == 1
    report = json.loads(capsys.readouterr().out)
    assert report["prometheus"] == {
        "url": url,
        "error": f"Prometheus at {url} does not answer: Connection refused",
        "clock_factor": 60,
    }
    assert [program["name"] for program in report["programs"]] == ["predictor", "drainer", "prometheus"]
    assert (report["targets"], report["models"], report["alerts"]) == ([], [], [])


def test_prometheus_that_does_not_answer_is_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    """On stderr, with status 1, and nothing on stdout."""
    with serving(stub()) as url:
        pass
    assert main(["status", "--prometheus", url, "--json"]) == 1
    output = capsys.readouterr()
    assert output.err == f"plumbline status: Prometheus at {url} does not answer: Connection refused\n"
    assert output.out == ""


def test_target_that_is_down_is_status_1_anywhere(capsys: pytest.CaptureFixture[str]) -> None:
    """And so is a Prometheus that scrapes nothing."""
    for targets in ({"predictor": "down"}, {}):
        with serving(stub(targets=targets)) as url:
            assert main(["status", "--prometheus", url]) == 1
    capsys.readouterr()


def test_of_many_targets_those_that_are_not_up_come_first(capsys: pytest.CaptureFixture[str]) -> None:
    """Ten are shown, and all are counted."""
    targets = {f"job{number:02}": "up" for number in range(30)} | {"predictor": "down"}
    with serving(stub(targets=targets)) as url:
        assert main(["status", "--prometheus", url]) == 1
    lines = capsys.readouterr().out.splitlines()
    assert lines[1].split() == ["predictor", "down", "predictor:9101"]
    assert sum(line.startswith("job") for line in lines) == 9
    assert "30 of 31 targets are up" in lines


def test_prometheus_without_our_rules_says_so(capsys: pytest.CaptureFixture[str]) -> None:
    """Otherwise one would look for the reason in the models."""
    with serving(stub(clock_factor=None, values={}, roles={}, alerts=[])) as url:
        assert main(["status", "--prometheus", url]) == 0
    output = capsys.readouterr().out
    assert "no recording rule of Plumbline is loaded there" in output
    assert "none: no model version was exported within the last hour" in output
    assert output.endswith("\nno alert fires\n")


def test_without_a_stack_the_line_names_the_way_out(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A Prometheus in containers is one option away."""
    assert main(["status", "--local", str(tmp_path)]) == 1
    error = capsys.readouterr().err
    assert "no stack runs" in error
    assert "--prometheus URL" in error


def test_stack_that_ended_is_none(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Its note stays when it ends; only the supervisor tells whether it runs."""
    assert main(native(tmp_path, "http://127.0.0.1:1")) == 1
    assert capsys.readouterr().err.startswith("plumbline status: no stack runs")


def test_json_has_the_documented_shape(
    tmp_path: Path, supervisor: type[RunningSupervisor], capsys: pytest.CaptureFixture[str]
) -> None:
    """docs/status.md has a row for each field, and for no other."""
    with serving(stub()) as url:
        assert main([*native(tmp_path, url), "--json"]) == 0
    report = json.loads(capsys.readouterr().out)
    table = (ROOT / "docs/status.md").read_text().partition("| field |")[2]
    documented = re.findall(
        r"`([a-z_0-9.\[\]]+)`", " ".join(re.findall(r"^\| (.*?) \|", table, re.MULTILINE))
    )
    assert sorted(documented) == sorted(fields(report))


def fields(value: Any, path: str = "") -> set[str]:
    """Name every field below a value; those of a list's items once."""
    if isinstance(value, dict):
        return {
            name for key, each in value.items() for name in fields(each, f"{path}.{key}" if path else key)
        }
    if isinstance(value, list) and value and isinstance(value[0], dict):
        return {name for each in value for name in fields(each, f"{path}[]")}
    return {path}


def test_json_has_null_where_there_is_no_number(capsys: pytest.CaptureFixture[str]) -> None:
    """No field is ever left out, and none is NaN."""
    idle = {"error_ratio": "NaN", "latency_p95_seconds": "+Inf"}
    with serving(stub(values={IRIS: idle})) as url:
        assert main(["status", "--prometheus", url, "--json"]) == 0
    report = json.loads(capsys.readouterr().out)
    (model,) = report["models"]
    assert report["programs"] is None
    assert set(model["traffic"].values()) == {None}
    assert model["quality"]["value"] is None
    assert model["quality"]["label_count_needed"] == 50
    assert model["alerts"] == ["ModelErrorRateHigh"]
    assert report["alerts"][0]["description"] == ALERT["description"]
