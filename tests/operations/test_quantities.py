"""Numbers fit a narrow column and do not mislead."""

from __future__ import annotations

import pytest

from operations.quantities import duration, fixed, limit, percent, significant, with_error


@pytest.mark.parametrize(
    ("value", "text"),
    [
        *(
            (0, "0.00"),
            (0.0123, "0.0123"),
            (4.567, "4.57"),
            (56.78, "56.8"),
            (5678, "5678"),
            (23456, "23.5k"),
        ),
        *((-2.5e6, "-2.50M"), (7.1e10, "71.0G"), (3.2e-7, "3.20e-07"), (8.8e13, "8.80e+13")),
    ],
)
def test_significant(value: float, text: str) -> None:
    """Three digits, whatever the size."""
    assert significant(value) == text


@pytest.mark.parametrize(
    ("value", "error", "text"),
    [
        (0.95312, 0.01041, "0.953 ±0.010"),
        (0.95312, 0.231, "0.95 ±0.23"),
        (0.95312, 0.00214, "0.953 ±0.002"),
        (0.95312, 0.00034, "0.9531 ±0.0003"),
        (55.912, 1.873, "55.9 ±1.9"),
        (1234.5, 56.7, "1234 ±57"),
        (45678.0, 1234.0, "45.7k ±1.2k"),
        (2.0, 0.0, "2.0 ±0.0"),
    ],
)
def test_the_error_says_how_many_digits_a_value_has(value: float, error: float, text: str) -> None:
    """Digits below the error mean nothing."""
    assert with_error(value, error) == text


@pytest.mark.parametrize(("value", "text"), [(0.85, "0.85"), (54.4449, "54.44"), (120000, "120k"), (0, "0")])
def test_limit(value: float, text: str) -> None:
    """No zero is added to what was given."""
    assert limit(value) == text


@pytest.mark.parametrize(
    ("value", "text"), [(0, "0.0"), (0.01, "<0.1"), (0.06, "0.1"), (1234.56, "1234.6"), (45678, "45.7k")]
)
def test_fixed(value: float, text: str) -> None:
    """A little is not nothing."""
    assert fixed(value, 1) == text


def test_percent() -> None:
    """One error in a million requests is seen."""
    assert [percent(value, 2) for value in (0, 1e-6, 0.5, 1)] == ["0.00%", "<0.01%", "50.00%", "100.00%"]


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        *((0.4, "0.4s"), (45, "45s"), (60, "1m"), (204, "3.4m"), (3599, "60m"), (5400, "1.5h")),
        *((44 * 3600, "44h"), (10 * 86400, "10d"), (90 * 86400, "90d")),
    ],
)
def test_duration(seconds: float, text: str) -> None:
    """Four characters at most."""
    assert duration(seconds) == text
    assert len(text) <= 4
