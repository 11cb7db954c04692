"""Each fact about predictions moves exactly its numbers."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from service.errors import BUNDLE_FAILURES, Violation
from service.events import (
    IN_DISTRIBUTION,
    NOT_JUDGED,
    OTHER_MODEL,
    OUT_BY_CATEGORY,
    OUT_BY_NOVELTY,
    OUT_BY_RANGE,
    Announcer,
    InputRejected,
    InvalidOutputSeen,
    MicroBatchRun,
    ModelBecameReady,
    ModelKey,
    ModelLoadFailed,
    ModelRequestFinished,
    Outcome,
    PredictionsServed,
    QueueChanged,
    ReadinessChanged,
)
from service.observability.prediction_metrics import PredictionMetrics
from tests.service.observability.counted_bundles import (
    BUNDLES,
    REGRESSION,
    TABULAR,
    TEXT,
    fresh_files,
    nonzero,
    scraped,
)

LOANS = "model_name=loans,model_version=7"
ON_DISK = ModelKey("broken", "4")
Announce = Callable[[object], None]


def fail(listener: str, error: Exception) -> None:
    """Let no error pass."""
    raise error


@pytest.fixture
def announce(tmp_path: Path) -> Announce:
    """Connect the metrics of three models."""
    announcer = Announcer(fail)
    PredictionMetrics(fresh_files(tmp_path), BUNDLES, [ON_DISK]).subscribe(announcer)
    return announcer.announce


def moved(folder: Path, *families: str) -> dict[str, float]:
    """Give what is not 0, buckets aside."""
    series = nonzero(scraped(folder), *(families or ("",)))
    return {name: value for name, value in series.items() if "_bucket" not in name}


def test_everything_exists_at_zero(tmp_path: Path, announce: Announce) -> None:
    """Before the first request all series are there, at 0."""
    series = scraped(tmp_path)
    assert set(series.values()) == {0.0}
    for outcome in ("ok", "rejected", "failed", "shed", "expired", "draining", "disconnected"):
        assert f"ml_requests_total{{{LOANS},outcome={outcome}}}" in series
        assert f"ml_requests_total{{model_name=other,model_version=other,outcome={outcome}}}" in series
    for reason in BUNDLE_FAILURES:
        assert f"ml_model_load_failures_total{{model_name=broken,model_version=4,reason={reason}}}" in series
        assert f"ml_model_load_failures_total{{{LOANS},reason={reason}}}" in series
    assert f"ml_predictions_total{{{LOANS},predicted_class=false}}" in series
    assert "ml_prediction_bin_total{bin=1e+06,model_name=prices,model_version=1}" in series


@pytest.mark.parametrize("outcome", ["ok", "failed", "expired"])
def test_request_that_reached_the_model_is_counted_and_timed(
    tmp_path: Path, announce: Announce, outcome: Outcome
) -> None:
    """Its duration falls in the histogram of its kind."""
    announce(ModelRequestFinished(TABULAR.key, outcome, "batch", 0.3))
    assert moved(tmp_path) == {
        f"ml_requests_total{{{LOANS},outcome={outcome}}}": 1,
        f"ml_request_duration_seconds_sum{{kind=batch,{LOANS}}}": 0.3,
        f"ml_request_duration_seconds_count{{kind=batch,{LOANS}}}": 1,
    }
    assert scraped(tmp_path)[f"ml_request_duration_seconds_bucket{{kind=batch,le=0.25,{LOANS}}}"] == 0
    assert scraped(tmp_path)[f"ml_request_duration_seconds_bucket{{kind=batch,le=0.5,{LOANS}}}"] == 1


@pytest.mark.parametrize("outcome", ["rejected", "shed", "draining", "disconnected"])
def test_refused_request_is_counted_but_not_timed(
    tmp_path: Path, announce: Announce, outcome: Outcome
) -> None:
    """A refusal in microseconds does not make the model look fast."""
    announce(ModelRequestFinished(TABULAR.key, outcome, "single", 0.0001))
    assert moved(tmp_path) == {f"ml_requests_total{{{LOANS},outcome={outcome}}}": 1}


@pytest.mark.parametrize("key", [OTHER_MODEL, ModelKey("nobody", "99")])
def test_request_for_an_unknown_model_makes_no_series(
    tmp_path: Path, announce: Announce, key: ModelKey
) -> None:
    """Whatever the client names, it is counted as other."""
    before = scraped(tmp_path).keys()
    announce(ModelRequestFinished(key, "rejected", "single", 0.1))
    assert moved(tmp_path) == {"ml_requests_total{model_name=other,model_version=other,outcome=rejected}": 1}
    assert scraped(tmp_path).keys() == before


def test_row_that_nobody_judged_is_neither_in_nor_out(tmp_path: Path, announce: Announce) -> None:
    """A prediction made elsewhere that came without features counts by its class, and nowhere else."""
    event = PredictionsServed(
        TABULAR.key, [], np.array([1]), None, None, np.array([NOT_JUDGED], dtype=np.int8)
    )
    announce(event)
    assert moved(tmp_path) == {f"ml_predictions_total{{{LOANS},predicted_class=true}}": 1}


@pytest.mark.parametrize("repeats", [1, 2, 5])
def test_rows_are_counted_by_class_confidence_and_distribution(
    tmp_path: Path, announce: Announce, repeats: int
) -> None:
    """One row at a time or many in arrays: the counts are exact."""
    codes = [IN_DISTRIBUTION, OUT_BY_RANGE, OUT_BY_CATEGORY, OUT_BY_NOVELTY, IN_DISTRIBUTION] * repeats
    announce(
        PredictionsServed(
            TABULAR.key,
            [()] * len(codes),
            np.array([1, 0, 1, 1, 0] * repeats),
            None,
            np.array([0.5, 0.75, 1.0, 0.51, 0.625] * repeats),
            np.array(codes, dtype=np.int8),
        )
    )
    out = "ml_input_out_of_distribution_total"
    assert moved(tmp_path) == {
        f"ml_predictions_total{{{LOANS},predicted_class=true}}": 3 * repeats,
        f"ml_predictions_total{{{LOANS},predicted_class=false}}": 2 * repeats,
        f"ml_confidence_sum{{{LOANS}}}": pytest.approx(3.385 * repeats),
        f"ml_confidence_count{{{LOANS}}}": 5 * repeats,
        f"ml_input_in_distribution_total{{{LOANS}}}": 2 * repeats,
        f"{out}{{{LOANS},reason=range}}": repeats,
        f"{out}{{{LOANS},reason=category}}": repeats,
        f"{out}{{{LOANS},reason=novelty}}": repeats,
    }
    series = scraped(tmp_path)
    buckets = [
        series[f"ml_confidence_bucket{{le={bound},{LOANS}}}"] for bound in ("0.45", "0.5", "0.55", "1.0")
    ]
    assert buckets == [0, repeats, 2 * repeats, 5 * repeats]


@pytest.mark.parametrize("repeats", [1, 3])
def test_predicted_numbers_are_counted_by_bin(tmp_path: Path, announce: Announce, repeats: int) -> None:
    """A value equal to an edge belongs to the bin below it."""
    values = np.array([-1.5, -1.4, 0.0, 7.0, 1e6, 1.1e6] * repeats)
    announce(
        PredictionsServed(
            REGRESSION.key, [()] * len(values), None, values, None, np.zeros(len(values), np.int8)
        )
    )
    prices = "model_name=prices,model_version=1"
    assert moved(tmp_path, "ml_prediction") == {
        f"ml_prediction_bin_total{{bin=-1.5,{prices}}}": repeats,
        f"ml_prediction_bin_total{{bin=0.0,{prices}}}": 2 * repeats,
        f"ml_prediction_bin_total{{bin=1e+06,{prices}}}": 2 * repeats,
        f"ml_prediction_bin_total{{bin=+Inf,{prices}}}": repeats,
    }


def test_model_without_confidence_is_counted(tmp_path: Path, announce: Announce) -> None:
    """An estimator without probabilities still has classes."""
    announce(PredictionsServed(TEXT.key, [("a",)], np.array([2]), None, None, np.zeros(1, np.int8)))
    mails = "model_name=mails,model_version=2.1"
    assert moved(tmp_path) == {
        f'ml_predictions_total{{{mails},predicted_class=od"d\\\n}}': 1,
        f"ml_input_in_distribution_total{{{mails}}}": 1,
    }


@pytest.mark.parametrize("requests", [1, 3, 20])
def test_micro_batch_is_counted_by_stage(tmp_path: Path, announce: Announce, requests: int) -> None:
    """The wait of each request, and the three stages of the call."""
    announce(MicroBatchRun(TABULAR.key, 33, (0.25,) * requests, 0.5, 1.0, 2.0))
    assert moved(tmp_path) == {
        f"ml_batch_rows_sum{{{LOANS}}}": 33,
        f"ml_batch_rows_count{{{LOANS}}}": 1,
        f"ml_stage_duration_seconds_sum{{{LOANS},stage=queue}}": 0.25 * requests,
        f"ml_stage_duration_seconds_count{{{LOANS},stage=queue}}": requests,
        f"ml_stage_duration_seconds_sum{{{LOANS},stage=preprocess}}": 0.5,
        f"ml_stage_duration_seconds_count{{{LOANS},stage=preprocess}}": 1,
        f"ml_stage_duration_seconds_sum{{{LOANS},stage=predict}}": 1.0,
        f"ml_stage_duration_seconds_count{{{LOANS},stage=predict}}": 1,
        f"ml_stage_duration_seconds_sum{{{LOANS},stage=postprocess}}": 2.0,
        f"ml_stage_duration_seconds_count{{{LOANS},stage=postprocess}}": 1,
    }


def test_violations_are_counted_by_monitored_feature(tmp_path: Path, announce: Announce) -> None:
    """What names no monitored feature, or breaks it in a way that its type cannot, is counted as other."""
    before = scraped(tmp_path).keys()
    announce(
        InputRejected(
            TABULAR.key,
            [
                Violation("features.age", "", "range", "age"),
                Violation("batch[3].age", "", "range", "age"),
                Violation("features.note", "", "nan", "note"),
                Violation("features.zzz", "", "extra", None),
                Violation("features.member", "", "length", "member"),
            ],
        )
    )
    announce(InputRejected(OTHER_MODEL, [Violation("body", "", "type", None)]))
    assert moved(tmp_path) == {
        f"ml_schema_violations_total{{field=age,{LOANS},reason=range}}": 2,
        f"ml_schema_violations_total{{field=other,{LOANS},reason=nan}}": 1,
        f"ml_schema_violations_total{{field=other,{LOANS},reason=extra}}": 1,
        f"ml_schema_violations_total{{field=other,{LOANS},reason=length}}": 1,
        "ml_schema_violations_total{field=other,model_name=other,model_version=other,reason=type}": 1,
    }
    assert scraped(tmp_path).keys() == before


def test_state_of_model_and_worker_is_shown(tmp_path: Path, announce: Announce) -> None:
    """Readiness, load time, queue, failures and invalid outputs."""
    announce(ModelBecameReady(TABULAR.key, 1_700_000_123.5))
    announce(ReadinessChanged(True))
    announce(QueueChanged(TABULAR.key, 17))
    announce(InvalidOutputSeen(TABULAR.key, "bounds"))
    announce(ModelLoadFailed(ON_DISK, "hash"))
    assert moved(tmp_path) == {
        f"ml_model_ready{{{LOANS}}}": 1,
        f"ml_model_loaded_timestamp_seconds{{{LOANS}}}": 1_700_000_123.5,
        "plumbline_workers_ready{}": 1,
        f"ml_queue_rows{{{LOANS}}}": 17,
        f"ml_invalid_outputs_total{{{LOANS},reason=bounds}}": 1,
        "ml_model_load_failures_total{model_name=broken,model_version=4,reason=hash}": 1,
    }
    announce(ReadinessChanged(False))
    announce(QueueChanged(TABULAR.key, 0))
    assert "plumbline_workers_ready{}" not in moved(tmp_path)
    assert f"ml_queue_rows{{{LOANS}}}" not in moved(tmp_path)


def test_version_that_routing_names_and_nobody_has_is_shown(tmp_path: Path, announce: Announce) -> None:
    """A missing bundle is a failure with all its reasons."""
    announce(ModelLoadFailed(ModelKey("loans", "8"), "missing_file"))
    failures = {name for name in scraped(tmp_path) if "model_version=8" in name and "load_failures" in name}
    assert len(failures) == len(BUNDLE_FAILURES)


def test_durations_that_are_not_finite_spoil_nothing(tmp_path: Path, announce: Announce) -> None:
    """The request is counted, its impossible time is not."""
    announce(ModelRequestFinished(TABULAR.key, "ok", "single", math.nan))
    assert moved(tmp_path) == {f"ml_requests_total{{{LOANS},outcome=ok}}": 1}
