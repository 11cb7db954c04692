"""Removes old predictions, by age and by size, in whole days and small transactions.

The rows of a day go: predictions altogether, truths but for their keys, so that a truth that is posted
again is still known. Keys go when no truth of their age is accepted any more, and are then counted in
`pruned_truths`. No counter moves: the sum of outcomes stays the number of counted truths, here and pruned.
"""

from __future__ import annotations

import math
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from sqlalchemy import ColumnElement, Table, and_, delete, select, text, update

from service.errors import StoreError
from service.prediction_log.reader import StoredDay
from service.prediction_log.schema import (
    KEYS_DELETED_BEFORE,
    PREDICTION_ROW_BYTES,
    SECONDS_PER_DAY,
    TRUTH_ROW_BYTES,
    ground_truths,
    log_state,
    predictions,
    stored_days,
)
from service.prediction_log.statements import among, byte_length
from service.prediction_log.store import Store
from service.prediction_log.transaction import Transaction
from service.settings import Settings

BATCH_ROWS = 10_000
_VACUUM_PAGES = 2000
_SECONDS_BETWEEN_LOOKS = 300.0
# One drainer at a time prunes a PostgreSQL database: the bytes of "prune".
_PRUNE_LOCK = 0x7072756E65
_COUNT_PRUNED = text(
    "INSERT INTO pruned_truths (model_name, model_version, counted) VALUES (:name, :version, :counted) "
    "ON CONFLICT (model_name, model_version) DO UPDATE SET counted = pruned_truths.counted + excluded.counted"
)


@dataclass(frozen=True, slots=True)
class RetentionPolicy:
    """What may stay.

    Args:
        days: whole days that are older go; None keeps any age.
        max_bytes: the oldest days go until the rest is no larger, but never the current day; None: any size.
        accept_days: age of a prediction up to which its truth is accepted.
    """

    days: int | None
    max_bytes: int | None
    accept_days: int


def policy_of(settings: Settings) -> RetentionPolicy:
    """Return the policy that the settings ask for."""
    return RetentionPolicy(settings.log_retention_days, settings.log_retention_bytes, settings.id_accept_days)


class PruneStep(NamedTuple):
    """What one committed transaction removed; `day` is None for keys and free space."""

    day: int | None = None
    predictions: int = 0
    truths: int = 0
    keys: int = 0


def days_to_prune(days: Sequence[StoredDay], policy: RetentionPolicy, now: float) -> list[StoredDay]:
    """Choose the days that go.

    Args:
        days: what is stored, the oldest first.
        policy: what may stay.
        now: Unix seconds.
    """
    today = int(now // SECONDS_PER_DAY)
    left = sum(day.bytes for day in days)
    chosen = []
    for day in days:
        is_old = policy.days is not None and day.day < today - policy.days
        is_too_much = policy.max_bytes is not None and left > policy.max_bytes and day.day < today
        if is_old or is_too_much:
            chosen.append(day)
            left -= day.bytes
    return chosen


def prune(store: Store, policy: RetentionPolicy, now: float) -> Iterator[PruneStep]:
    """Remove what must go, a transaction for each step taken; between steps the store is free for other work.

    Nothing is done while another writer of the same database prunes.

    Args:
        store: the database.
        policy: what may stay.
        now: Unix seconds.

    Raises:
        StoreUnavailableError: the database does not answer; what was committed stays removed.
    """
    with store.transaction() as transaction:
        found = transaction.connection.execute(select(stored_days).order_by(stored_days.c.day))
        days = [StoredDay(*row) for row in found]
    for day in days_to_prune(days, policy, now):
        yield from _prune_day(store, day.day)
    # A day more than truths are accepted: one that was accepted in the last second may still be in a spool.
    yield from _delete_keys(store, now - (policy.accept_days + 1) * SECONDS_PER_DAY)
    if store.database.is_sqlite:
        while store.database.cut_free_pages(_VACUUM_PAGES):
            yield PruneStep()


class Retention:
    """Prunes beside other work: a step at a time, and a look for what must go every few minutes.

    Args:
        policy: what may stay.
        clock: Unix seconds.
    """

    def __init__(self, policy: RetentionPolicy, clock: Callable[[], float] = time.time) -> None:
        self._policy = policy
        self._clock = clock
        self._steps: Iterator[PruneStep] | None = None
        self._looked = -math.inf

    def step(self, store: Store) -> PruneStep | None:
        """Do the next step if there is one; return what it removed.

        Raises:
            StoreUnavailableError: the database does not answer; the next step starts anew.
        """
        now = self._clock()
        if self._steps is None:
            # The clock may have been set back.
            if 0 <= now - self._looked < _SECONDS_BETWEEN_LOOKS:
                return None
            self._looked = now
            self._steps = prune(store, self._policy, now)
        try:
            step = next(self._steps, None)
        except StoreError:
            self._steps, self._looked = None, -math.inf
            raise
        if step is None:
            self._steps = None
        return step


def _prune_day(store: Store, day: int) -> Iterator[PruneStep]:
    for remove in (_remove_predictions, _remove_truths):
        while True:
            with store.transaction() as transaction:
                count = remove(transaction, day) if _may_prune(store, transaction) else 0
            if count:
                yield PruneStep(day, **{"predictions" if remove is _remove_predictions else "truths": count})
            if count < BATCH_ROWS:
                break
    with store.transaction() as transaction:
        is_empty = and_(stored_days.c.day == day, stored_days.c.stored_rows <= 0)
        transaction.connection.execute(delete(stored_days).where(is_empty))


def _may_prune(store: Store, transaction: Transaction) -> bool:
    if store.database.is_sqlite:
        return True
    lock = text("SELECT pg_try_advisory_xact_lock(:lock)")
    return bool(transaction.connection.scalar(lock, {"lock": _PRUNE_LOCK}))


def _remove_predictions(transaction: Transaction, day: int) -> int:
    connection = transaction.connection
    texts = (
        predictions.c.prediction,
        predictions.c.features,
        predictions.c.request_id,
        predictions.c.caller,
    )
    sizes = [byte_length(connection, column) for column in texts]
    batch = select(predictions.c.prediction_id).where(_within(predictions, day)).limit(BATCH_ROWS)
    removed = connection.execute(
        delete(predictions).where(predictions.c.prediction_id.in_(batch)).returning(*sizes)
    ).all()
    size = sum(PREDICTION_ROW_BYTES + sum(row) for row in removed)
    transaction.change_day(day, -len(removed), -size)
    return len(removed)


def _remove_truths(transaction: Transaction, day: int) -> int:
    connection = transaction.connection
    texts = (ground_truths.c.ground_truth, ground_truths.c.first_ground_truth, ground_truths.c.caller)
    sizes = [byte_length(connection, column) for column in texts]
    found = connection.execute(
        select(ground_truths.c.prediction_id, ground_truths.c.result, *sizes)
        .where(_within(ground_truths, day), ground_truths.c.ground_truth.is_not(None))
        .order_by(ground_truths.c.prediction_id)
        .limit(BATCH_ROWS)
        .with_for_update()
    ).all()
    counted = [row[0] for row in found if row[1] == "counted"]
    # What never counted may come again as if for the first time.
    uncounted = [row[0] for row in found if row[1] != "counted"]
    key = ground_truths.c.prediction_id
    connection.execute(
        update(ground_truths)
        .where(among(connection, key, counted))
        .values(ground_truth=None, first_ground_truth=None, caller="")
    )
    connection.execute(delete(ground_truths).where(among(connection, key, uncounted)))
    transaction.change_day(day, -len(found), -sum(TRUTH_ROW_BYTES + sum(row[2:]) for row in found))
    return len(found)


def _delete_keys(store: Store, before: float) -> Iterator[PruneStep]:
    keys = ground_truths.c
    old = select(keys.prediction_id).where(keys.ground_truth.is_(None), keys.predicted_timestamp < before)
    while True:
        with store.transaction() as transaction:
            connection = transaction.connection
            count = 0
            if _may_prune(store, transaction) and connection.scalar(old.limit(1)) is not None:
                _raise_horizon(transaction, before)
                batch = old.order_by(keys.predicted_timestamp).limit(BATCH_ROWS)
                gone = connection.execute(
                    delete(ground_truths)
                    .where(keys.prediction_id.in_(batch))
                    .returning(keys.model_name, keys.model_version)
                ).all()
                count = len(gone)
                for (name, version), number in sorted(Counter(map(tuple, gone)).items()):
                    connection.execute(_COUNT_PRUNED, {"name": name, "version": version, "counted": number})
        if count:
            yield PruneStep(keys=count)
        if count < BATCH_ROWS:
            return


def _raise_horizon(transaction: Transaction, before: float) -> None:
    """Say that keys before this time may be gone; waits for the writers that rely on what it says now."""
    connection = transaction.connection
    named = log_state.c.name == KEYS_DELETED_BEFORE
    known = float(connection.scalars(select(log_state.c.value).where(named).with_for_update()).one())
    connection.execute(update(log_state).where(named).values(value=repr(max(known, before))))


def _within(table: Table, day: int) -> ColumnElement[bool]:
    time = table.c.predicted_timestamp
    return and_(time >= day * SECONDS_PER_DAY, time < (day + 1) * SECONDS_PER_DAY)
