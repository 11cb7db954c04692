"""Real processes for tests: one predictor on the demo models serves all tests that do not harm it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.stack.postgres import PostgresServer, running_postgres
from tests.stack.predictor_process import RunningPredictor, running_predictor


@pytest.fixture(scope="session")
def predictor(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningPredictor]:
    """Serve the demo models with two workers."""
    with running_predictor(tmp_path_factory.mktemp("predictor")) as running:
        yield running


@pytest.fixture(scope="session")
def postgres() -> Iterator[PostgresServer]:
    """Run a PostgreSQL for all tests that do not stop it; each makes a database of its own."""
    with running_postgres() as server:
        yield server
