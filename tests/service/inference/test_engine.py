"""The inference thread and its bounded queue."""

from __future__ import annotations

import asyncio
import os
import threading
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest

from service.errors import ClientGoneError, DeadlineError, PredictionLogFullError, QueueFullError
from service.events import PredictionsServed, QueueChanged
from service.inference.engine import Engine
from service.inference.jobs import PredictedRows
from service.inference.models import ServedModel
from tests.fakes import FakeEstimator, Recorder, make_request, make_served_model

Row = tuple[float, float]
GATE_SECONDS = 10.0


class Gate:
    """Holds the model until it is opened."""

    def __init__(self) -> None:
        self.entered = threading.Event()
        self.opened = threading.Event()

    def wait(self, inputs: Any) -> None:
        """Tell that the model was entered and wait."""
        self.entered.set()
        assert self.opened.wait(GATE_SECONDS)


async def forever() -> None:
    """Stand for a client that stays."""
    await asyncio.Event().wait()


@asynccontextmanager
async def running_engine(recorder: Recorder, **limits: float) -> AsyncIterator[Engine]:
    """Run an engine; with limits that suit the test."""
    values: dict[str, Any] = {
        "queue_rows": 8,
        "micro_batch_rows": 4,
        "deadline_seconds": GATE_SECONDS,
        "stall_seconds": 60.0,
    }
    engine = Engine(recorder.announcer, recorder.record, **(values | limits))
    engine.start()
    try:
        yield engine
    finally:
        await engine.stop()


async def eventually(condition: Callable[[], bool]) -> None:
    """Wait until a condition holds, for a bounded time."""
    async with asyncio.timeout(GATE_SECONDS):
        while not condition():
            await asyncio.sleep(0.005)


def ask(
    engine: Engine, model: ServedModel, rows: int, disconnect: Callable[[], Awaitable[None]] = forever
) -> asyncio.Task[PredictedRows]:
    """Start a request of so many rows."""
    content: list[Any] = [(0.75, 1.0)] * rows
    kind: Any = "single" if rows == 1 else "batch"
    return asyncio.ensure_future(engine.predict(model, content, kind, make_request(rows), disconnect))


def test_answers_every_request() -> None:
    """Many requests at once are answered, each with its own rows, in fewer calls than requests."""

    async def scenario() -> None:
        recorder = Recorder().listen(PredictionsServed)
        estimator = FakeEstimator()
        model = make_served_model(estimator)
        async with running_engine(recorder, queue_rows=100) as engine:
            shares = [number / 64 for number in range(32, 64)]
            tasks = [
                engine.predict(model, [(share, 1.0)], "single", make_request(), forever) for share in shares
            ]
            answers = await asyncio.gather(*tasks)
        for share, answer in zip(shares, answers, strict=True):
            (segment,) = answer.segments
            assert segment.result.confidences is not None
            assert segment.result.confidences[segment.start] == share
        assert len({prediction_id for answer in answers for prediction_id in answer.prediction_ids}) == 32
        assert sum(estimator.calls) == 32
        assert len(estimator.calls) < 32
        assert max(estimator.calls) <= 4

    asyncio.run(scenario())


def test_full_queue_refuses_and_recovers() -> None:
    """Rows beyond the limit are refused at once; when the queue has run empty there is room again."""

    async def scenario() -> None:
        gate = Gate()
        model = make_served_model(FakeEstimator(gate.wait))
        async with running_engine(Recorder(), queue_rows=3) as engine:
            tasks = [ask(engine, model, 1)]
            await eventually(gate.entered.is_set)
            tasks += [ask(engine, model, 1) for _ in range(3)]
            await asyncio.sleep(0)
            assert engine.rows_waiting == 3
            with pytest.raises(QueueFullError):
                engine.check_room()
            with pytest.raises(QueueFullError):
                await ask(engine, model, 1)
            gate.opened.set()
            await asyncio.gather(*tasks)
            engine.check_room(3)
            assert engine.rows_waiting == 0

    asyncio.run(scenario())


def test_large_batch_is_admitted_when_nothing_waits() -> None:
    """A batch larger than the queue runs in slices, but only if it finds the queue empty."""

    async def scenario() -> None:
        gate = Gate()
        estimator = FakeEstimator(gate.wait)
        model = make_served_model(estimator)
        async with running_engine(Recorder(), queue_rows=8) as engine:
            large = ask(engine, model, 20)
            await eventually(gate.entered.is_set)
            with pytest.raises(QueueFullError):
                await ask(engine, model, 20)
            gate.opened.set()
            predicted = await large
        assert sum(segment.stop - segment.start for segment in predicted.segments) == 20
        assert len(predicted.prediction_ids) == 20
        assert max(estimator.calls) == 4

    asyncio.run(scenario())


def test_deadline_ends_the_wait() -> None:
    """A request that waits too long is told so while the model still works, and is not counted."""

    async def scenario() -> None:
        recorder = Recorder().listen(PredictionsServed)
        gate = Gate()
        model = make_served_model(FakeEstimator(gate.wait))
        async with running_engine(recorder, deadline_seconds=0.01) as engine:
            with pytest.raises(DeadlineError):
                await ask(engine, model, 1)
            gate.opened.set()
        assert not recorder.of(PredictionsServed)

    asyncio.run(scenario())


def test_gone_client_frees_its_place() -> None:
    """Rows whose client has hung up are dropped before the model sees them."""

    async def scenario() -> None:
        gate = Gate()
        estimator = FakeEstimator(gate.wait)
        model = make_served_model(estimator)
        async with running_engine(Recorder()) as engine:
            first = ask(engine, model, 1)
            await eventually(gate.entered.is_set)

            async def hang_up() -> None:
                return

            with pytest.raises(ClientGoneError):
                await ask(engine, model, 1, hang_up)
            gate.opened.set()
            await first
        assert estimator.calls == [1]

    asyncio.run(scenario())


def test_log_that_refuses_ends_requests_and_not_the_engine() -> None:
    """Requests of one micro-batch all get the log's error; the next ones are answered."""

    async def scenario() -> None:
        recorder = Recorder().listen(PredictionsServed)
        gate = Gate()
        model = make_served_model(FakeEstimator(gate.wait))
        async with running_engine(recorder) as engine:
            recorder.record_error = PredictionLogFullError("full")
            tasks = [ask(engine, model, 1) for _ in range(3)]
            gate.opened.set()
            results = await asyncio.gather(*tasks, return_exceptions=True)
            assert {type(result) for result in results} == {PredictionLogFullError}
            assert engine.rows_waiting == 0
            recorder.record_error = None
            answer = await ask(engine, model, 2)
            assert list(answer.prediction_ids) == ["id-0", "id-1"]
        assert len(recorder.of(PredictionsServed)) == 1

    asyncio.run(scenario())


def test_queue_gauge_follows_rows_that_nobody_waits_for() -> None:
    """Rows that came during a call are shown as waiting; those that expired before the next one are not."""

    async def scenario() -> None:
        recorder = Recorder().listen(QueueChanged)
        gate = Gate()
        model = make_served_model(FakeEstimator(gate.wait))
        async with running_engine(recorder, deadline_seconds=0.01) as engine:
            tasks = [ask(engine, model, 1)]
            await eventually(gate.entered.is_set)
            tasks += [ask(engine, model, 1) for _ in range(3)]
            await asyncio.gather(*tasks, return_exceptions=True)
            gate.opened.set()
        assert [event.rows for event in recorder.of(QueueChanged)] == [3, 0]

    asyncio.run(scenario())


def test_stop_answers_what_waits() -> None:
    """Stopping lets the queue run empty: nobody who was admitted goes without an answer."""

    async def scenario() -> None:
        gate = Gate()
        model = make_served_model(FakeEstimator(gate.wait))
        async with running_engine(Recorder(), queue_rows=100) as engine:
            tasks = [ask(engine, model, 1) for _ in range(30)]
            await eventually(gate.entered.is_set)
            gate.opened.set()
        assert len(await asyncio.gather(*tasks)) == 30

    asyncio.run(scenario())


def test_hanging_model_shows_in_liveness() -> None:
    """A call of the model that never returns makes the worker not alive."""

    async def scenario() -> None:
        gate = Gate()
        model = make_served_model(FakeEstimator(gate.wait))
        recorder = Recorder()
        engine = Engine(
            recorder.announcer,
            recorder.record,
            queue_rows=8,
            micro_batch_rows=4,
            deadline_seconds=60.0,
            stall_seconds=60.0,
        )
        assert not engine.is_alive
        engine.start()
        task = ask(engine, model, 1)
        await eventually(gate.entered.is_set)
        assert engine.is_alive
        assert engine.stalled_seconds > 0
        engine._stall_seconds = 0.0
        assert not engine.is_alive
        engine._stall_seconds = 60.0
        gate.opened.set()
        await task
        await engine.stop()
        assert not engine.is_alive

    asyncio.run(scenario())


def test_engine_made_before_a_fork_lives_after_it() -> None:
    """The application is built in the arbiter; a Thread object made there counts as dead in the worker."""

    async def scenario(engine: Engine, model: ServedModel) -> int:
        engine.start()
        await ask(engine, model, 1)
        alive = engine.is_alive
        await engine.stop()
        return 0 if alive else 3

    recorder = Recorder()
    engine = Engine(
        recorder.announcer,
        recorder.record,
        queue_rows=8,
        micro_batch_rows=4,
        deadline_seconds=60.0,
        stall_seconds=60.0,
    )
    model = make_served_model()
    child = os.fork()
    if child == 0:
        os._exit(asyncio.run(scenario(engine, model)))
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
