"""The suite of statements.py on SQLite; tests/stack runs it on PostgreSQL."""

from __future__ import annotations

from tests.service.prediction_log.statements_suite import StatementsSuite


class TestStatements(StatementsSuite):
    """On a file."""
