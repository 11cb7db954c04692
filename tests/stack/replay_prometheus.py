"""A real Prometheus on the demo clock: the shipped rules, rendered as `make up` renders them."""

from __future__ import annotations

import itertools
import json
import subprocess
import urllib.parse
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from prometheus.build import Settings, prometheus_flags, render
from tests.prometheus.monitoring_binaries import binaries
from tests.prometheus.promtool_values import Labels
from tests.stack.predictor_process import answers, parse_samples, sum_of
from tests.stack.worker_process import free_port, wait_until

FACTOR = 60
"""The demo clock: an hour is a minute, a day is 24."""
SCRAPE_SECONDS = 1.0
_START_SECONDS = 40.0
_FIVE_MINUTES = "quality_5m.recording"
_MISSED = "prometheus_rule_group_iterations_missed_total"


@dataclass(frozen=True)
class RunningPrometheus:
    """What a test needs of a running server."""

    url: str
    log: Path

    def ask(self, path: str, **parameters: str) -> Any:
        """Ask the API; an error fails the test."""
        query = urllib.parse.urlencode(parameters)
        with urllib.request.urlopen(f"{self.url}/api/v1/{path}?{query}", timeout=30) as response:
            answer = json.load(response)
        assert answer["status"] == "success", answer
        return answer["data"]

    def values(self, query: str, at: float | None = None) -> dict[Labels, float]:
        """Evaluate a query, at a Unix time or now; give the value of each series by its labels."""
        moment = {} if at is None else {"time": f"{at:.3f}"}
        found = {}
        for series in self.ask("query", query=query, **moment)["result"]:
            labels = {name: value for name, value in series["metric"].items() if name != "__name__"}
            found[frozenset(labels.items())] = float(series["value"][1])
        return found

    def groups(self) -> list[dict[str, Any]]:
        """Return the groups of rules with their state."""
        groups: list[dict[str, Any]] = self.ask("rules")["groups"]
        return groups

    def own_total(self, name: str) -> float:
        """Sum a metric of the server itself."""
        with urllib.request.urlopen(f"{self.url}/metrics", timeout=30) as response:
            return sum_of(parse_samples(response.read().decode()), name)

    def is_on_time(self, begin: float, end: float) -> bool:
        """Tell whether no scrape between two Unix times was left out, and no rule."""
        query = f'up{{job="predictor"}}[{end - begin:.0f}s]'
        (series,) = self.ask("query", query=query, time=f"{end:.3f}")["result"]
        moments = [float(moment) for moment, is_up in series["values"] if is_up == "1"]
        longest = max(later - earlier for earlier, later in itertools.pairwise([begin, *moments, end]))
        return longest < 1.5 * SCRAPE_SECONDS and self.own_total(_MISSED) == 0

    def sees_each_scrape_in_time(self) -> bool:
        """Tell whether what a scrape brought is there when the windows that are laid end to end need it.

        Both moments come from hashes, of the target and of the rule file's path. A scrape that begins less
        than it takes before a rule is evaluated is in no window: rare with 15 s between scrapes, not with 1.
        """
        scraped: dict[Labels, float] = {}
        evaluated = 0.0

        def is_known() -> bool:
            nonlocal evaluated
            scraped.update(self.values('timestamp(up{job="predictor"})'))
            (group,) = (group for group in self.groups() if group["name"] == _FIVE_MINUTES)
            evaluated = datetime.fromisoformat(group["lastEvaluation"]).timestamp()
            return bool(scraped) and evaluated > 0

        wait_until(answers(is_known), "the first scrape and the first rules", _START_SECONDS)
        (began,) = scraped.values()
        return 0.15 < (evaluated - began) % SCRAPE_SECONDS < 0.97


@contextmanager
def running_prometheus(line: str, folder: Path, exporter: str) -> Iterator[RunningPrometheus]:
    """Run the server of a line, scraping an exporter (HOST:PORT), until the block ends."""
    for attempt in itertools.count():
        with _started(line, folder / f"{line}-{attempt}", exporter) as server:
            if server.sees_each_scrape_in_time():
                yield server
                return


@contextmanager
def _started(line: str, folder: Path, exporter: str) -> Iterator[RunningPrometheus]:
    program = binaries(line) / "prometheus"
    address = f"127.0.0.1:{free_port()}"
    render(Settings(FACTOR, predictors=(exporter,), prometheus=(address,), alertmanagers=()), folder)
    command = [
        str(program),
        f"--config.file={folder / 'prometheus.yml'}",
        f"--storage.tsdb.path={folder / 'data'}",
        f"--web.listen-address={address}",
        "--log.level=warn",
        *prometheus_flags(FACTOR),
    ]
    server = RunningPrometheus(f"http://{address}", folder / "prometheus.log")
    with server.log.open("w") as output, subprocess.Popen(command, stdout=output, stderr=output) as process:

        def is_ready() -> bool:
            assert process.poll() is None, server.log.read_text()
            with urllib.request.urlopen(f"{server.url}/-/ready", timeout=5):
                return True

        try:
            wait_until(answers(is_ready), "Prometheus ready", _START_SECONDS)
            yield server
        finally:
            process.terminate()
            process.wait(_START_SECONDS)
