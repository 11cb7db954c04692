"""The suite of retention.py on SQLite, and the space that a file gives back."""

from __future__ import annotations

from pathlib import Path

import pytest

from service.prediction_log.reader import StoredDay
from service.prediction_log.retention import RetentionPolicy, days_to_prune, policy_of
from service.settings import Settings
from tests.service.prediction_log.logged_rows import (
    DAY,
    NOON,
    features_text,
    log_predictions,
    many_ids,
    opened,
    row,
)
from tests.service.prediction_log.retention_suite import BY_AGE, TODAY, RetentionSuite, prune_all

DAYS = [StoredDay(TODAY - age, 1, size) for age, size in ((9, 10), (3, 20), (1, 30), (0, 40))]


class TestRetention(RetentionSuite):
    """On a file."""


@pytest.mark.parametrize(
    ("days", "max_bytes", "expected"),
    [
        (None, None, []),
        (9, 100, []),
        (8, None, [9]),
        (2, None, [9, 3]),
        (None, 99, [9]),
        (None, 90, [9]),
        (None, 89, [9, 3]),
        (None, 0, [9, 3, 1]),
        (2, 70, [9, 3]),
        (2, 69, [9, 3, 1]),
    ],
)
def test_which_days_go(days: int | None, max_bytes: int | None, expected: list[int]) -> None:
    """The oldest first, until the rest is young and small enough."""
    chosen = days_to_prune(DAYS, RetentionPolicy(days, max_bytes, 400), NOON)
    assert [TODAY - day.day for day in chosen] == expected


def test_policy_is_what_the_settings_say() -> None:
    """Days, bytes, and how long truths are accepted."""
    settings = Settings(log_retention_days=7, log_retention_bytes=2**30, id_accept_days=30)
    assert policy_of(settings) == RetentionPolicy(7, 2**30, 30)


def test_file_gives_its_space_back(tmp_path: Path) -> None:
    """The file shrinks to what its rows need, and the size that is noted is near that of the file."""
    path = tmp_path / "predictions.db"
    with opened(path) as store:
        for age in (0, 40):
            at = NOON - age * DAY
            log_predictions(
                store,
                [
                    row(one, predicted_timestamp=at, features=features_text(150))
                    for one in many_ids(5000, at=at)
                ],
            )
    before = path.stat().st_size
    assert before == pytest.approx(2 * 5000 * (230 + 300 + 11 + 19), rel=0.15)
    with opened(path) as store:
        prune_all(store, BY_AGE)
    assert path.stat().st_size < 0.55 * before
