"""The check of totals against truths on SQLite; tests/stack runs it on PostgreSQL."""

from __future__ import annotations

from tests.service.prediction_log.store_suite import ConsistencySuite


class TestConsistency(ConsistencySuite):
    """On a file."""
