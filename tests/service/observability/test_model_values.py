"""A version's numbers are as many as its signature and reference ask for."""

from __future__ import annotations

from pathlib import Path

import pytest

from service.observability.model_values import LoadValues, ModelValues, OtherModelValues
from tests.service.observability.counted_bundles import (
    REGRESSION,
    TABULAR,
    TEXT,
    CountedBundle,
    fresh_files,
    scraped,
)

# requests 7, durations 2 x 16, distribution 4, batch rows 10, stages 4 x 17, queue 1, invalid outputs 2
ALWAYS = 7 + 32 + 4 + 10 + 68 + 1 + 2
CONFIDENCE = 23


@pytest.mark.parametrize(
    ("bundle", "own"),
    [
        # violations: age 4, colour 4, member 2, visits 4, other 7
        (TABULAR, 2 + CONFIDENCE + 21),
        (TEXT, 3 + CONFIDENCE + 7),
        (REGRESSION, 4 + 4 + 7),
    ],
    ids=lambda value: value.key.model_name if isinstance(value, CountedBundle) else "",
)
def test_number_of_series_is_known(tmp_path: Path, bundle: CountedBundle, own: int) -> None:
    """The budget in a manifest can be computed from signature and reference."""
    ModelValues(fresh_files(tmp_path), bundle)
    assert len(scraped(tmp_path)) == ALWAYS + own


def test_unknown_models_share_a_few_series(tmp_path: Path) -> None:
    """Requests and violations of models that nobody loaded."""
    OtherModelValues(fresh_files(tmp_path))
    assert len(scraped(tmp_path)) == 7 + 7


def test_version_that_is_not_loaded_has_failures_and_readiness(tmp_path: Path) -> None:
    """Eleven reasons and the gauge."""
    LoadValues(fresh_files(tmp_path), TABULAR.key)
    assert len(scraped(tmp_path)) == 11 + 1
