"""Asks months of made-up history when a shipped alert would have fired.

`promtool test rules` is exact but too slow for months. Here history is written as blocks and read by a real
Prometheus. The alert's expression is asked for by range queries, each recorded name in it replaced by the
text that records it, and `for` is a run of true minutes. What an alert says of itself (`ALERTS`) is empty
here, so an alert that goes on once it fires counts as several: the number found is an upper bound.
"""

from __future__ import annotations

import json
import re
import subprocess
import urllib.parse
import urllib.request
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import yaml
from numpy.typing import NDArray

from prometheus.build import ROOT
from tests.prometheus.monitoring_binaries import binaries
from tests.stack.worker_process import free_port, wait_until

MINUTE = 60
# A range query answers at most 11000 points.
_POINTS = 10_000
_RECORDED = re.compile(r"(?<![\w:])(?P<name>[a-z_]+:\w+:\w+)(?P<window>\[[^\]]+\])?")


def shipped_rules() -> dict[str, tuple[dict[str, Any], str]]:
    """Return every rule by its name, with the interval of its group."""
    return {
        rule.get("record") or rule["alert"]: (rule, group["interval"])
        for path in sorted((ROOT / "prometheus" / "rules").glob("*.yml"))
        for group in yaml.safe_load(path.read_text())["groups"]
        for rule in group["rules"]
    }


def expanded(name: str) -> str:
    """Write a rule's expression over exported series alone, by putting in what it reads of other rules."""
    rules = shipped_rules()

    def over_exported(expression: str) -> str:
        return _RECORDED.sub(in_its_place, re.sub(r"#.*", "", expression))

    def in_its_place(match: re.Match[str]) -> str:
        rule, interval = rules[match["name"]]
        inner, window = f"({over_exported(rule['expr'])})", match["window"]
        if window is None or ":" in window:
            return inner + (window or "")
        # A window over recorded values: as often as they were recorded.
        return f"{inner}{window[:-1]}:{interval}]"

    return over_exported(rules[name][0]["expr"])


def write_blocks(line: str, openmetrics: Iterable[str], folder: Path) -> None:
    """Turn lines of OpenMetrics into the database of a Prometheus, in `folder/data`."""
    source = folder / "history.om"
    with source.open("w") as file:
        file.writelines(f"{each}\n" for each in openmetrics)
    command = [str(binaries(line) / "promtool"), "tsdb", "create-blocks-from", "openmetrics"]
    command += ["--max-block-duration=720h", str(source), str(folder / "data")]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


@contextmanager
def serving(line: str, folder: Path) -> Iterator[str]:
    """Yield the address of a Prometheus over `folder/data`; it scrapes nothing."""
    (folder / "prometheus.yml").write_text("{}\n")
    address = f"127.0.0.1:{free_port()}"
    command = [
        str(binaries(line) / "prometheus"),
        f"--config.file={folder}/prometheus.yml",
        f"--storage.tsdb.path={folder}/data",
        "--storage.tsdb.retention.time=100y",
        f"--web.listen-address={address}",
        "--log.level=warn",
    ]
    with (folder / "log").open("w") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log)
    try:
        wait_until(lambda: _is_ready(address), "Prometheus is ready")
        yield f"http://{address}"
    finally:
        process.terminate()
        process.wait(timeout=30)


def _is_ready(address: str) -> bool:
    try:
        urllib.request.urlopen(f"http://{address}/-/ready", timeout=5).close()
    except OSError:
        return False
    return True


def firing_minutes(url: str, alert: str, start: int, minutes: int) -> dict[str, list[int]]:
    """Return for each model the minutes after `start`, Unix seconds, at which the alert begins to fire."""
    expression = expanded(alert)
    waits = int(shipped_rules()[alert][0]["for"].removesuffix("m"))
    true_minutes: dict[str, list[int]] = {}
    for first in range(0, minutes, _POINTS):
        last = min(first + _POINTS, minutes) - 1
        query = {
            "query": expression,
            "start": start + MINUTE * first,
            "end": start + MINUTE * last,
            "step": MINUTE,
        }
        data = urllib.parse.urlencode(query).encode()
        with urllib.request.urlopen(f"{url}/api/v1/query_range", data, timeout=120) as answer:
            result = json.load(answer)["data"]["result"]
        for series in result:
            found = true_minutes.setdefault(series["metric"]["model_name"], [])
            found += [int(second - start) // MINUTE for second, _ in series["values"]]
    return {model: _begins(np.array(found), waits) for model, found in true_minutes.items()}


def _begins(true_minutes: NDArray[np.int64], waits: int) -> list[int]:
    runs = np.split(true_minutes, np.flatnonzero(np.diff(true_minutes) > 1) + 1)
    return [int(run[0]) + waits for run in runs if len(run) > waits]
