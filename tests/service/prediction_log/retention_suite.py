"""Pruning, on any database: a class of tests runs it with a fixture `target`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Column, func, select

from service.prediction_log import retention
from service.prediction_log.retention import PruneStep, Retention, RetentionPolicy, prune
from service.prediction_log.schema import ground_truths, predictions, pruned_truths
from service.prediction_log.store import Store
from tests.service.prediction_log.logged_rows import (
    DAY,
    NOON,
    TREES,
    WRITER,
    Shelf,
    counted,
    differences,
    log_predictions,
    many_ids,
    opened,
    post,
    prediction_id,
    reading,
    results,
    row,
    truth,
)

TODAY = 20_000
BY_AGE = RetentionPolicy(days=10, max_bytes=None, accept_days=400)


def fill(store: Store, ages: dict[int, int], labeled: int = 2) -> dict[int, list[str]]:
    """Log so many predictions of each age in days, some with a truth; return the ids by age."""
    ids: dict[int, list[str]] = {}
    for age, count in ages.items():
        at = NOON - age * DAY
        ids[age] = many_ids(count, at=at)
        log_predictions(store, [row(one, predicted_timestamp=at) for one in ids[age]])
        post(store, [truth(one, received=at + 60.0) for one in ids[age][:labeled]])
    return ids


def prune_all(store: Store, policy: RetentionPolicy = BY_AGE, now: float = NOON) -> list[PruneStep]:
    """Prune to the end."""
    return list(prune(store, policy, now))


def removed(steps: list[PruneStep]) -> tuple[int, int, int]:
    """Sum predictions, truths and keys."""
    return (
        sum(one.predictions for one in steps),
        sum(one.truths for one in steps),
        sum(one.keys for one in steps),
    )


def days_left(target: Path | str) -> dict[int, int]:
    """Return the rows of each day, by age."""
    with reading(target) as reader:
        return {TODAY - day.day: day.rows for day in reader.stored_days()}


def number_of(store: Store, column: Column[Any]) -> int:
    """Count the values of a column that are not NULL."""
    with store.transaction() as transaction:
        return transaction.connection.scalars(select(func.count(column))).one()


class RetentionSuite:
    """By age, by size, keys, space."""

    def test_old_days_go(self, target: Path | str) -> None:
        """Whole days that are older, with the values of their truths; nothing younger."""
        with opened(target) as store:
            ids = fill(store, {0: 3, 9: 3, 10: 3, 11: 3, 50: 3})
            assert removed(prune_all(store)) == (6, 4, 0)
            assert removed(prune_all(store)) == (0, 0, 0)
            assert number_of(store, predictions.c.prediction_id) == 9
            assert number_of(store, ground_truths.c.ground_truth) == 6
            assert number_of(store, ground_truths.c.prediction_id) == 10
            assert counted(store.load(WRITER).totals) == 10
            with store.transaction() as transaction:
                wanted = select(ground_truths).where(ground_truths.c.prediction_id == ids[50][0])
                kept = transaction.connection.execute(wanted).one()
        assert days_left(target) == {10: 5, 9: 5, 0: 5}
        assert (kept.ground_truth, kept.first_ground_truth, kept.caller, kept.result) == (
            None,
            None,
            "",
            "counted",
        )
        assert differences(target) == []

    def test_truth_of_a_pruned_day_is_a_duplicate(self, target: Path | str) -> None:
        """One that is new still counts, and its value goes with the next prune."""
        with opened(target) as store:
            ids = fill(store, {30: 3})
            prune_all(store)
            again = [truth(ids[30][0]), truth(ids[30][1], "birch"), truth(ids[30][1], "birch", 3)]
            assert results(post(store, again)) == ["duplicate"] * 3
            assert results(post(store, [truth(ids[30][2])])) == ["counted"]
            assert days_left(target) == {30: 1}
            assert removed(prune_all(store)) == (0, 1, 0)
            assert counted(store.load(WRITER).totals) == 3
        assert days_left(target) == {}
        assert differences(target) == []

    def test_revised_truth_leaves_nothing(self, target: Path | str) -> None:
        """The bytes of a day are exact, so they end at nothing."""
        with opened(target) as store:
            ids = fill(store, {30: 2})
            post(store, [truth(ids[30][0], "cedar", 1), truth(ids[30][1], "ash", 7)])
            prune_all(store)
        assert days_left(target) == {}

    def test_unknown_truth_goes_altogether(self, target: Path | str) -> None:
        """It never counted, so it may come again."""
        text = prediction_id(at=NOON - 30 * DAY)
        with opened(target) as store:
            post(store, [truth(text)], Shelf())
            assert removed(prune_all(store)) == (0, 1, 0)
            assert number_of(store, ground_truths.c.prediction_id) == 0
            assert results(post(store, [truth(text)])) == ["counted"]
        assert differences(target) == []

    def test_oldest_days_go_when_there_is_too_much(self, target: Path | str) -> None:
        """Until the rest fits; never the current day, however large it is."""
        with opened(target) as store:
            fill(store, {0: 40, 1: 10, 2: 10, 3: 10}, labeled=0)
            with reading(target) as reader:
                sizes = {TODAY - day.day: day.bytes for day in reader.stored_days()}
            fits = RetentionPolicy(None, sum(sizes.values()), 400)
            assert removed(prune_all(store, fits)) == (0, 0, 0)
            tight = RetentionPolicy(None, sizes[0] + sizes[1] + sizes[2] - 1, 400)
            assert removed(prune_all(store, tight)) == (20, 0, 0)
            assert days_left(target) == {1: 10, 0: 40}
            tiny = RetentionPolicy(None, 1, 400)
            assert removed(prune_all(store, tiny)) == (10, 0, 0)
        assert days_left(target) == {0: 40}

    def test_keys_go_when_no_truth_is_accepted_any_more(self, target: Path | str) -> None:
        """They are counted as pruned; what comes for them later is not taken for the first."""
        with opened(target) as store:
            ids = fill(store, {399: 2, 401: 2, 402: 2})
            assert removed(prune_all(store)) == (6, 6, 2)
            assert number_of(store, ground_truths.c.prediction_id) == 4
            late = [truth(ids[402][0]), truth(ids[401][0]), truth(prediction_id(at=NOON - 402 * DAY))]
            assert results(post(store, late)) == ["invalid", "duplicate", "invalid"]
            with store.transaction() as transaction:
                assert transaction.connection.execute(select(pruned_truths)).all() == [("trees", "1", 2)]
            assert removed(prune_all(store, now=NOON + DAY)) == (0, 0, 2)
            assert removed(prune_all(store, now=NOON - 90 * DAY)) == (0, 0, 0)
            assert results(post(store, late[:2])) == ["invalid"] * 2
            assert counted(store.load(WRITER).totals) == 6
        assert differences(target) == []

    def test_values_stay_with_their_predictions(self, target: Path | str) -> None:
        """Who keeps predictions longer than truths are accepted keeps their truths too."""
        with opened(target) as store:
            fill(store, {450: 2})
            assert removed(prune_all(store, RetentionPolicy(None, None, 400))) == (0, 0, 0)
            assert number_of(store, ground_truths.c.ground_truth) == 2

    def test_batches_are_small(self, target: Path | str, monkeypatch: pytest.MonkeyPatch) -> None:
        """Each step is a transaction of few rows, and at any moment between them all is consistent."""
        monkeypatch.setattr(retention, "BATCH_ROWS", 4)
        with opened(target) as store:
            fill(store, {500: 10}, labeled=9)
            seen = []
            for step in prune(store, BY_AGE, NOON):
                seen.append(step)
                assert max(step[1:]) <= 4
                assert differences(target) == []
                post(store, [truth(prediction_id())])
        assert [step[1:] for step in seen if any(step[1:])] == [
            (4, 0, 0),
            (4, 0, 0),
            (2, 0, 0),
            (0, 4, 0),
            (0, 4, 0),
            (0, 1, 0),
            (0, 0, 4),
            (0, 0, 4),
            (0, 0, 1),
        ]
        assert counted_of(target) == len(seen) + 9

    def test_steps_beside_other_work(self, target: Path | str) -> None:
        """One at a time, then none for some minutes."""
        now = [NOON]
        with opened(target) as store:
            fill(store, {30: 2, 40: 2})
            pruning = Retention(BY_AGE, lambda: now[0])
            steps = []
            while (step := pruning.step(store)) is not None:
                steps.append(step)
            assert removed(steps) == (4, 4, 0)
            fill(store, {50: 1})
            assert pruning.step(store) is None
            now[0] += 301.0
            step = pruning.step(store)
            assert step is not None
            assert step.day == TODAY - 50
            now[0] -= DAY
            while pruning.step(store) is not None:
                pass
        assert days_left(target) == {}


def counted_of(target: Path | str) -> float:
    """Return how many truths count."""
    with opened(target) as store:
        return counted(store.load(WRITER).totals, TREES)
