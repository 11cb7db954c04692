"""A family says under which names it can be queried."""

from __future__ import annotations

import pytest

from service.observability.metric import Metric, MetricType


@pytest.mark.parametrize(
    ("kind", "series"),
    [
        ("counter", ("made_up",)),
        ("gauge", ("made_up",)),
        ("histogram", ("made_up_bucket", "made_up_sum", "made_up_count")),
    ],
)
def test_names_that_queries_may_ask_for(kind: MetricType, series: tuple[str, ...]) -> None:
    """A histogram is three names, everything else one."""
    assert Metric("made_up", kind, "Made up.").series == series
