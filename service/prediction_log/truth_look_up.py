"""Asks the database what it knows of truths, for the answer to a client: quickly, or not at all."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

import orjson
from sqlalchemy import select

from service.errors import PlumblineError
from service.prediction_log.database import Database
from service.prediction_log.schema import ground_truths
from service.prediction_log.statements import among
from service.prediction_log.truth_intake import KnownTruth
from service.prediction_log.truth_rules import GroundTruth

LOOK_UP_SECONDS = 0.02
PAUSE_SECONDS = 5.0
"""After a look-up that failed or took too long none is tried for so long."""
_log = logging.getLogger("service.prediction_log")


class TruthLookUp:
    """Looks truths up within a bound; on the event loop, the database in a thread of its own.

    Args:
        target: path of the SQLite file, or the DSN of the PostgreSQL database.
        clock: monotonic seconds.
    """

    def __init__(self, target: Path | str, clock: Callable[[], float] = time.monotonic) -> None:
        self._target = target
        self._clock = clock
        self._paused_until = 0.0
        self._database: Database | None = None
        self._thread: ThreadPoolExecutor | None = None

    def open(self) -> None:
        """Connect in the background, so that the first look-up finds a connection; call it after the fork."""
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="truth-look-up")
        self._thread.submit(self._ask, ())

    def close(self) -> None:
        """Close the connection."""
        if self._thread is not None:
            self._thread.submit(self._disconnect)
            self._thread.shutdown(wait=True, cancel_futures=False)
            self._thread = None

    async def __call__(self, prediction_ids: Sequence[str]) -> Mapping[str, KnownTruth]:
        """Return what is known of these ids; nothing if the database is down or slow."""
        if self._thread is None or self._clock() < self._paused_until:
            return {}
        asked: Future[Mapping[str, KnownTruth] | None] = self._thread.submit(self._ask, tuple(prediction_ids))
        done, _ = await asyncio.wait([asyncio.wrap_future(asked)], timeout=LOOK_UP_SECONDS)
        known = next(iter(done)).result() if done else None
        if known is None:
            asked.cancel()
            self._paused_until = self._clock() + PAUSE_SECONDS
        return known or {}

    def _ask(self, prediction_ids: Sequence[str]) -> Mapping[str, KnownTruth] | None:
        """Ask in the thread; None if the database does not answer."""
        try:
            if self._database is None:
                self._database = Database(self._target, read_only=True, timeout_seconds=LOOK_UP_SECONDS)
            with self._database.transaction() as connection:
                columns = (
                    ground_truths.c.prediction_id,
                    ground_truths.c.ground_truth,
                    ground_truths.c.revision,
                    ground_truths.c.first_ground_truth,
                )
                wanted = among(connection, ground_truths.c.prediction_id, prediction_ids)
                return {
                    prediction_id: KnownTruth(_value(text), revision, _value(first))
                    for prediction_id, text, revision, first in connection.execute(
                        select(*columns).where(wanted, ground_truths.c.result == "counted")
                    )
                }
        except Exception as error:  # the truth that a client posts must not fail with the look-up
            if not isinstance(error, PlumblineError):
                _log.error("the look-up of truths raised %s", type(error).__name__)
            self._disconnect()
            return None

    def _disconnect(self) -> None:
        if self._database is not None:
            self._database.close()
            self._database = None


def _value(text: str | None) -> GroundTruth | None:
    value: GroundTruth | None = None if text is None else orjson.loads(text)
    return value
