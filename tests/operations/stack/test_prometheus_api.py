"""Any Prometheus can be asked, and what is none says so in one line."""

from __future__ import annotations

import math
import socket
from pathlib import Path

import pytest
import yaml

from operations.stack.layout import ROOT, Layout, Ports, Stack
from operations.stack.prometheus_api import (
    CLOCK_GROUP,
    CLOCK_GROUP_SECONDS,
    Alert,
    Prometheus,
    PrometheusError,
    Sample,
    Target,
    are_all_up,
    firing_alerts,
    is_predictor_ready,
    printable,
    targets,
)
from tests.operations.stub_prometheus import StubPrometheus, serving


def stack_at(folder: Path, port: int) -> Stack:
    """Make a stack whose Prometheus and predictor listen on this port."""
    return Stack(Layout(folder), Ports(predictor=port, prometheus=port), "demo")


def unused_port() -> int:
    """Find a port on which nobody listens."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def test_targets_alerts_and_samples_are_read() -> None:
    """Whatever is not firing, and Watchdog, is left out."""
    stub = StubPrometheus(
        values={("iris", "7"): {"a": 0.25, "b": "NaN", "c": "+Inf"}},
        targets={"predictor": "up", "prometheus": "down"},
        alerts=[
            {"alertname": "PredictorDown", "severity": "critical", "description": "h:1 is\n down."},
            {"alertname": "ModelAccuracyLow", "model_name": "iris", "model_version": "7"},
        ],
    )
    with serving(stub) as url:
        prometheus = Prometheus(f"{url}/")
        assert prometheus.targets() == [
            Target("predictor", "predictor:9101", "up", ""),
            Target("prometheus", "prometheus:9101", "down", "connection refused"),
        ]
        assert prometheus.firing_alerts() == [
            Alert("PredictorDown", "critical", "h:1 is down.", None, None),
            Alert("ModelAccuracyLow", "", "", "iris", "7"),
        ]
        samples = prometheus.query("up + 1")
    assert stub.questions[-1] == ("/api/v1/query", "up + 1")
    assert samples[0] == Sample({"model_name": "iris", "model_version": "7", "value": "a"}, 0.25)
    assert math.isnan(samples[1].value)
    assert math.isinf(samples[2].value)


@pytest.mark.parametrize("factor", [None, 1, 60, 300])
def test_the_clock_is_that_of_the_loaded_rules(factor: int | None) -> None:
    """A Prometheus without our rules has none; groups of others are passed over."""
    with serving(StubPrometheus(clock_factor=factor)) as url:
        assert Prometheus(url).clock_factor() == factor


def test_the_group_that_tells_the_clock_is_in_the_rules() -> None:
    """Its interval on the clock of production is the one that is divided."""
    rules = yaml.safe_load((ROOT / "prometheus/rules/quality.recording.yml").read_text())
    intervals = {group["name"]: group["interval"] for group in rules["groups"]}
    assert intervals[CLOCK_GROUP] == f"{CLOCK_GROUP_SECONDS // 60}m"


@pytest.mark.parametrize(
    ("status", "body", "told"),
    [
        (400, b'{"status": "error", "error": "parse\\u001b[31m error"}', "answers 400: parse?[31m error"),
        (503, b"<html>no backend</html>", "answers 503, but not as a Prometheus does"),
        (200, b"<html>a board</html>", "answers 200, but not as a Prometheus does"),
        (200, b'{"data": {"something": "else"}}', "answers 200, but not as a Prometheus does"),
        (200, b"[]", "answers 200, but not as a Prometheus does"),
        (200, b'{"data": {"result": [{"metric": {}, "value": [1]}]}}', "not as a Prometheus does"),
        (200, b"\xff", "not as a Prometheus does"),
    ],
)
def test_an_answer_that_is_none_is_one_line(status: int, body: bytes, told: str) -> None:
    """The line names the address, and nothing in it can move a terminal's cursor."""
    with serving(StubPrometheus(status=status, body=body)) as url, pytest.raises(PrometheusError) as raised:
        Prometheus(url).query("up")
    assert told in str(raised.value)
    assert url in str(raised.value)
    assert str(raised.value).isprintable()


def test_a_port_that_nobody_holds_is_one_line() -> None:
    """The reason is the operating system's."""
    url = f"http://127.0.0.1:{unused_port()}"
    with pytest.raises(PrometheusError, match=f"^Prometheus at {url} does not answer: Connection refused$"):
        Prometheus(url).targets()


@pytest.mark.parametrize(
    "url",
    ["localhost:9090", "ftp://host", "http://", "http://host:port", "http://me:secret@host", "http://h/?a=b"],
)
def test_what_is_no_address_is_refused(url: str) -> None:
    """Before anything is asked."""
    with pytest.raises(PrometheusError, match="is no address"):
        Prometheus(url)


def test_a_path_before_the_api_is_kept() -> None:
    """Prometheus may be served below a path of a proxy."""
    stub = StubPrometheus()
    with serving(stub) as url, pytest.raises(PrometheusError, match="answers 404"):
        Prometheus(f"{url}/prometheus/").targets()
    assert stub.questions[0][0] == "/prometheus/api/v1/targets?state=active"


def test_a_stack_is_up_only_with_all_of_its_targets(tmp_path: Path) -> None:
    """Two targets that are up are not three."""
    three = {"predictor": "up", "prometheus": "up", "alertmanager": "up"}
    for found, is_up in ((three, True), (three | {"predictor": "down"}, False), ({"predictor": "up"}, False)):
        with serving(StubPrometheus(targets=found)) as url:
            assert are_all_up(stack_at(tmp_path, int(url.rpartition(":")[2]))) is is_up


def test_a_stack_that_does_not_answer_is_waited_for(tmp_path: Path) -> None:
    """`plumbline up` asks before the programs listen, so silence is no error to it."""
    stack = stack_at(tmp_path, unused_port())
    assert targets(stack) == []
    assert firing_alerts(stack) == []
    assert not are_all_up(stack)
    assert not is_predictor_ready(stack)


def test_the_predictor_is_ready_when_it_says_so(tmp_path: Path) -> None:
    """Anything but 200 is not ready."""
    for status, is_ready in ((200, True), (503, False)):
        with serving(StubPrometheus(status=status, body=b"{}")) as url:
            assert is_predictor_ready(stack_at(tmp_path, int(url.rpartition(":")[2]))) is is_ready


@pytest.mark.parametrize(
    ("text", "shown"), [("a\x1b[2Jb", "a?[2Jb"), ("a\r\nb\t c", "a b c"), ("Zürich ± 3", "Zürich ± 3")]
)
def test_text_of_others_moves_no_cursor(text: str, shown: str) -> None:
    """Control characters are replaced, letters of all languages stay."""
    assert printable(text) == shown
