"""One request's rows on their way through the model, and what comes back."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from service.bundle.scoring import Scores
from service.bundle.signature import ClassLabel
from service.errors import RequestError
from service.events import Kind, ServedRequest

if TYPE_CHECKING:
    from service.bundle.row_schema import Row
    from service.inference.models import ServedModel


@dataclass(frozen=True, slots=True, eq=False)
class MicroBatchResult:
    """What one call of the model said, as plain values that are encoded without numpy; lists of n entries."""

    predictions: list[ClassLabel | float]
    confidences: list[float] | None
    distribution: list[int]
    probabilities: NDArray[np.float64] | None
    scores: Scores


@dataclass(frozen=True, slots=True, eq=False)
class Segment:
    """The entries of one micro-batch that belong to one request: [start, stop)."""

    result: MicroBatchResult
    start: int
    stop: int


@dataclass(frozen=True, slots=True, eq=False)
class PredictedRows:
    """The answer to one request: its rows as segments of micro-batches, in order, and an id for each."""

    segments: Sequence[Segment]
    prediction_ids: Sequence[str]


@dataclass(slots=True, eq=False)
class Job:
    """The rows of one request.

    The event loop and the inference thread both may end a job (answer, deadline, client gone); whoever claims
    it first decides, so that what is counted as served is what is answered.

    Args:
        model: the version that answers all rows.
        rows: validated rows.
        kind: whether the request was a single prediction or a batch.
        request: what the prediction log keeps of the request.
        enqueued: monotonic time of arrival, seconds.
        deadline: monotonic time after which no answer is wanted, seconds.
        future: where the event loop waits.
        wait_for_disconnect: returns once the client has gone.
    """

    model: ServedModel
    rows: list[Row]
    kind: Kind
    request: ServedRequest
    enqueued: float
    deadline: float
    future: asyncio.Future[PredictedRows]
    wait_for_disconnect: Callable[[], Awaitable[None]]
    segments: list[Segment] = field(default_factory=list)
    prediction_ids: Sequence[str] = ()
    taken: int = 0
    """Rows that a micro-batch has taken so far."""
    error: RequestError | None = None
    watcher: asyncio.Task[None] | None = None
    """Waits for the client's disconnection, once the job is no longer young."""
    _claim: threading.Lock = field(default_factory=threading.Lock)

    def claim(self) -> bool:
        """Return True to the first caller only: it decides how the job ends."""
        return self._claim.acquire(blocking=False)

    @property
    def is_claimed(self) -> bool:
        """Whether somebody has decided how the job ends."""
        return self._claim.locked()
