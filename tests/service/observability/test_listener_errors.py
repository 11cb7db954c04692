"""Errors of listeners are counted all and logged now and then."""

from __future__ import annotations

import logging
from pathlib import Path

import pytest

from service.observability.listener_errors import ListenerErrors
from tests.service.observability.counted_bundles import fresh_files, nonzero, scraped


class Clock:
    """A clock that a test moves."""

    seconds = 1000.0

    def __call__(self) -> float:
        """Tell the time."""
        return self.seconds


def test_errors_are_counted_by_listener(tmp_path: Path) -> None:
    """A listener that nobody listed is other; what was raised before the files were open counts too."""
    errors = ListenerErrors()
    errors("http", ValueError())
    errors.count_in(fresh_files(tmp_path))
    errors("http", ValueError())
    errors("newcomer", ValueError())
    assert nonzero(scraped(tmp_path), "ml_listener") == {
        "ml_listener_errors_total{listener=http}": 2,
        "ml_listener_errors_total{listener=other}": 1,
    }


def test_each_listener_is_logged_once_a_minute(caplog: pytest.LogCaptureFixture) -> None:
    """A listener that fails with every request does not fill the disk, and does not hide another one."""
    clock = Clock()
    errors = ListenerErrors(clock)
    with caplog.at_level(logging.ERROR):
        for _ in range(5):
            errors("http", ValueError("first"))
        errors("predictions", ValueError("second"))
        clock.seconds += 59.9
        errors("http", ValueError("third"))
        clock.seconds += 0.1
        errors("http", ValueError("fourth"))
    assert [str(record.exc_info[1]) for record in caplog.records if record.exc_info] == [
        "first",
        "second",
        "fourth",
    ]
