"""The database that the suites of the prediction log run on here; tests/stack runs them on PostgreSQL."""

from __future__ import annotations

from pathlib import Path

import pytest


@pytest.fixture
def target(tmp_path: Path) -> Path | str:
    """Name an SQLite file that does not exist yet."""
    return tmp_path / "predictions.db"
