"""First counts, same is duplicate, other is conflict, higher revision is revised."""

from __future__ import annotations

from typing import Any

import pytest

from service.events import OTHER_MODEL
from service.prediction_log.truth_rules import UNKNOWN_VERSION, ArrivedTruth, Judge, JudgedTruth, StoredTruth
from tests.service.prediction_log.logged_rows import (
    LOANS,
    NOON,
    PRICES,
    SHELF,
    TREES,
    Shelf,
    prediction_id,
    truth,
)

Post = tuple[Any, int]
EMPTY = Shelf()


def judged(text: str, *posts: Post, shelf: Shelf = SHELF) -> tuple[list[str], StoredTruth | None]:
    """Post values with revisions one after the other; return the results and the row at the end."""
    judge = Judge(shelf)
    row: StoredTruth | None = None
    found: list[str] = []
    for value, revision in posts:
        arrived = truth(text, value, revision)
        verdict: JudgedTruth
        row, verdict = judge.first(arrived) if row is None else judge.next(row, arrived)
        found.append(verdict.result)
    return found, row


@pytest.mark.parametrize(
    ("posts", "expected", "value", "first"),
    [
        ([("ash", 0)], ["counted"], '"ash"', None),
        ([("ash", 0), ("ash", 0)], ["counted", "duplicate"], '"ash"', None),
        ([("ash", 0), ("birch", 0)], ["counted", "conflict"], '"ash"', None),
        ([("ash", 0), ("birch", 1)], ["counted", "revised"], '"birch"', '"ash"'),
        ([("ash", 0), ("ash", 1)], ["counted", "revised"], '"ash"', '"ash"'),
        # A retry of the first post that was late is still a duplicate.
        ([("ash", 0), ("birch", 1), ("ash", 0)], ["counted", "revised", "duplicate"], '"birch"', '"ash"'),
        ([("ash", 0), ("birch", 1), ("birch", 1)], ["counted", "revised", "duplicate"], '"birch"', '"ash"'),
        ([("ash", 0), ("birch", 1), ("cedar", 1)], ["counted", "revised", "conflict"], '"birch"', '"ash"'),
        ([("ash", 0), ("birch", 1), ("cedar", 4)], ["counted", "revised", "revised"], '"cedar"', '"ash"'),
        # The first that arrives counts, whatever its revision.
        ([("ash", 5), ("birch", 4)], ["counted", "conflict"], '"ash"', None),
        ([("ash", 5), ("birch", 6)], ["counted", "revised"], '"birch"', '"ash"'),
    ],
)
def test_order_and_revision_decide(
    posts: list[Post], expected: list[str], value: str, first: str | None
) -> None:
    """The table of the rules."""
    found, row = judged(prediction_id(TREES), *posts)
    assert found == expected
    assert row is not None
    assert (row.ground_truth, row.first_ground_truth) == (value, first)
    assert row.result == "counted"


def test_only_the_first_moves_outcomes() -> None:
    """A revision is counted as such and adds nothing else."""
    judge = Judge(SHELF)
    text = prediction_id(TREES)
    row, first = judge.first(truth(text, "ash"))
    assert row is not None
    assert first.cells["class", "ash", "actual"] == 1
    for post, result in ((truth(text, "birch", 1), "revised"), (truth(text, "birch"), "conflict")):
        _, later = judge.next(row, post)
        assert later.cells == {("ground_truth", result): 1}
        assert later.key == TREES.key


@pytest.mark.parametrize(
    ("version", "first", "second", "result"),
    [
        (PRICES, 3, 3.0, "duplicate"),
        (PRICES, 0.0, -0.0, "duplicate"),
        (PRICES, 0.1, 0.1000000001, "conflict"),
        (LOANS, True, False, "conflict"),
    ],
)
def test_values_are_compared_as_values(version: Any, first: Any, second: Any, result: str) -> None:
    """3 and 3.0 are one number."""
    assert judged(prediction_id(version, 1.0), (first, 0), (second, 0))[0][1] == result


def test_true_is_no_number() -> None:
    """The signature would refuse it; a stored truth is compared without one."""
    row = judged(prediction_id(LOANS, 1), (True, 0))[1]
    assert row is not None
    assert Judge(EMPTY).next(row, truth(row.prediction_id, 1))[1].result == "conflict"


def test_unknown_version_is_kept_and_does_not_count() -> None:
    """Each post of it is counted as unknown; the newest is what is stored."""
    found, row = judged(prediction_id(TREES), ("ash", 0), ("birch", 0), ("ash", 2), ("birch", 1), shelf=EMPTY)
    assert found == ["unknown_version"] * 4
    assert row is not None
    assert (row.model_name, row.model_version) == UNKNOWN_VERSION
    assert (row.ground_truth, row.revision, row.result) == ('"ash"', 2, "unknown_version")
    assert Judge(EMPTY).first(truth(row.prediction_id))[1].key == OTHER_MODEL


def test_unknown_version_counts_once_it_is_known() -> None:
    """The first post after that counts, and its value stands."""
    text = prediction_id(TREES)
    row = judged(text, ("ash", 3), shelf=EMPTY)[1]
    assert row is not None
    row, verdict = Judge(SHELF).next(row, truth(text, "birch"))
    assert (verdict.result, verdict.key) == ("counted", TREES.key)
    assert (row.ground_truth, row.revision, row.model_name, row.result) == ('"birch"', 0, "trees", "counted")
    assert Judge(SHELF).next(row, truth(text, "birch"))[1].result == "duplicate"


def test_version_that_went_away_still_knows_its_truths() -> None:
    """A stored truth is judged without its bundle."""
    row = judged(prediction_id(TREES), ("ash", 0))[1]
    assert row is not None
    verdicts = [Judge(EMPTY).next(row, truth(row.prediction_id, value))[1] for value in ("ash", "birch")]
    assert [(one.result, one.key) for one in verdicts] == [("duplicate", TREES.key), ("conflict", TREES.key)]


@pytest.mark.parametrize(("predicted", "value"), [(3, "ash"), (0, "oak")])
def test_what_does_not_fit_the_version_is_unknown(predicted: int, value: str) -> None:
    """A bundle was replaced by one with other classes."""
    found, row = judged(prediction_id(TREES, predicted), (value, 0))
    assert found == ["unknown_version"]
    assert row is not None
    assert row.model_name == ""


@pytest.mark.parametrize(("value", "revision"), [("ash", 0), ("birch", 0), ("birch", 9)])
def test_pruned_truth_is_a_duplicate_whatever_it_says(value: str, revision: int) -> None:
    """Its value is gone, its key is not."""
    row = judged(prediction_id(TREES), ("ash", 0))[1]
    assert row is not None
    pruned = row._replace(ground_truth=None, first_ground_truth=None)
    kept, verdict = Judge(SHELF).next(pruned, truth(row.prediction_id, value, revision))
    assert verdict.result == "duplicate"
    assert kept == pruned


def test_older_than_the_keys_is_invalid() -> None:
    """Nobody can tell whether it was counted, so it is not."""
    judge = Judge(SHELF, keys_deleted_before=NOON + 0.02)
    row, verdict = judge.first(truth(prediction_id(TREES)))
    assert row is None
    assert (verdict.result, verdict.key) == ("invalid", TREES.key)
    assert judge.first(truth(prediction_id(TREES, at=NOON + 0.02)))[1].result == "counted"


def test_row_says_who_and_when() -> None:
    """Of the revision that stands."""
    text = prediction_id(TREES)
    row = judged(text, ("ash", 0))[1]
    assert row is not None
    assert (row.predicted_timestamp, row.received_timestamp, row.caller) == (NOON, NOON + 600.0, "bob")
    revised, _ = Judge(SHELF).next(row, ArrivedTruth(text, "birch", 1, NOON + 900.0, "carol"))
    assert (revised.received_timestamp, revised.caller, revised.revision) == (NOON + 900.0, "carol", 1)
