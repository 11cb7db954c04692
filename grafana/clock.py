"""The clock a board is rendered for: real time, or the demo clock on which an hour lasts a minute."""

from __future__ import annotations

import re
from dataclasses import dataclass

SCRAPE_SECONDS = 15
_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86400}
_DURATION = re.compile(r"(\d+)([smhd])")


@dataclass(frozen=True)
class Clock:
    """How many times faster than real time the stack runs; 1 in production, 60 in the demo."""

    factor: int = 1

    def __post_init__(self) -> None:
        if self.factor < 1:
            raise ValueError(f"the factor is a whole number from 1 on, not {self.factor}")

    @property
    def is_demo(self) -> bool:
        """Tell whether time runs faster than in production."""
        return self.factor > 1

    @property
    def scrape_interval(self) -> str:
        """Return the scrape interval, from which Grafana derives `$__rate_interval`; never below 1s."""
        return f"{max(1, SCRAPE_SECONDS // self.factor)}s"

    def window(self, duration: str) -> str:
        """Scale a PromQL duration such as `1h`, written in the largest unit that fits; never below 1s."""
        match = _DURATION.fullmatch(duration)
        if match is None:
            raise ValueError(f"not a duration: {duration}")
        seconds = max(1, int(match[1]) * _UNITS[match[2]] // self.factor)
        unit = next(unit for unit in "dhms" if seconds % _UNITS[unit] == 0)
        return f"{seconds // _UNITS[unit]}{unit}"
