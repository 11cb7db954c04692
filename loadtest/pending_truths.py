"""Truths that are not told yet: each waits for its time, as labels do, in bounded memory."""

from __future__ import annotations

import heapq
import itertools
import json
import logging
import random
import time
from collections.abc import Callable, Sequence
from typing import NamedTuple

from loadtest.payloads import Scalar

GROUND_TRUTH_PATH = "/v1/log-ground-truth"
MAX_TRUTHS_OF_REQUEST = 1000
MAX_PENDING = 100_000
"""About 30 MB."""
REPEAT_SHARE = 0.05
"""Share of the truths that are told a second time."""

# When a truth comes is no secret: no need for a generator that cannot be foreseen.
_CHOICE = random.Random()  # noqa: S311 - see the line above
_log = logging.getLogger("loadtest")


class PendingTruth(NamedTuple):
    """What is true of one prediction; `is_repeat`: it was told before, or may have been."""

    prediction_id: str
    ground_truth: Scalar
    is_repeat: bool


class PendingTruths:
    """Keeps truths until they are due; all users of a process share one, so any of them may tell any truth.

    Args:
        delay_seconds: mean wait of a truth; each waits between half and one and a half of it, so that truths
            come in another order than predictions.
        capacity: truths that may wait; further ones are never told.
        clock: monotonic seconds.
    """

    def __init__(
        self,
        delay_seconds: float,
        capacity: int = MAX_PENDING,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._delay_seconds = delay_seconds
        self._capacity = capacity
        self._clock = clock
        self._by_time: list[tuple[float, int, PendingTruth]] = []
        # Decides between equal times, since values of different types cannot be compared.
        self._numbers = itertools.count()
        self._is_overflow_logged = False

    def __len__(self) -> int:
        return len(self._by_time)

    def add(self, prediction_id: str, ground_truth: Scalar) -> None:
        """Let a truth wait for its time."""
        self._push(PendingTruth(prediction_id, ground_truth, is_repeat=False))

    def take_due(self) -> list[PendingTruth]:
        """Take those whose time has come, the oldest first, as many as one request may hold."""
        now = self._clock()
        due: list[PendingTruth] = []
        while self._by_time and self._by_time[0][0] <= now and len(due) < MAX_TRUTHS_OF_REQUEST:
            due.append(heapq.heappop(self._by_time)[2])
        return due

    def repeat_some(self, told: Sequence[PendingTruth]) -> None:
        """Let a small share of what was just told come again later, as from a client that sends twice."""
        for truth in told:
            if not truth.is_repeat and _CHOICE.random() < REPEAT_SHARE:
                self._push(truth._replace(is_repeat=True))

    def put_back(self, truths: Sequence[PendingTruth], *, may_have_arrived: bool) -> None:
        """Let truths wait again that were shed, or whose request got no answer."""
        for truth in truths:
            self._push(truth._replace(is_repeat=truth.is_repeat or may_have_arrived))

    def _push(self, truth: PendingTruth) -> None:
        if len(self._by_time) >= self._capacity:
            if not self._is_overflow_logged:
                _log.warning("loadtest: %d truths wait already; more are never told", self._capacity)
                self._is_overflow_logged = True
            return
        due_at = self._clock() + self._delay_seconds * _CHOICE.uniform(0.5, 1.5)
        heapq.heappush(self._by_time, (due_at, next(self._numbers), truth))


def ground_truth_body(truths: Sequence[PendingTruth]) -> bytes:
    """Write the body that tells these truths: one stands alone, several are a batch."""
    items = [{"prediction_id": each.prediction_id, "ground_truth": each.ground_truth} for each in truths]
    return json.dumps(items[0] if len(items) == 1 else {"batch": items}).encode()
