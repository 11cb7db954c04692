"""Runs the models of one worker: one thread, a bounded queue before it, micro-batches without waiting.

The event loop only parses and encodes; whatever computes runs here. A micro-batch is what waits when the
model is free, so a single request at low load is never held back for company.
"""

from __future__ import annotations

import asyncio
import logging
import os
import queue
import threading
import time
from collections.abc import Awaitable, Callable

from service.bundle.row_schema import Row
from service.errors import ClientGoneError, DeadlineError, QueueFullError, RequestError
from service.events import Announcer, Kind, QueueChanged, ServedRequest
from service.inference.jobs import Job, PredictedRows
from service.inference.micro_batch import RecordPredictions, run_micro_batch
from service.inference.models import ServedModel
from service.inference.waiting_rows import WaitingRows

SWEEP_SECONDS = 0.1
"""How often the event loop looks for jobs whose deadline has passed or whose client has gone."""
STALL_EXIT_CODE = 70
_log = logging.getLogger("service.inference")


class Engine:
    """The inference thread and its queue.

    Args:
        announcer: hears of every micro-batch before its answers leave.
        record: keeps what is served and gives each row its id, before that.
        queue_rows: most rows that may wait.
        micro_batch_rows: most rows in one call of a model.
        deadline_seconds: longest wait of a request.
        stall_seconds: a call of a model that takes longer means that this worker is lost.
    """

    def __init__(
        self,
        announcer: Announcer,
        record: RecordPredictions,
        *,
        queue_rows: int,
        micro_batch_rows: int,
        deadline_seconds: float,
        stall_seconds: float,
    ) -> None:
        self._announcer = announcer
        self._record = record
        self._queue_rows = queue_rows
        self._micro_batch_rows = micro_batch_rows
        self._deadline_seconds = deadline_seconds
        self._stall_seconds = stall_seconds
        self._inbox: queue.SimpleQueue[Job | None] = queue.SimpleQueue()
        self._pending: set[Job] = set()
        # Two counters with one writer each instead of one with a lock: rows handed in by the event loop, rows
        # taken out by the inference thread. Their difference waits.
        self._rows_in = 0
        self._rows_out = 0
        self._busy_since: float | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread: threading.Thread | None = None
        self._sweeper: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Start the thread; call it on the running event loop, after the fork."""
        self._loop = asyncio.get_running_loop()
        # Made here, not in __init__: a Thread object that was made before a fork counts as dead after it.
        self._thread = threading.Thread(target=self._run, name="inference", daemon=True)
        self._thread.start()
        self._sweeper = self._loop.create_task(self._sweep())

    async def stop(self) -> None:
        """Let the queue run empty, then end the thread."""
        if self._sweeper is not None:
            self._sweeper.cancel()
        if self._thread is not None:
            self._inbox.put(None)
            await asyncio.to_thread(self._thread.join)

    @property
    def rows_waiting(self) -> int:
        """Rows that were admitted and not yet taken by a micro-batch."""
        return self._rows_in - self._rows_out

    @property
    def stalled_seconds(self) -> float:
        """How long the present call of a model has been running; 0 when idle."""
        since = self._busy_since
        return 0.0 if since is None else time.monotonic() - since

    @property
    def is_alive(self) -> bool:
        """Whether the thread runs and makes progress."""
        thread = self._thread
        return thread is not None and thread.is_alive() and self.stalled_seconds < self._stall_seconds

    def check_room(self, rows: int = 1) -> None:
        """Refuse rows that do not fit; a batch larger than the whole queue fits when the queue is empty.

        Raises:
            QueueFullError: no room.
        """
        waiting = self._rows_in - self._rows_out
        if waiting and waiting + rows > self._queue_rows:
            raise QueueFullError()

    async def predict(
        self,
        model: ServedModel,
        rows: list[Row],
        kind: Kind,
        request: ServedRequest,
        wait_for_disconnect: Callable[[], Awaitable[None]],
    ) -> PredictedRows:
        """Score rows, record them, and return scores and ids in order.

        Args:
            model: the version that answers.
            rows: validated rows, at least one.
            kind: single or batch, for the metrics.
            request: what the prediction log keeps of the request.
            wait_for_disconnect: returns once the client has gone; only awaited when the answer takes long.

        Raises:
            QueueFullError: no room for the rows.
            DeadlineError: they waited too long.
            ClientGoneError: nobody waits for the answer.
            InvalidInputError: the model cannot compute with values so far from what it was trained on.
            PredictionError: the model raised or gave an invalid output.
            PredictionLogFullError: the prediction cannot be logged and must not leave without that.
        """
        self.check_room(len(rows))
        assert self._loop is not None
        now = time.monotonic()
        deadline = now + self._deadline_seconds
        future = self._loop.create_future()
        job = Job(model, rows, kind, request, now, deadline, future, wait_for_disconnect)
        self._rows_in += len(rows)
        self._pending.add(job)
        self._inbox.put(job)
        try:
            predicted = await job.future
        finally:
            self._pending.discard(job)
            if job.watcher is not None:
                job.watcher.cancel()
        return predicted

    async def _sweep(self) -> None:
        while True:
            await asyncio.sleep(SWEEP_SECONDS)
            if not self.is_alive:
                # The thread hangs in foreign code that a heartbeat cannot see: only a new process helps.
                _log.critical("inference stalled for %.0f s: worker exits", self.stalled_seconds)
                os._exit(STALL_EXIT_CODE)
            now = time.monotonic()
            for job in list(self._pending):
                if now > job.deadline:
                    _end(job, DeadlineError("deadline passed"))
                elif job.watcher is None and now - job.enqueued > SWEEP_SECONDS:
                    # Most answers come long before this: only slow ones pay for watching the client.
                    job.watcher = asyncio.ensure_future(_watch(job))

    def _run(self) -> None:
        waiting = WaitingRows()
        while True:
            if not waiting:
                job = self._inbox.get()
                if job is None:
                    return
                waiting.add(job)
            self._empty_inbox_into(waiting)
            self._step(waiting)

    def _empty_inbox_into(self, waiting: WaitingRows) -> None:
        while True:
            try:
                job = self._inbox.get_nowait()
            except queue.Empty:
                return
            if job is None:
                self._inbox.put(None)  # the thread ends once nothing waits
                return
            waiting.add(job)

    def _step(self, waiting: WaitingRows) -> None:
        key = waiting.turn
        slices, rows_out = waiting.take(self._micro_batch_rows)
        self._rows_out += rows_out
        ended: list[Job] = []
        if slices:
            self._busy_since = time.monotonic()
            try:
                ended = run_micro_batch(slices, self._announcer, self._record)
            finally:
                self._busy_since = None
            self._empty_inbox_into(waiting)  # what came during the call waits too
        self._announcer.announce(QueueChanged(key, waiting.rows_of(key)))
        if ended:
            assert self._loop is not None
            self._loop.call_soon_threadsafe(_deliver, ended)


def _deliver(jobs: list[Job]) -> None:
    """Wake the callers of jobs that have ended; runs on the event loop."""
    for job in jobs:
        if job.future.done():  # its caller was cancelled
            continue
        if job.error is not None:
            job.future.set_exception(job.error)
        else:
            job.future.set_result(PredictedRows(job.segments, job.prediction_ids))


def _end(job: Job, error: RequestError) -> None:
    """End a job from the event loop, unless the inference thread was first."""
    if job.claim():
        job.error = error
        _deliver([job])


async def _watch(job: Job) -> None:
    await job.wait_for_disconnect()
    _end(job, ClientGoneError("client gone"))
