"""A connection to PostgreSQL on which no wait is without end; imported only where there is a DSN.

The server ends a statement that takes too long, but only a server that lives: one that hangs, or a pooler or
proxy before it, keeps the connection open and never answers.
"""

from __future__ import annotations

import psycopg
from psycopg.abc import RV, PQGen
from psycopg.pq import TransactionStatus
from psycopg.rows import TupleRow


class BoundedConnection(psycopg.Connection[TupleRow]):
    """Closes itself when an answer does not come in time; what was asked for is then in doubt."""

    answer_seconds = 60.0

    def wait(self, gen: PQGen[RV], interval: float = 0.1, timeout: float | None = None) -> RV:
        """Wait for an answer.

        Raises:
            OperationalError: it did not come in time, or the server refuses.
        """
        bound = self.answer_seconds if timeout is None else timeout
        try:
            return super().wait(gen, interval, bound)
        except psycopg.OperationalError:
            if self.pgconn.transaction_status != TransactionStatus.ACTIVE:
                raise
            # The answer may still come, and be taken for that of the next question.
            self.pgconn.finish()
            raise psycopg.OperationalError(f"no answer within {bound:g} s") from None
