"""Both windows of quality hold the same formulas, and what is measured in seconds follows the clock."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from prometheus.build import ROOT, Settings, render
from tests.prometheus.monitoring_binaries import LINES, binaries

FOLDER = ROOT / "prometheus" / "rules"
TOPICS = ("quality", "quality_scores")
PAIRS = [(f"{topic}_1h.recording.yml", f"{topic}_1d.recording.yml") for topic in TOPICS]
# What is read from the last hour is the same for both windows.
WINDOW = re.compile(r"(?<!last)1h\b")


def groups_of(name: str) -> list[dict[str, Any]]:
    """Return the groups of a rule file."""
    groups: list[dict[str, Any]] = yaml.safe_load((FOLDER / name).read_text())["groups"]
    return groups


def recorded(name: str) -> dict[str, str]:
    """Return each expression of a rule file by the name under which it is recorded."""
    return {rule["record"]: rule["expr"] for group in groups_of(name) for rule in group["rules"]}


def over_a_day(text: str) -> str:
    """Put a day where an hour stands, but not where the last value of an hour is read."""
    return WINDOW.sub("1d", text)


@pytest.mark.parametrize(("hour", "day"), PAIRS, ids=TOPICS)
def test_a_day_is_the_hour_with_another_window(hour: str, day: str) -> None:
    """Hold the same rules in the same order; only the increases themselves are made in another way."""
    by_hour, by_day = recorded(hour), recorded(day)
    assert list(by_day) == [over_a_day(name) for name in by_hour]
    five_minutes = recorded("quality.recording.yml")
    for name, expression in by_hour.items():
        if "[1h]" not in expression:
            assert by_day[over_a_day(name)] == over_a_day(expression)
            continue
        base = f"{name.removesuffix('1h')}5m"
        assert by_day[over_a_day(name)] == f"sum_over_time({base}[1d:5m])"
        assert five_minutes[base] == expression.replace("[1h]", "[315s]") + " / 1.05"


@pytest.mark.parametrize(("hour", "day"), PAIRS, ids=TOPICS)
def test_a_day_has_the_groups_of_the_hour_five_times_as_seldom(hour: str, day: str) -> None:
    """Evaluate windows of a day every five minutes, the step of which they are made."""
    assert [(group["name"], group["interval"]) for group in groups_of(day)] == [
        (over_a_day(group["name"]), "5m") for group in groups_of(hour)
    ]
    assert {group["interval"] for group in groups_of(hour)} == {"1m"}


def test_each_statistic_stands_in_the_list_of_metrics() -> None:
    """Give one row of docs/metrics.md to each statistic of an hour, and to no other."""
    rows = re.findall(
        r"^\| `(model\w*:ml_\w+:\w+1h)` \|", (ROOT / "docs" / "metrics.md").read_text(), re.MULTILINE
    )
    statistics = {
        name
        for hour, _ in PAIRS
        for name in recorded(hour)
        if re.fullmatch(r"\S+:(ratio|avg|debiased)1h", name) and "chance_agreement" not in name
    }
    assert len(rows) == len(set(rows))
    assert set(rows) == statistics


@pytest.mark.parametrize("line", LINES)
def test_ground_truth_is_stale_on_the_demo_clock_after_a_sixtieth_of_the_objective(
    line: str, tmp_path: Path
) -> None:
    """Fire a minute after the last truth where an hour is the objective, and the 15 s of `for`."""
    render(Settings(factor=60), tmp_path)
    model = 'model_name="tickets",model_version="1"'
    series = {
        f"ml_predictions_total{{{model}}}": "0+1x120",
        f"ml_ground_truth_last_timestamp_seconds{{{model}}}": "10x120",
        f'ml_objective{{{model},signal="label_delay_seconds"}}': "3600x120",
    }
    firing = 'count(ALERTS{alertname="ModelGroundTruthStale",alertstate="firing"})'
    expected = [(84, []), (90, [{"labels": "{}", "value": 1}])]
    document = {
        "rule_files": [
            f"rules/{name}.yml" for name in ("traffic.recording", "quality.recording", "quality.alerts")
        ],
        "evaluation_interval": "1s",
        "tests": [
            {
                "interval": "1s",
                "input_series": [{"series": name, "values": values} for name, values in series.items()],
                "promql_expr_test": [
                    {"expr": firing, "eval_time": f"{second}s", "exp_samples": samples}
                    for second, samples in expected
                ],
            }
        ],
    }
    (tmp_path / "clock.test.yml").write_text(yaml.safe_dump(document))
    done = subprocess.run(
        [binaries(line) / "promtool", "test", "rules", tmp_path / "clock.test.yml"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
