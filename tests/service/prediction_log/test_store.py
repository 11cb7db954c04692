"""The suite of store.py on SQLite; tests/stack runs it on PostgreSQL."""

from __future__ import annotations

from tests.service.prediction_log.store_suite import StoreSuite


class TestStore(StoreSuite):
    """On a file."""
