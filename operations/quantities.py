"""Numbers as a person reads them in a narrow column."""

from __future__ import annotations

import math

_SCALES = ((1e9, 1e9, "G"), (1e6, 1e6, "M"), (1e4, 1e3, "k"))
_TIMES = ((60, 1, "s"), (3600, 60, "m"), (48 * 3600, 3600, "h"), (math.inf, 86400, "d"))


def significant(value: float, digits: int = 3) -> str:
    """Write a number with so many significant digits, from ten thousand on with k, M or G."""
    scale, suffix = _scale(value)
    scaled = value / scale
    if scaled and not 1e-4 <= abs(scaled) < 1e4:
        return f"{value:.{digits - 1}e}"
    return f"{scaled:.{_decimals(scaled, digits)}f}{suffix}"


def with_error(value: float, standard_error: float) -> str:
    """Write a value with its standard error, to the error's second digit, or its first from 0.01 down."""
    scale, suffix = _scale(value)
    value, error = value / scale, standard_error / scale
    decimals = min(_decimals(error, 2), max(3, _decimals(error, 1)))
    return f"{value:.{decimals}f}{suffix} ±{error:.{decimals}f}{suffix}"


def limit(value: float) -> str:
    """Write a limit with as many digits as it was given with, at most four."""
    scale, suffix = _scale(value)
    return f"{value / scale:.4g}{suffix}"


def fixed(value: float, decimals: int) -> str:
    """Write a number with so many decimals, aligned in a column; one above 0 never looks like 0."""
    least = 10.0**-decimals
    if 0 < value < least / 2:
        return f"<{least:.{decimals}f}"
    scale, suffix = _scale(value)
    return f"{value / scale:.{1 if suffix else decimals}f}{suffix}"


def percent(ratio: float, decimals: int) -> str:
    """Write a share in percent, with so many decimals."""
    return f"{fixed(100 * ratio, decimals)}%"


def duration(seconds: float) -> str:
    """Write a time of seconds to months in its fitting unit: 45s, 12m, 3.4h, 2.1d."""
    unit, name = next((unit, name) for below, unit, name in _TIMES if seconds < below)
    count = seconds / unit
    return f"{count:.{0 if count >= 9.95 else 1}f}".removesuffix(".0") + name


def _scale(value: float) -> tuple[float, str]:
    return next(((scale, suffix) for least, scale, suffix in _SCALES if abs(value) >= least), (1.0, ""))


def _decimals(value: float, digits: int) -> int:
    return max(0, digits - 1 - math.floor(math.log10(abs(value)))) if value else digits - 1
