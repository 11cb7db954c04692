"""Totals in memory: what is added, what is saved, what is read again."""

from __future__ import annotations

import pytest

from service.events import OTHER_MODEL
from service.prediction_log.outcomes import TRUTH_RESULTS, Cells, TruthResult, zero_cells
from service.prediction_log.totals import RECORDS, Totals, VersionTotals, cells_text, read_cells
from service.prediction_log.truth_rules import JudgedTruth
from tests.service.prediction_log.logged_rows import PRICES, TREES


def judged(timestamp: float, cells: Cells) -> JudgedTruth:
    """Make a truth that counted."""
    return JudgedTruth("counted", TREES.key, cells, timestamp)


def test_cells_add_up() -> None:
    """Each truth adds to its cells."""
    totals = Totals()
    totals.add_truth(judged(5.0, {("over",): 0.25, ("ground_truth", "counted"): 1}))
    totals.add_truth(judged(4.0, {("over",): 0.5, ("ground_truth", "counted"): 1}))
    assert totals.versions[TREES.key].cells == {("over",): 0.75, ("ground_truth", "counted"): 2}


def test_known_version_has_every_cell() -> None:
    """At 0 where nothing was counted; what was counted stays."""
    totals = Totals({TREES.key: VersionTotals({("class", "ash", "actual"): 3})})
    assert totals.ensure(TREES)
    assert not totals.ensure(TREES)
    assert totals.versions[TREES.key].cells == {**zero_cells(TREES), ("class", "ash", "actual"): 3}


def test_truths_of_no_version_and_records_have_their_cells() -> None:
    """Their series exist before the first of them."""
    totals = Totals()
    assert totals.versions[OTHER_MODEL].cells == {("ground_truth", result): 0 for result in TRUTH_RESULTS}
    assert set(totals.versions[RECORDS].cells.values()) == {0}
    totals.add_records("stored", 7)
    assert totals.versions[RECORDS].cells["records", "stored"] == 7
    assert totals.take_changed().keys() == {RECORDS}


def test_timestamp_is_the_last_truth_or_the_first_prediction() -> None:
    """Truths that arrive out of order do not set it back."""
    totals = Totals()
    totals.ensure(TREES)
    assert totals.versions[TREES.key].timestamp is None
    for timestamp in (70.0, 50.0, 60.0):
        totals.add_predictions(TREES.key, timestamp)
    assert totals.versions[TREES.key].timestamp == 50.0
    for timestamp in (80.0, 95.0, 90.0):
        totals.add_truth(judged(timestamp, {}))
    assert totals.versions[TREES.key].timestamp == 95.0


@pytest.mark.parametrize("result", ["duplicate", "conflict", "revised", "unknown_version"])
def test_only_counted_truths_move_the_timestamp(result: TruthResult) -> None:
    """A stream of duplicates is no fresh truth."""
    totals = Totals()
    totals.add_truth(JudgedTruth(result, TREES.key, {}, 80.0))
    assert totals.versions[TREES.key].timestamp is None


def test_only_what_changed_is_saved() -> None:
    """Once; a version that is merely known has no row."""
    totals = Totals()
    totals.ensure(TREES)
    totals.ensure(PRICES)
    assert totals.take_changed() == {}
    totals.add_predictions(PRICES.key, 50.0)
    totals.add_predictions(PRICES.key, 60.0)
    assert totals.take_changed().keys() == {PRICES.key}
    assert totals.take_changed() == {}
    totals.add_predictions(PRICES.key, 55.0)
    assert totals.take_changed() == {}


def test_cells_are_read_as_they_were_written() -> None:
    """To the last bit, with names of any kind; zeros are left out."""
    cells: Cells = {("class", 'quote " and, comma', "actual"): 3, ("delay_sum",): 0.1 + 0.2, ("under",): 0}
    read = read_cells(cells_text(cells))
    assert read == {cell: value for cell, value in cells.items() if value}
    assert isinstance(read["class", 'quote " and, comma', "actual"], int)
