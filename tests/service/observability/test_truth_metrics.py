"""Totals of the prediction log as the exporter shows them, over restarts of the drainer."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from service.events import OTHER_MODEL, ModelKey
from service.observability.merge import Merger
from service.observability.truth_metrics import TOTALS_FOLDER, TruthMetrics
from service.prediction_log.outcomes import Cells
from service.prediction_log.totals import RECORDS, Totals, VersionTotals
from service.prediction_log.versions import KnownVersions
from tests.builders import MIXED, REGRESSION, VERSION, bundle_dir

KEY = ModelKey(MIXED, VERSION)


def all_totals(value: float) -> dict[ModelKey, VersionTotals]:
    """Give every cell of every test bundle this value."""
    versions = KnownVersions(bundle_dir())
    versions.look()
    totals = Totals()
    for version in versions.all():
        totals.ensure(version)
    return {key: VersionTotals(dict.fromkeys(one.cells, value), 1e9) for key, one in totals.versions.items()}


def shown(log_dir: Path) -> dict[str, float]:
    """Give what the exporter would show."""
    lines = Merger().merge(log_dir / TOTALS_FOLDER).text.splitlines()
    parts = [line.rpartition(" ") for line in lines if not line.startswith("#")]
    return {series: float(value) for series, _, value in parts}


def test_each_cell_has_its_series(tmp_path: Path) -> None:
    """Counters, histograms with cumulated buckets, records without a version, the time of the last truth."""
    cells: Cells = {
        ("ground_truth", "counted"): 3,
        ("class", "yes", "actual"): 2,
        ("delay", "0"): 1,
        ("delay", "2"): 2,
        ("delay_sum",): 700.5,
    }
    TruthMetrics(tmp_path).show(
        {
            KEY: VersionTotals(cells, last_counted=1e9),
            OTHER_MODEL: VersionTotals({("ground_truth", "unknown_version"): 4}),
            RECORDS: VersionTotals({("records", "stored"): 9}),
        }
    )
    series = shown(tmp_path)
    pair = f'model_name="{MIXED}",model_version="{VERSION}"'
    assert series[f'ml_ground_truth_total{{{pair},result="counted"}}'] == 3
    assert series[f'ml_class_outcomes_total{{aspect="actual",class="yes",{pair}}}'] == 2
    assert series[f'ml_ground_truth_delay_seconds_bucket{{le="1.0",{pair}}}'] == 1
    assert series[f'ml_ground_truth_delay_seconds_bucket{{le="15.0",{pair}}}'] == 3
    assert series[f"ml_ground_truth_delay_seconds_count{{{pair}}}"] == 3
    assert series[f"ml_ground_truth_delay_seconds_sum{{{pair}}}"] == 700.5
    assert series[f"ml_ground_truth_last_timestamp_seconds{{{pair}}}"] == 1e9
    assert series['ml_prediction_log_records_total{result="stored"}'] == 9


def test_scores_below_zero_keep_their_order(tmp_path: Path) -> None:
    """Buckets of negative bounds cumulate upwards; the sum may be below zero."""
    side = "negative"
    cells: Cells = {
        ("score", side, "0"): 2,
        ("score", side, "49"): 3,
        ("score", side, "101"): 4,
        ("score_sum", side): -12.5,
    }
    TruthMetrics(tmp_path).show({KEY: VersionTotals(cells)})
    series = shown(tmp_path)
    labels = f'model_name="{MIXED}",model_version="{VERSION}"'
    counts = {
        bound: series[f'ml_score_bucket{{actual="negative",le="{bound}",{labels}}}']
        for bound in ("-12.0", "-11.76", "-0.48", "-0.24", "0.0", "12.0", "+Inf")
    }
    assert counts == {
        "-12.0": 2,
        "-11.76": 2,
        "-0.48": 2,
        "-0.24": 5,
        "0.0": 5,
        "12.0": 5,
        "+Inf": 9,
    }
    assert series[f'ml_score_count{{actual="negative",{labels}}}'] == 9
    assert series[f'ml_score_sum{{actual="negative",{labels}}}'] == -12.5
    assert len([name for name in series if name.startswith("ml_score_bucket")]) == 102


def test_numbers_are_set_not_added_to(tmp_path: Path) -> None:
    """The same totals twice are the same numbers."""
    metrics = TruthMetrics(tmp_path)
    metrics.show(all_totals(2.0))
    first = shown(tmp_path)
    metrics.show(all_totals(2.0))
    assert shown(tmp_path) == first
    assert len(first) > 300


def test_no_number_falls_while_one_drainer_follows_another(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """At no moment is a counter gone, or lower: Prometheus would count its whole total again."""
    TruthMetrics(tmp_path).show(all_totals(7.0))
    before = shown(tmp_path)
    counters = [series for series in before if "_timestamp_" not in series]
    scrapes: list[dict[str, float]] = []

    def scraped(show: Callable[..., None]) -> Callable[..., None]:
        def wrapped(self: TruthMetrics, *arguments: object) -> None:
            scrapes.append(shown(tmp_path))
            show(self, *arguments)
            scrapes.append(shown(tmp_path))

        return wrapped

    monkeypatch.setattr(TruthMetrics, "_show_version", scraped(TruthMetrics._show_version))
    monkeypatch.setattr(TruthMetrics, "_show_histogram", scraped(TruthMetrics._show_histogram))
    again = TruthMetrics(tmp_path)
    scrapes.append(shown(tmp_path))
    again.show(all_totals(8.0))
    scrapes.append(shown(tmp_path))
    assert len(scrapes) > 10
    for one in scrapes:
        assert all(one[series] >= before[series] for series in counters)
    assert scrapes[-1].keys() == before.keys()
    assert all(scrapes[-1][series] > before[series] for series in counters)


def test_a_version_that_comes_later_finds_room(tmp_path: Path) -> None:
    """The files grow, and the numbers from before still move."""
    metrics = TruthMetrics(tmp_path)
    totals = all_totals(1.0)
    metrics.show({KEY: totals[KEY]})
    many = {ModelKey(f"model-{number}", "1"): totals[KEY] for number in range(30)}
    metrics.show({**many, KEY: all_totals(5.0)[KEY]})
    series = shown(tmp_path)
    assert len(series) > 30 * 100
    pair = f'model_name="{MIXED}",model_version="{VERSION}"'
    assert series[f'ml_ground_truth_total{{{pair},result="counted"}}'] == 5
    assert series['ml_ground_truth_total{model_name="model-29",model_version="1",result="counted"}'] == 1


def test_what_is_not_in_the_database_is_not_shown(tmp_path: Path) -> None:
    """After another database was given, or an upgrade, nothing is left of what was shown before."""
    TruthMetrics(tmp_path).show(all_totals(7.0) | {ModelKey("gone", "1"): all_totals(3.0)[KEY]})
    assert any("gone" in series for series in shown(tmp_path))
    again = TruthMetrics(tmp_path)
    again.show(all_totals(2.0))
    fresh = tmp_path / "fresh"
    TruthMetrics(fresh).show(all_totals(2.0))
    assert shown(tmp_path) == shown(fresh)
    # Later calls show a part: the rest stays.
    again.show({KEY: all_totals(3.0)[KEY]})
    assert shown(tmp_path).keys() == shown(fresh).keys()


def test_a_start_that_failed_is_begun_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A full disk in the middle of it does no harm to the next try."""
    show = TruthMetrics._show_version

    def fail(self: TruthMetrics, key: ModelKey, cells: Cells, last: float | None) -> None:
        show(self, key, cells, last)
        if key.model_name == REGRESSION:
            raise OSError(28, "No space left on device")

    metrics = TruthMetrics(tmp_path)
    with monkeypatch.context() as patch:
        patch.setattr(TruthMetrics, "_show_version", fail)
        with pytest.raises(OSError, match="No space left"):
            metrics.show(all_totals(8.0))
    metrics.show(all_totals(9.0))
    counters = {series: value for series, value in shown(tmp_path).items() if series.endswith('"counted"}')}
    assert set(counters.values()) == {9.0}
