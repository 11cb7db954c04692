"""Label values come from closed sets that agree with the errors and events they stand for."""

from __future__ import annotations

import pytest

from service.bundle.signature import Feature
from service.errors import VIOLATION_REASONS
from service.events import OUT_BY_CATEGORY, OUT_BY_NOVELTY, OUT_BY_RANGE
from service.observability.label_values import (
    HTTP_HANDLERS,
    OTHER,
    OUT_OF_DISTRIBUTION_REASONS,
    violation_labels,
    violation_reasons,
)


@pytest.mark.parametrize(
    ("feature", "reasons"),
    [
        (Feature(name="a", type="number"), {"missing", "type", "range", "nan"}),
        (Feature(name="a", type="integer"), {"missing", "type", "range", "nan"}),
        (Feature(name="a", type="category", categories=()), {"missing", "type", "category", "length"}),
        (Feature(name="a", type="boolean"), {"missing", "type"}),
        (Feature(name="a", type="text"), {"missing", "type", "length"}),
    ],
)
def test_feature_breaks_the_signature_in_the_ways_of_its_type(feature: Feature, reasons: set[str]) -> None:
    """No series is kept for what cannot happen."""
    assert set(violation_reasons(feature)) == reasons
    assert reasons <= set(VIOLATION_REASONS)


def test_other_can_break_in_every_way() -> None:
    """Whatever is not a monitored feature has a place to be counted."""
    assert {reason for field, reason in violation_labels(iter(())) if field == OTHER} == set(
        VIOLATION_REASONS
    )


def test_each_code_has_its_reason() -> None:
    """Codes are positions behind "in distribution", in order."""
    assert sorted(OUT_OF_DISTRIBUTION_REASONS) == [OUT_BY_RANGE, OUT_BY_CATEGORY, OUT_BY_NOVELTY] == [1, 2, 3]


def test_every_route_knows_that_it_may_fail() -> None:
    """200 and 500 are listed for all."""
    assert all({200, 500} <= set(statuses) for _, statuses in HTTP_HANDLERS.values())
