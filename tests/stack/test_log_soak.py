"""Nothing acknowledged is lost when any process is killed: a short soak; `make soak` is the long one."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.stack.soak import DATABASES, soak

ROUNDS = 8
SEED = 3


@pytest.mark.parametrize("database", DATABASES)
def test_soak(tmp_path: Path, database: str) -> None:
    """Every acknowledged prediction and truth is in the database once, totals are the rows, nothing fell."""
    soaked = soak(database, ROUNDS, SEED, tmp_path, print)
    assert not soaked.problems, "\n".join([*soaked.problems, soaked.summary])
