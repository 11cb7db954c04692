"""The scenario files."""

from __future__ import annotations

import pytest

from loadtest.payloads import DEMO_MODELS
from tests.loadtest.locust_run import ROOT, SCENARIOS


def options_of(scenario: str) -> dict[str, str]:
    """Read a scenario file."""
    lines = (ROOT / f"loadtest/scenarios/{scenario}.conf").read_text(encoding="utf-8").splitlines()
    return dict(line.split(" = ") for line in lines if " = " in line and not line.startswith("#"))


@pytest.mark.parametrize("scenario", SCENARIOS)
def test_every_share_of_a_scenario_is_at_least_one_user(scenario: str) -> None:
    """A share that rounds to no user would silently send nothing."""
    options = options_of(scenario)
    shares = [float(value) for name, value in options.items() if name.endswith("-share")]
    counts = [share * int(options["users"]) for share in shares if share]
    assert counts
    assert counts == [pytest.approx(round(count)) for count in counts]
    assert min(counts) >= 1


def test_the_demo_tells_enough_truths_within_a_minute_for_every_statistic() -> None:
    """A minute is an hour of the demo clock, and an accuracy or a mean error needs 50 truths of an hour."""
    options = options_of("demo")
    turns_of_a_minute = float(options["label-share"]) * int(options["users"]) * float(options["rate"]) * 60
    # Of five turns three ask for one prediction, one asks for a batch, and one tells truths.
    truths = turns_of_a_minute * (3 + int(options["batch-rows"])) / 5
    assert truths / len(DEMO_MODELS) >= 2 * 50
    assert float(options["label-delay"]) <= 10
