"""Durations scale with the clock."""

from __future__ import annotations

import pytest

from grafana.clock import Clock


@pytest.mark.parametrize(
    ("factor", "duration", "scaled"),
    [
        (1, "1h", "1h"),
        (1, "90s", "90s"),
        (60, "1h", "1m"),
        (60, "5m", "5s"),
        (60, "1d", "24m"),
        (60, "15s", "1s"),
    ],
)
def test_window_is_scaled(factor: int, duration: str, scaled: str) -> None:
    """A duration is divided by the factor and never falls below a second."""
    assert Clock(factor).window(duration) == scaled


@pytest.mark.parametrize("factor", [0, -3])
def test_a_factor_below_one_is_refused(factor: int) -> None:
    """No clock runs slower than real time."""
    with pytest.raises(ValueError, match="factor"):
        Clock(factor)


def test_what_is_no_duration_is_refused() -> None:
    """A typing error in a window does not reach a board."""
    with pytest.raises(ValueError, match="not a duration"):
        Clock().window("1 hour")
