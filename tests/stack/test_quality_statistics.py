"""What the rules record is what scikit-learn and numpy say of the same truths, on both lines."""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import cache
from pathlib import Path

import numpy as np
import pytest
import yaml

from prometheus.build import ROOT
from tests.prometheus.monitoring_binaries import LINES
from tests.prometheus.promtool_values import History, Labels, Values, promtool_values
from tests.prometheus.quality_events import (
    SCRAPE_INTERVAL,
    SCRAPE_SECONDS,
    ClassTruths,
    Floats,
    NumberTruths,
    Scrapes,
    exported,
    score_bins,
)
from tests.prometheus.quality_oracle import Statistics, of_classes, of_numbers

END_SECONDS = 9000.0
HOUR_BEGINS = END_SECONDS - 3600
SCRAPES = Scrapes(until=END_SECONDS, restart=480)
# Nothing arrives about the beginning of the hour, nor while the replica restarts: what no scrape sees is no
# error of a formula.
QUIET = (
    (HOUR_BEGINS - SCRAPE_SECONDS, HOUR_BEGINS + SCRAPE_SECONDS),
    (480 * SCRAPE_SECONDS, 481 * SCRAPE_SECONDS),
    (END_SECONDS - SCRAPE_SECONDS, END_SECONDS),
)
# Predictions of each version, at a constant rate: more than twice as many as truths.
PREDICTIONS_PER_SCRAPE = 40
# What only serves to record something else.
INTERMEDIATE = re.compile(
    r"model:ml_(class_outcomes_\w+|overestimate|underestimate|squared_error|squared_probability_error):increase"
    r"|model_class:ml_class_outcomes_predicted_and_actual:increase|model:ml_chance_agreement:ratio"
    r"|model_bin:ml_calibration_\w+:\w+|model_actual_(le|lower):ml_score_bucket:increase"
)
WITHIN = 0.005
"""Half a percent, and for a number that is almost 0 that much of a thousandth."""
AUC_WITHIN = 0.005
"""Of the AUC without bins."""


def arrivals(rng: np.random.Generator, count: int) -> Floats:
    """Draw times at which truths arrive, in order."""
    seconds = np.sort(rng.uniform(0, END_SECONDS, count))
    for first, last in QUIET:
        seconds = seconds[(seconds <= first) | (seconds > last)]
    return seconds


def delays(rng: np.random.Generator, count: int) -> Floats:
    """Spread delays evenly over one bucket, where a quantile by interpolation is exact."""
    return rng.permutation(np.linspace(3600, 10_800, count))


@cache
def tickets() -> ClassTruths:
    """Four classes, one of them rare, and a model that is too sure of itself and gets worse with time."""
    rng = np.random.default_rng(1)
    seconds = arrivals(rng, 10_000)
    size = len(seconds)
    actual = rng.choice(4, size, p=[0.45, 0.3, 0.18, 0.07])
    confidence = rng.beta(5, 2, size) * 0.75 + 0.25
    is_correct = rng.random(size) < np.clip(confidence - 0.05 - 0.1 * (seconds > HOUR_BEGINS), 0, 1)
    predicted = np.where(is_correct, actual, (actual + rng.integers(1, 4, size)) % 4)
    classes = ("account", "billing", "hardware", "network")
    replica, delay = rng.integers(0, 2, size), delays(rng, size)
    return ClassTruths("tickets", seconds, replica, delay, classes, actual, predicted, confidence)


@cache
def breast_cancer() -> ClassTruths:
    """Two classes and a score."""
    rng = np.random.default_rng(2)
    seconds = arrivals(rng, 6000)
    size = len(seconds)
    actual = (rng.random(size) < 0.3).astype(np.int64)
    score = rng.normal(np.where(actual == 1, 1.0, -1.4), 1.7)
    probability = 1 / (1 + np.exp(-score))
    predicted = (probability >= 0.5).astype(np.int64)
    confidence = np.maximum(probability, 1 - probability)
    replica, delay = rng.integers(0, 2, size), delays(rng, size)
    classes = ("benign", "malignant")
    return ClassTruths(
        "breast_cancer", seconds, replica, delay, classes, actual, predicted, confidence, score
    )


@cache
def bike() -> NumberTruths:
    """Errors with a bias and heavy tails."""
    rng = np.random.default_rng(3)
    seconds = arrivals(rng, 5000)
    size = len(seconds)
    error = 40 * rng.standard_t(6, size) + 15
    return NumberTruths("bike", seconds, rng.integers(0, 2, size), delays(rng, size), error, 181.4)


def expected(first: float) -> dict[str, Statistics]:
    """Say what each version's statistics are, of the truths that arrived since."""
    return {
        "tickets": of_classes(tickets().between(first, END_SECONDS)),
        "breast_cancer": of_classes(breast_cancer().between(first, END_SECONDS)),
        "bike": of_numbers(bike().between(first, END_SECONDS)),
    }


def recorded_statistics() -> set[str]:
    """Name every statistic of the two windows, and what is recorded of coverage and delay."""
    names = {
        rule["record"]
        for path in (ROOT / "prometheus" / "rules").glob("quality*_1[hd].recording.yml")
        for group in yaml.safe_load(path.read_text())["groups"]
        for rule in group["rules"]
    }
    return {name for name in names if not INTERMEDIATE.fullmatch(name[:-2])}


def history() -> History:
    """Write all counters down as two replicas would have exported them, a restart of the second included."""
    series = score_bins(SCRAPES)
    for truths in (tickets(), breast_cancer(), bike()):
        series |= exported(truths, SCRAPES)
        series[f"ml_predictions_total{{{truths.pair}}}"] = (
            f"0+{PREDICTIONS_PER_SCRAPE}x{len(SCRAPES.seconds)}"
        )
    series[f"ml_target_reference_stddev{{{bike().pair}}}"] = SCRAPES.constant(bike().stddev)
    return History(series, SCRAPE_INTERVAL, "5m", f"{END_SECONDS:.0f}s")


DELAY = ("p50_1d", "p90_1d", "count1d")
COVERAGE = "model:ml_label_coverage:ratio7d"


@cache
def recorded(line: str, folder: Path) -> Values:
    """Evaluate the rules once for each line."""
    queries = [
        *recorded_statistics(),
        COVERAGE,
        *(f"model:ml_ground_truth_delay_seconds:{each}" for each in DELAY),
    ]
    return promtool_values(line, folder, history(), queries)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder for the whole module."""
    return tmp_path_factory.mktemp("promtool")


def labels_of(model: str, label: tuple[str, str] | None) -> Labels:
    """Return the labels of a recorded statistic."""
    own = [("model_name", model), ("model_version", "1")]
    return frozenset(own if label is None else [*own, label])


@pytest.mark.parametrize("line", LINES)
@pytest.mark.parametrize(("window", "first"), [("1h", HOUR_BEGINS), ("1d", 0.0)])
def test_every_statistic_is_what_numpy_says(line: str, window: str, first: float, folder: Path) -> None:
    """Be within half a percent of the truths themselves, with a restart and two replicas."""
    found = recorded(line, folder)
    wrong = []
    for model, statistics in expected(first).items():
        for (name, operation), values in statistics.items():
            is_auc = (name, operation) == ("model:ml_auc", "ratio")
            for label, value in values.items():
                got = found[f"{name}:{operation}{window}"][labels_of(model, label)]
                within = (
                    pytest.approx(value, abs=AUC_WITHIN)
                    if is_auc
                    else pytest.approx(value, rel=WITHIN, abs=WITHIN / 1000)
                )
                if got != within:
                    wrong.append((name, operation, model, label, value, got))
    assert not wrong


def test_every_statistic_is_compared_and_none_is_made_up(folder: Path) -> None:
    """Leave out no recorded statistic, and find no series beyond those that were expected."""
    found = recorded(LINES[0], folder)
    named: dict[str, set[Labels]] = {}
    for window, first in (("1h", HOUR_BEGINS), ("1d", 0.0)):
        for model, statistics in expected(first).items():
            for (name, operation), values in statistics.items():
                named.setdefault(f"{name}:{operation}{window}", set()).update(
                    labels_of(model, label) for label in values
                )
    assert set(named) == recorded_statistics()
    assert {name: set(found[name]) for name in named} == named


def test_both_lines_agree(folder: Path) -> None:
    """Differ between the lines by no more than half a percent."""
    old, new = (recorded(line, folder) for line in LINES)
    assert old.keys() == new.keys()
    for name, values in old.items():
        assert new[name] == pytest.approx(values, rel=WITHIN, abs=WITHIN / 1000), name


@pytest.mark.parametrize("line", LINES)
def test_coverage_and_delay_are_those_of_the_truths(line: str, folder: Path) -> None:
    """Record the share of predictions that got their truth, and how long half and nine tenths took."""
    found = recorded(line, folder)
    predictions = PREDICTIONS_PER_SCRAPE * END_SECONDS / SCRAPE_SECONDS
    for truths in (tickets(), breast_cancer(), bike()):
        labels = labels_of(truths.model_name, None)
        coverage = len(truths.seconds) / predictions
        assert found[COVERAGE][labels] == pytest.approx(coverage, rel=WITHIN)
        size, middle, late = (
            found[f"model:ml_ground_truth_delay_seconds:{each}"][labels]
            for each in ("count1d", "p50_1d", "p90_1d")
        )
        assert size == pytest.approx(len(truths.seconds), rel=WITHIN)
        assert [middle, late] == pytest.approx(np.quantile(truths.delay, [0.5, 0.9]), rel=WITHIN)


@pytest.mark.parametrize("line", LINES)
def test_a_batch_of_truths_counts_wherever_it_falls_between_two_increases(line: str, tmp_path: Path) -> None:
    """Lose no batch that arrives within one scrape, at any of the places in two windows of 5m."""
    series = {
        f'ml_ground_truth_total{{model_name="m{scrape}",model_version="1",result="counted"}}': (
            f"0x{scrape - 1} 100x{79 - scrape}"
        )
        for scrape in range(20, 60)
    }
    name = "model:ml_ground_truth:increase1d"
    found = promtool_values(line, tmp_path, History(series, SCRAPE_INTERVAL, "5m", "1195s"), [name])[name]
    assert len(found) == len(series)
    # A counter that stood at 0 is not extrapolated to the edge, so a twentieth may be missing.
    assert all(95 <= size <= 100.01 for size in found.values())


SPREADS: list[tuple[str, str, Callable[[], ClassTruths | NumberTruths]]] = [
    ("model:ml_accuracy", "ratio", tickets),
    ("model:ml_kappa", "ratio", tickets),
    ("model_class:ml_precision", "ratio", tickets),
    ("model_class:ml_recall", "ratio", tickets),
    ("model_class:ml_f1", "ratio", tickets),
    ("model:ml_brier", "ratio", tickets),
    ("model:ml_calibration_gap", "ratio", tickets),
    ("model:ml_auc", "ratio", breast_cancer),
    ("model:ml_mae", "ratio", bike),
    ("model:ml_bias", "ratio", bike),
]


@cache
def resampled(draw: Callable[[], ClassTruths | NumberTruths]) -> list[Statistics]:
    """Return the statistics of a thousand truths and of many samples as large, drawn from them again."""
    rng = np.random.default_rng(4)
    truths = draw().take(np.arange(1000))
    rows = [np.arange(1000), *(rng.integers(0, 1000, 1000) for _ in range(300))]
    if isinstance(truths, NumberTruths):
        return [of_numbers(truths.take(each)) for each in rows]
    return [of_classes(truths.take(each)) for each in rows]


@pytest.mark.parametrize(("name", "operation", "draw"), SPREADS, ids=[name for name, _, _ in SPREADS])
def test_a_standard_error_is_the_spread_of_samples(
    name: str, operation: str, draw: Callable[[], ClassTruths | NumberTruths]
) -> None:
    """Be what samples drawn again really vary by, give or take a fifth: that much 300 samples leave open."""
    sample, *again = resampled(draw)
    for label, stderr in sample[name, "stderr"].items():
        spread = np.std([each[name, operation][label] for each in again])
        assert stderr == pytest.approx(spread, rel=0.2), label


def test_the_standard_error_of_macro_f1_is_an_upper_bound() -> None:
    """Be no less than what samples vary by."""
    sample, *again = resampled(tickets)
    spread = np.std([each["model:ml_f1_macro", "avg"][None] for each in again])
    assert spread <= sample["model:ml_f1_macro", "stderr"][None]
