"""On the same truths both lines of Prometheus fire the same quality alerts, at the same minute."""

from __future__ import annotations

from functools import cache
from pathlib import Path

import numpy as np
import pytest

from tests.prometheus.monitoring_binaries import LINES
from tests.prometheus.promtool_values import History, Labels, promtool_values
from tests.prometheus.quality_events import (
    SCRAPE_INTERVAL,
    ClassTruths,
    Floats,
    Integers,
    NumberTruths,
    Scrapes,
    exported,
)

SCRAPES = Scrapes(until=9000.0, restart=400)
FALL_SECONDS = 3600.0
END_MINUTES = 149
FIRED = "min_over_time(timestamp(ALERTS{alertstate='firing'})[149m:1m]) / 60"


def arrivals(rng: np.random.Generator, count: int) -> tuple[Floats, Integers, Floats]:
    """Draw times, replicas and delays of truths."""
    return np.sort(rng.uniform(0, 8900, count)), rng.integers(0, 2, count), rng.uniform(60, 9000, count)


def iris() -> ClassTruths:
    """Fall from 0.92 to 0.6 and keep the confidence."""
    rng = np.random.default_rng(5)
    seconds, replica, delay = arrivals(rng, 2500)
    actual = rng.integers(0, 3, 2500)
    is_correct = rng.random(2500) < np.where(seconds < FALL_SECONDS, 0.92, 0.6)
    predicted = np.where(is_correct, actual, (actual + 1) % 3)
    confidence = rng.uniform(0.85, 0.99, 2500)
    classes = ("setosa", "versicolor", "virginica")
    return ClassTruths("iris", seconds, replica, delay, classes, actual, predicted, confidence)


def wine() -> ClassTruths:
    """Stay at 0.86, within chance of the objective."""
    rng = np.random.default_rng(6)
    seconds, replica, delay = arrivals(rng, 2500)
    actual = rng.integers(0, 2, 2500)
    predicted = np.where(rng.random(2500) < 0.86, actual, 1 - actual)
    confidence = rng.uniform(0.8, 0.92, 2500)
    return ClassTruths("wine", seconds, replica, delay, ("red", "white"), actual, predicted, confidence)


def bike() -> NumberTruths:
    """Err by twice as much from the fall on, and get no truth at all in the last hour."""
    rng = np.random.default_rng(7)
    seconds, replica, delay = arrivals(rng, 2500)
    error = rng.normal(0, np.where(seconds < FALL_SECONDS, 50, 100))
    bike = NumberTruths("bike", seconds, replica, delay, error, 181.4)
    return bike.between(0, 6000)


def history() -> History:
    """Write down what two replicas export, with objectives and roles."""
    constant = SCRAPES.constant
    objectives = {
        "iris": {"accuracy": 0.85, "error_rate": 0.2, "calibration_error": 0.1},
        "wine": {"accuracy": 0.85, "error_rate": 0.2},
        "bike": {"mae": 55.0, "label_delay_seconds": 1200.0},
    }
    series: dict[str, str] = {}
    for truths in (iris(), wine(), bike()):
        pair = truths.pair
        series |= exported(truths, SCRAPES)
        series[f'ml_model_info{{{pair},role="stable"}}'] = constant(1)
        for signal, value in objectives[truths.model_name].items():
            series[f'ml_objective{{{pair},signal="{signal}"}}'] = constant(value)
    pair = bike().pair
    last = np.concatenate([[0.0], bike().seconds])
    at_scrape = last[np.searchsorted(bike().seconds, SCRAPES.seconds, side="right")]
    series[f"ml_ground_truth_last_timestamp_seconds{{{pair}}}"] = " ".join(
        f"{each:.10g}" for each in at_scrape
    )
    series[f'ml_prediction_bin_total{{{pair},bin="100.0"}}'] = f"0+5x{len(SCRAPES.seconds)}"
    series[f"ml_target_reference_stddev{{{pair}}}"] = constant(bike().stddev)
    return History(series, SCRAPE_INTERVAL, "1m", f"{END_MINUTES}m")


@cache
def fired(line: str, folder: Path) -> dict[Labels, float]:
    """Return for each alert that ever fired the minute at which it began to."""
    return promtool_values(line, folder, history(), [FIRED])[FIRED]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder for the whole module."""
    return tmp_path_factory.mktemp("promtool")


@pytest.mark.parametrize("line", LINES)
def test_the_models_that_got_worse_are_reported_and_no_other(line: str, folder: Path) -> None:
    """Report both models that fell, soon after, and nothing of the one that did not."""
    found = {
        (dict(labels)["alertname"], dict(labels)["model_name"]): minute
        for labels, minute in fired(line, folder).items()
    }
    assert found.keys() == {
        ("ModelAccuracyLow", "iris"),
        ("ModelErrorRateHigh", "iris"),
        ("ModelCalibrationOff", "iris"),
        ("ModelErrorRateHigh", "bike"),
        ("ModelGroundTruthStale", "bike"),
    }
    assert all(FALL_SECONDS / 60 < minute < 140 for minute in found.values())


def test_both_lines_fire_the_same_alerts_at_the_same_minute(folder: Path) -> None:
    """Differ by no more than one interval."""
    old, new = (fired(line, folder) for line in LINES)
    assert old == pytest.approx(new, abs=1)
