"""The alerts on measured quality fire and stay silent as their files of promtool tests say, on both lines."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.prometheus.monitoring_binaries import LINES, binaries
from tests.prometheus.test_rules import LONG_TEST_FILES, assert_passes


@pytest.mark.parametrize("line", LINES)
@pytest.mark.parametrize("path", LONG_TEST_FILES, ids=lambda path: path.name)
def test_promtool_finds_the_alerts_and_numbers_expected(line: str, path: Path) -> None:
    """Windows of an hour and a day, minute by minute."""
    assert_passes(binaries(line) / "promtool", path)
