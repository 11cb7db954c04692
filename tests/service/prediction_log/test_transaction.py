"""The suite of transaction.py on SQLite; tests/stack runs it on PostgreSQL."""

from __future__ import annotations

from tests.service.prediction_log.transaction_suite import TransactionSuite


class TestTransaction(TransactionSuite):
    """On a file."""
