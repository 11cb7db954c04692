"""What a metric family is; imports no library, so that every test may read it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

MetricType = Literal["counter", "gauge", "histogram"]


@dataclass(frozen=True, slots=True)
class Metric:
    """One metric family.

    Args:
        name: the family as Prometheus shows it in `# TYPE`; a counter's ends in `_total`.
        type: its Prometheus type.
        help: one full sentence.
        labels: names of its labels; a histogram's `le` is not among them.
        bounds: upper bounds of a histogram's buckets, without +Inf.
        fold: how a gauge's values of several workers become one.
    """

    name: str
    type: MetricType
    help: str
    labels: tuple[str, ...] = ()
    bounds: tuple[float, ...] = ()
    fold: Literal["sum", "max"] = "sum"

    @property
    def series(self) -> tuple[str, ...]:
        """The names that queries may ask for."""
        if self.type == "histogram":
            return (f"{self.name}_bucket", f"{self.name}_sum", f"{self.name}_count")
        return (self.name,)
