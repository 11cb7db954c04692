"""Every query of every board against a real Prometheus that scrapes a predictor: no error, no gap."""

from __future__ import annotations

import json
import math
import shutil
import socket
import subprocess
import sys
import time
import urllib.parse
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.grafana.believable_exposition import BelievableService, serving
from tests.grafana.boards import ROOT, Query, expand, load, queries, values, variable_queries

DEADLINE_SECONDS = 90
# Stands for any alert, so that what shows alerts is shown to work.
PROBE_RULES = {
    "groups": [
        {
            "name": "probe.alerts",
            "rules": [
                {
                    "alert": "BoardProbe",
                    "expr": 'ml_model_ready{model_name="tickets"} > 0',
                    "labels": {"severity": "warning"},
                }
            ],
        }
    ]
}


@pytest.fixture(scope="module")
def metrics_url() -> Iterator[str]:
    """Yield the address of metrics that move as under traffic."""
    with serving(BelievableService()) as url:
        yield url


def rule_files(folder: Path) -> list[str]:
    """Write the rules, evaluated every second, and return their paths."""
    written = []
    sources = {
        path.name: yaml.safe_load(path.read_text()) for path in (ROOT / "prometheus/rules").glob("*.yml")
    }
    for name, rules in {**sources, "probe.yml": PROBE_RULES}.items():
        for group in rules["groups"]:
            group["interval"] = "1s"
        (folder / name).write_text(yaml.safe_dump(rules))
        written.append(str(folder / name))
    return written


@pytest.fixture(scope="module")
def prometheus(metrics_url: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Yield the address of a Prometheus that scrapes the metrics and evaluates the rules each second."""
    binary = shutil.which("prometheus", path=str(ROOT / ".local/bin")) or shutil.which("prometheus")
    assert binary, "no prometheus on the PATH: run scripts/fetch-monitoring .local/bin"
    folder = tmp_path_factory.mktemp("prometheus")
    source = urllib.parse.urlsplit(metrics_url)
    scrape = {
        "job_name": "predictor",
        "metrics_path": source.path,
        "static_configs": [{"targets": [source.netloc]}],
    }
    clock = {"scrape_interval": "1s", "evaluation_interval": "1s"}
    configuration = {"global": clock, "rule_files": rule_files(folder), "scrape_configs": [scrape]}
    (folder / "prometheus.yml").write_text(yaml.safe_dump(configuration))
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{free.getsockname()[1]}"
    command = [
        binary,
        f"--config.file={folder}/prometheus.yml",
        f"--storage.tsdb.path={folder}/data",
        f"--web.listen-address={address}",
        "--log.level=warn",
    ]
    with (folder / "log").open("w") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log)
    try:
        wait_until_ready(f"http://{address}", process, folder / "log")
        yield f"http://{address}"
    finally:
        process.terminate()
        process.wait(timeout=30)


def wait_until_ready(address: str, process: subprocess.Popen[bytes], log: Path) -> None:
    """Wait until Prometheus answers."""
    deadline = time.monotonic() + DEADLINE_SECONDS
    while time.monotonic() < deadline:
        assert process.poll() is None, log.read_text()
        try:
            urllib.request.urlopen(f"{address}/-/ready", timeout=5).close()
        except OSError:
            time.sleep(0.1)
        else:
            return
    pytest.fail(f"Prometheus is not ready: {log.read_text()}")


def ask(address: str, path: str, **parameters: str) -> Any:
    """Ask Prometheus; an error, a warning or an info fails the test."""
    request = urllib.request.Request(f"{address}{path}", urllib.parse.urlencode(parameters).encode())
    if path.startswith("/api/v1/label/"):
        request = urllib.request.Request(f"{address}{path}?{urllib.parse.urlencode(parameters)}")
    with urllib.request.urlopen(request, timeout=30) as response:
        answer = json.load(response)
    assert answer["status"] == "success", answer
    assert not answer.get("warnings"), answer["warnings"]
    assert not answer.get("infos"), answer["infos"]
    return answer["data"]


def points(address: str, query: Query) -> list[float]:
    """Return the values that a panel would draw; NaN is a gap."""
    now = time.time()
    if query.instant:
        result = ask(address, "/api/v1/query", query=query.expr, time=str(now))["result"]
        found = [float(series["value"][1]) for series in result]
    else:
        span = {"start": str(now - 20), "end": str(now), "step": "1"}
        result = ask(address, "/api/v1/query_range", query=query.expr, **span)["result"]
        found = [float(value) for series in result for _, value in series["values"]]
    return [value for value in found if not math.isnan(value)]


@pytest.fixture(scope="module", params=["real time", "demo clock"])
def boards(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> list[dict[str, Any]]:
    """Return the committed boards and those of the demo clock."""
    folder = ROOT / "grafana"
    if request.param == "demo clock":
        folder = tmp_path_factory.mktemp("demo")
        command = [sys.executable, "-m", "grafana.build", "--factor", "60", "--out", str(folder)]
        subprocess.run(command, cwd=ROOT, check=True)
    return [load(path) for path in sorted((folder / "generated").glob("*.json"))]


def test_no_query_fails_and_no_panel_is_empty(prometheus: str, boards: list[dict[str, Any]]) -> None:
    """Each query of each panel, variable and annotation answers with a number, without a warning."""
    waiting = [query for board in boards for query in queries(board)]
    deadline = time.monotonic() + DEADLINE_SECONDS
    while waiting and time.monotonic() < deadline:
        waiting = [query for query in waiting if not points(prometheus, query)]
        if waiting:
            time.sleep(0.5)
    assert not waiting, f"empty: {[(query.place, query.expr) for query in waiting]}"


def test_variables_offer_models_and_versions(prometheus: str, boards: list[dict[str, Any]]) -> None:
    """The selectors of a board list what is loaded."""
    for board in boards:
        offered = {
            label: ask(
                prometheus, f"/api/v1/label/{label}/values", **{"match[]": expand(series, values(board))}
            )
            for series, label in variable_queries(board)
        }
        assert "iris" in offered["model_name"]
        assert "1" in offered["model_version"]


def test_one_model_can_be_looked_at_alone(prometheus: str, boards: list[dict[str, Any]]) -> None:
    """With one model chosen, what is drawn by model speaks of that model only."""
    seen = set()
    for board in boards:
        by_name = values(board) | {"model_name": "tickets"}
        for panel in board["panels"]:
            for target in panel.get("targets", []):
                if "model_name" not in target["expr"]:
                    continue
                result = ask(prometheus, "/api/v1/query", query=expand(target["expr"], by_name))["result"]
                names = {series["metric"].get("model_name") for series in result}
                assert names <= {"tickets", None}, target["expr"]
                seen |= names
    assert "tickets" in seen
