"""Real streams, with labels late, shuffled, repeated and contradicted: every recorded number is right.

Three models are served: electricity by a classifier, bikes by a regression, rain by other software that logs
its predictions. A worker and the drainer are killed on the way. Two Prometheus, of the old and the new line,
scrape the service on the demo clock with the shipped rules, and every statistic is compared with what numpy
and scikit-learn make of what the clients were told, over both windows: that of a day holds the whole replay
and 23 minutes more, that of an hour just holds it.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest

from service.prediction_log.outcomes import DELAY_BOUNDS
from tests.prometheus.monitoring_binaries import LINES
from tests.prometheus.promtool_values import Labels
from tests.prometheus.quality_events import ClassTruths, NumberTruths
from tests.prometheus.quality_oracle import Statistics, of_classes, of_numbers
from tests.stack.predictor_process import sum_of
from tests.stack.replay_ledger import Ledger
from tests.stack.replay_models import CLASSES, VERSION
from tests.stack.replay_prometheus import SCRAPE_SECONDS
from tests.stack.replay_run import Replay, replayed

WITHIN, OR_WITHIN = 0.01, 0.001
"""A percent, or a thousandth."""
AUC_WITHIN = 0.005
OF_COUNTS = ("increase", "stderr", "floor", "stddev")
"""Operations that follow the number of truths."""
HOUR_SECONDS = 60.0
TRIES = 3
MODELS = ("elec2", "bike", "rain")
# Rows that a killed worker had answered and not yet counted into feature bins: those of 20 ms.
UNFLUSHED_ROWS = 10
FEWEST_TRUTHS = 50
"""Below it no accuracy is recorded."""


@pytest.fixture(scope="module")
def replay(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Replay]:
    """Replay all streams once; again if the machine was too busy for a server that scrapes each second."""
    folder = tmp_path_factory.mktemp("replay")
    for attempt in range(1, TRIES + 1):
        with replayed(folder / str(attempt)) as done:
            if done.is_undisturbed or attempt == TRIES:
                yield done
                return


def statistics_of(truths: ClassTruths | NumberTruths) -> Statistics:
    """Return every statistic of some truths."""
    return of_classes(truths) if isinstance(truths, ClassTruths) else of_numbers(truths)


def labels_of(model: str, label: tuple[str, str] | None = None) -> Labels:
    """Return the labels of a recorded statistic."""
    own = [("model_name", model), ("model_version", VERSION)]
    return frozenset(own if label is None else [*own, label])


@pytest.mark.parametrize("model", MODELS)
def test_each_label_counts_once(replay: Replay, model: str) -> None:
    """Counted are the predictions whose truth was acknowledged; duplicates and conflicts are all others."""
    ledger = replay.ledgers[model]
    size = len(ledger.stream.rows)
    assert [one.row for one in ledger.predictions.values()] == list(range(size))
    assert 0.85 < len(ledger.told) / (size - ledger.stream.late) < 0.95
    assert 0.03 < ledger.repeats["duplicate"] / len(ledger.told) < 0.07
    assert 0.003 < ledger.repeats["conflict"] / len(ledger.told) < 0.02
    assert not ledger.surprises
    counted = {
        result: replay.total("ml_ground_truth_total", model, result=result)
        for result in ("counted", "duplicate", "conflict", "revised", "unknown_version", "invalid")
    }
    assert (counted.pop("duplicate"), counted.pop("conflict")) in ledger.possible_repeats()
    assert counted == {"counted": len(ledger.told), "revised": 0, "unknown_version": 0, "invalid": 0}


@pytest.mark.parametrize("model", ["elec2", "rain"])
def test_each_outcome_is_that_of_the_first_label(replay: Replay, model: str) -> None:
    """Have the confusion matrix to the last count, whichever worker got a label first."""
    truths = replay.ledgers[model].truths_since()
    assert isinstance(truths, ClassTruths)
    for actual, actual_name in enumerate(CLASSES):
        for predicted, predicted_name in enumerate(CLASSES):
            cell = {"actual": actual_name, "predicted": predicted_name}
            expected = ((truths.actual == actual) & (truths.predicted == predicted)).sum()
            assert replay.total("ml_outcomes_total", model, **cell) == expected


def test_the_log_loses_nothing(replay: Replay) -> None:
    """Drop, reject and damage no record, though two processes were killed."""
    for result in ("dropped", "rejected", "corrupt"):
        assert sum_of(replay.samples, "ml_prediction_log_records_total", result=result) == 0


@pytest.mark.parametrize("model", MODELS)
def test_each_prediction_is_counted(replay: Replay, model: str) -> None:
    """Count what was answered, and of what was cut off at most what was asked for."""
    name = "ml_prediction_bin_total" if model == "bike" else "ml_predictions_total"
    ledger = replay.ledgers[model]
    answered = len(ledger.predictions)
    assert answered <= replay.total(name, model) <= answered + ledger.cut_rows


@pytest.mark.parametrize("line", LINES)
@pytest.mark.parametrize("window", ["1h", "1d"])
@pytest.mark.parametrize("model", MODELS)
def test_every_statistic_is_what_numpy_says(replay: Replay, model: str, window: str, line: str) -> None:
    """Be within a percent or a thousandth, AUC within 0.005, over a window that holds the whole replay.

    An increase over an hour is extrapolated towards both ends of its window, by a scrape each at most: so
    much more is counted of everything, which no share notices.
    """
    moment, truths = replay.moments[window], replay.ledgers[model].truths_since(replay.begin)
    if window == "1h" and moment - replay.begin > HOUR_SECONDS:
        pytest.skip("the replay took longer than an hour of this clock: this machine is busy")
    wrong = []
    for (name, operation), values in statistics_of(truths).items():
        found = replay.servers[line].values(f"{name}:{operation}{window}", moment)
        relative, absolute = WITHIN, OR_WITHIN
        if (name, operation) == ("model:ml_auc", "ratio"):
            relative, absolute = 0.0, AUC_WITHIN
        elif window == "1h" and operation in OF_COUNTS:
            relative += 2 * SCRAPE_SECONDS / (moment - replay.begin)
        for label, value in values.items():
            got = found.get(labels_of(model, label), np.nan)
            if got != pytest.approx(value, rel=relative, abs=absolute):
                wrong.append((name, operation, label, value, got))
    assert not wrong


@pytest.mark.parametrize("line", LINES)
@pytest.mark.parametrize("model", MODELS)
def test_coverage_and_delay(replay: Replay, model: str, line: str) -> None:
    """Have the share of predictions that got their label, and quantiles of the delay within their bucket."""
    ledger, server, moment = replay.ledgers[model], replay.servers[line], replay.moments["1d"]
    own, truths = labels_of(model), ledger.truths_since(replay.begin)
    coverage = server.values("model:ml_label_coverage:ratio7d", moment)[own]
    expected = len(truths.delay) / ledger.predicted_since(replay.begin)
    assert 0.8 < expected < 0.95
    assert coverage == pytest.approx(expected, rel=WITHIN)
    size = server.values("model:ml_ground_truth_delay_seconds:count1d", moment)[own]
    assert size == pytest.approx(len(truths.delay), rel=WITHIN)
    for share, name in ((0.5, "p50"), (0.9, "p90")):
        found = server.values(f"model:ml_ground_truth_delay_seconds:{name}_1d", moment)[own]
        assert bucket_of(found) == bucket_of(float(np.quantile(truths.delay, share)))


def bucket_of(seconds: float) -> int:
    """Return the index of the bucket of a delay."""
    return int(np.searchsorted(DELAY_BOUNDS, seconds))


@pytest.mark.parametrize("line", LINES)
@pytest.mark.parametrize("model", MODELS)
def test_objectives_travel_with_the_model(replay: Replay, model: str, line: str) -> None:
    """Have on the server what `plumbline pack` wrote in the manifest, with or without an estimator."""
    manifest = replay.ledgers[model].stream.read("manifest.json")
    assert set(manifest["objectives"]) > {"mae" if model == "bike" else "accuracy", "drift"}
    found = replay.servers[line].values(f'ml_objective{{model_name="{model}"}}', replay.moments["1d"])
    assert {dict(labels)["signal"]: value for labels, value in found.items()} == manifest["objectives"]


def test_what_other_software_predicted_is_watched(replay: Replay) -> None:
    """Bin the features that came with logged predictions by the edges of the external bundle."""
    ledger = replay.ledgers["rain"]
    assert replay.total("ml_model_info", "rain", framework="external") == 1
    features = ledger.stream.read("signature.json")["features"]
    reference = ledger.stream.read("reference.json")["features"]
    assert len(reference) == len(features) == 8
    lost = UNFLUSHED_ROWS + ledger.cut_rows
    for column, feature in enumerate(features):
        edges = reference[feature["name"]]["edges"]
        places = np.searchsorted(edges, [row[column] for row in ledger.stream.rows], side="left")
        expected = np.bincount(places, minlength=len(edges) + 1)
        found = [
            replay.total("ml_feature_bin_total", "rain", feature=feature["name"], bin=label)
            for label in [*map(repr, edges), "+Inf"]
        ]
        assert np.abs(found - expected).sum() <= lost
        assert replay.total("ml_feature_missing_total", "rain", feature=feature["name"]) == 0


@pytest.mark.parametrize("line", LINES)
def test_no_rule_fails(replay: Replay, line: str) -> None:
    """Evaluate every rule of every group without an error."""
    server = replay.servers[line]
    assert server.own_total("prometheus_rule_evaluation_failures_total") == 0
    groups = server.groups()
    assert len(groups) > 10
    rules = [rule for group in groups for rule in group["rules"]]
    assert not [rule for rule in rules if rule["health"] != "ok" or rule.get("lastError")]


@pytest.mark.parametrize("line", LINES)
def test_no_alert_comes_without_its_reason(replay: Replay, line: str) -> None:
    """Fire only what the labels, up to some moment, or the inputs gave reason for."""
    server = replay.servers[line]
    fired = {
        (alert["labels"]["alertname"], alert["labels"].get("model_name"))
        for alert in server.ask("alerts")["alerts"]
    }
    since_begin = f"{replay.moments['1d'] - replay.begin:.0f}s"
    history = server.values(
        f'count_over_time(ALERTS{{alertstate="firing"}}[{since_begin}])', replay.moments["1d"]
    )
    fired |= {(dict(labels)["alertname"], dict(labels).get("model_name")) for labels in history}
    expected: set[tuple[str, str | None]] = {("Watchdog", None)}
    for model, ledger in replay.ledgers.items():
        expected |= {(name, model) for name in reasons(ledger, replay.begin)}
        share = replay.total("ml_input_out_of_distribution_total", model) / len(ledger.predictions)
        if share > replay.total("ml_out_of_distribution_reference_ratio", model):
            expected.add(("ModelOutOfDistributionHigh", model))
    assert ("Watchdog", None) in fired
    assert fired <= expected


def reasons(ledger: Ledger, begin: float) -> set[str]:
    """Name the alerts whose condition held after so many truths; the window of an hour holds all of them."""
    truths, objectives = ledger.truths_since(begin), ledger.stream.read("manifest.json")["objectives"]
    found = set()
    for size in range(FEWEST_TRUTHS, len(truths.seconds) + 1, 50):
        statistics = statistics_of(truths.take(np.arange(size)))

        def value(name: str, operation: str, of: Statistics = statistics) -> float:
            return of[f"model:ml_{name}", operation][None]

        if isinstance(truths, NumberTruths):
            if value("mae", "lower") > objectives["mae"]:
                found.add("ModelErrorRateHigh")
            continue
        if value("accuracy", "upper") < objectives["accuracy"]:
            found.add("ModelAccuracyLow")
        if value("error_rate", "lower") > objectives["error_rate"]:
            found.add("ModelErrorRateHigh")
        allowed = max(objectives["calibration_error"], value("ece", "floor"))
        if value("ece", "ratio") > allowed + 3.09 * value("ece", "stddev"):
            found.add("ModelCalibrationOff")
    return found
