"""The scenario files."""

from __future__ import annotations

import pytest

from tests.loadtest.locust_run import ROOT, SCENARIOS


@pytest.mark.parametrize("scenario", SCENARIOS)
def test_every_share_of_a_scenario_is_at_least_one_user(scenario: str) -> None:
    """A share that rounds to no user would silently send nothing."""
    lines = (ROOT / f"loadtest/scenarios/{scenario}.conf").read_text(encoding="utf-8").splitlines()
    options = dict(line.split(" = ") for line in lines if " = " in line and not line.startswith("#"))
    shares = [float(value) for name, value in options.items() if name.endswith("-share")]
    counts = [share * int(options["users"]) for share in shares if share]
    assert counts
    assert counts == [pytest.approx(round(count)) for count in counts]
    assert min(counts) >= 1
