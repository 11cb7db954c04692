"""One call of the model for many requests: who gets what, and who is told what."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

from service.errors import InvalidInputError, PredictionError, PredictionLogFullError
from service.events import IN_DISTRIBUTION, OUT_BY_RANGE, InvalidOutputSeen, MicroBatchRun, PredictionsServed
from service.inference.jobs import Job
from service.inference.micro_batch import run_micro_batch
from service.inference.waiting_rows import Slice
from service.observability.logs import JsonFormatter
from tests.fakes import FakeEstimator, Recorder, make_job, make_served_model


def whole(*jobs: Job) -> list[Slice]:
    """Slice each job as one piece."""
    return [Slice(job, 0, len(job.rows)) for job in jobs]


@pytest.fixture
def recorder() -> Recorder:
    """Hear everything that a micro-batch announces."""
    return Recorder().listen(MicroBatchRun, PredictionsServed, InvalidOutputSeen)


def confidences(job: Job) -> list[float]:
    """Return the confidences that a job was answered with."""
    found: list[float] = []
    for segment in job.segments:
        assert segment.result.confidences is not None
        found += segment.result.confidences[segment.start : segment.stop]
    return found


def test_each_request_gets_its_own_rows(recorder: Recorder) -> None:
    """Answers are matched to requests by identity, in one call of the model."""
    estimator = FakeEstimator()
    model = make_served_model(estimator)
    jobs = [
        make_job(model=model, values=[(0.75, 1.0)]),
        make_job(model=model, values=[(0.625, 1.0), (0.125, None)], kind="batch"),
        make_job(model=model, values=[(0.875, 1.0)]),
    ]
    assert run_micro_batch(whole(*jobs), recorder.announcer, recorder.record) == jobs
    assert [confidences(job) for job in jobs] == [[0.75], [0.625, 0.875], [0.875]]
    assert estimator.calls == [4]
    (served,) = recorder.of(PredictionsServed)
    assert served.class_indices.tolist() == [1, 1, 0, 1]
    assert len(served.rows) == 4
    (run,) = recorder.of(MicroBatchRun)
    assert run.rows == 4
    assert len(run.queue_seconds) == 3


def test_rows_are_announced_once_when_their_request_is_complete(recorder: Recorder) -> None:
    """A batch in slices is announced with its last slice, whole and in order."""
    model = make_served_model()
    batch = make_job(model=model, values=[(0.5625, 1), (0.75, 1), (0.875, 1)], kind="batch")
    single = make_job(model=model, values=[(0.625, 1)])
    assert run_micro_batch([Slice(batch, 0, 2)], recorder.announcer, recorder.record) == []
    assert not recorder.of(PredictionsServed)
    assert run_micro_batch(
        [Slice(single, 0, 1), Slice(batch, 2, 3)], recorder.announcer, recorder.record
    ) == [single, batch]
    (served,) = recorder.of(PredictionsServed)
    assert served.confidences.tolist() == [0.625, 0.5625, 0.75, 0.875]
    assert served.rows == [*single.rows, *batch.rows]


def test_job_that_ended_meanwhile_is_not_counted(recorder: Recorder) -> None:
    """Rows whose client was told "deadline" while they ran are not announced as served."""
    model = make_served_model()
    late, fine = make_job(model=model), make_job(model=model)
    late.claim()
    assert run_micro_batch(whole(late, fine), recorder.announcer, recorder.record) == [fine]
    (served,) = recorder.of(PredictionsServed)
    assert len(served.rows) == 1


def test_bad_row_fails_alone(recorder: Recorder) -> None:
    """If the model raises on a micro-batch, each request is tried by itself."""

    def fail_on_nine(inputs: Any) -> None:
        if (np.asarray(inputs)[:, 0] == 9).any():
            raise ValueError("nine")

    model = make_served_model(FakeEstimator(fail_on_nine))
    good, bad, other = (make_job(model=model, values=[(value, 1)]) for value in (0.75, 9, 0.625))
    assert run_micro_batch(whole(good, bad, other), recorder.announcer, recorder.record) == [good, bad, other]
    assert good.error is None
    assert other.error is None
    assert isinstance(bad.error, PredictionError)
    assert sum(len(served.rows) for served in recorder.of(PredictionsServed)) == 2


def test_log_of_a_failure_holds_no_values(recorder: Recorder, caplog: pytest.LogCaptureFixture) -> None:
    """Estimators write inputs into their messages; the log says where it happened and not with what."""

    def fail(inputs: Any) -> None:
        raise ValueError(f"unknown value {inputs[0][0]}")

    model = make_served_model(FakeEstimator(fail))
    run_micro_batch(whole(make_job(model=model, values=[(0.8125, 1)])), recorder.announcer, recorder.record)
    (record,) = caplog.records
    line = JsonFormatter().format(record)
    assert "raised ValueError" in line
    assert "in fail" in line
    assert "0.8125" not in line


def test_requests_that_ended_are_not_tried_alone(recorder: Recorder) -> None:
    """While others are tried one by one, a request may expire; the model is not called for it any more."""

    def fail(inputs: Any) -> None:
        if len(inputs) == 1:
            late.claim()
        raise ValueError("slow, and wrong")

    estimator = FakeEstimator(fail)
    model = make_served_model(estimator)
    first, late = make_job(model=model), make_job(model=model)
    assert run_micro_batch(whole(first, late), recorder.announcer, recorder.record) == [first]
    assert estimator.calls == [2, 1]


def test_model_that_wants_to_exit_fails_its_request(recorder: Recorder) -> None:
    """An exit called for by a model's code is an error like any other: the inference thread goes on."""

    def leave(inputs: Any) -> None:
        raise SystemExit(3)

    job = make_job(model=make_served_model(FakeEstimator(leave)))
    assert run_micro_batch(whole(job), recorder.announcer, recorder.record) == [job]
    assert isinstance(job.error, PredictionError)


def test_output_that_is_not_finite_never_leaves(recorder: Recorder) -> None:
    """NaN from the model is an error for its request, counted, and no prediction."""

    class NanEstimator(FakeEstimator):
        def predict_proba(self, inputs: Any) -> Any:
            result = super().predict_proba(inputs)
            result[np.asarray(inputs)[:, 0] == 9] = math.nan
            return result

    model = make_served_model(NanEstimator())
    bad, good = make_job(model=model, values=[(9, 1)]), make_job(model=model, values=[(0.75, 1)])
    run_micro_batch(whole(bad, good), recorder.announcer, recorder.record)
    assert isinstance(bad.error, PredictionError)
    assert good.error is None
    assert [event.reason for event in recorder.of(InvalidOutputSeen)] == ["nan"]


def test_failure_on_values_far_outside_is_the_inputs(recorder: Recorder) -> None:
    """A client cannot make a 5xx with a value that the model was never trained on."""

    def overflow(inputs: Any) -> None:
        if (np.asarray(inputs)[:, 0] > 1e20).any():
            raise ValueError("too large")

    model = make_served_model(FakeEstimator(overflow))
    job = make_job(model=model, values=[(0.5, 1), (1e25, 1)], kind="batch")
    run_micro_batch(whole(job), recorder.announcer, recorder.record)
    assert isinstance(job.error, InvalidInputError)
    assert [one.field for one in job.error.violations] == ["batch[1].x"]


def test_rows_outside_the_reference_are_flagged(recorder: Recorder) -> None:
    """A value beyond the reference's range is served and flagged; a missing one is not out of range."""
    model = make_served_model()
    run_micro_batch(
        whole(make_job(model=model, values=[(11, 1), (10, 1), (-10, None)], kind="batch")),
        recorder.announcer,
        recorder.record,
    )
    (served,) = recorder.of(PredictionsServed)
    assert served.distribution.tolist() == [OUT_BY_RANGE, IN_DISTRIBUTION, IN_DISTRIBUTION]


def test_each_row_gets_its_id_before_it_is_announced(recorder: Recorder) -> None:
    """Ids are those of the record, request by request; the record holds whose rows they are."""
    model = make_served_model()
    single = make_job(model=model)
    batch = make_job(model=model, rows=2, kind="batch")
    run_micro_batch(whole(single, batch), recorder.announcer, recorder.record)
    assert (single.prediction_ids, batch.prediction_ids) == (["id-0"], ["id-1", "id-2"])
    (served,) = recorder.recorded
    assert served is recorder.of(PredictionsServed)[0]
    assert [one.rows for one in served.requests] == [1, 2]


def test_what_cannot_be_recorded_is_not_answered(recorder: Recorder) -> None:
    """A log that refuses ends the requests with its own error, and nothing counts as served."""
    recorder.record_error = PredictionLogFullError("full")
    job = make_job()
    assert run_micro_batch(whole(job), recorder.announcer, recorder.record) == [job]
    assert job.error is recorder.record_error
    assert not recorder.of(PredictionsServed)


def test_log_that_raises_anything_else_ends_no_thread(
    recorder: Recorder, caplog: pytest.LogCaptureFixture
) -> None:
    """A mistake in the log fails the requests at hand and is logged."""
    recorder.record_error = ZeroDivisionError("a mistake")
    job = make_job()
    assert run_micro_batch(whole(job), recorder.announcer, recorder.record) == [job]
    assert isinstance(job.error, PredictionError)
    assert "ZeroDivisionError" in caplog.text


def test_ids_follow_their_rows_past_a_request_that_fails(recorder: Recorder) -> None:
    """What is recorded is what is answered, row by row, also where one in the middle drops out."""

    class NanEstimator(FakeEstimator):
        def predict_proba(self, inputs: Any) -> Any:
            result = super().predict_proba(inputs)
            result[np.asarray(inputs)[:, 0] == 9] = math.nan
            return result

    model = make_served_model(NanEstimator())
    first = make_job(model=model, values=[(0.5625, 1), (0.0625, 1)], kind="batch")
    bad = make_job(model=model, values=[(9, 1)])
    longer = make_job(model=model, values=[(0.625, 1), (11, 1), (0.125, 1)], kind="batch")
    last = make_job(model=model, values=[(0.875, 1)])
    slices = [*whole(first, bad), Slice(longer, 0, 2)]
    assert run_micro_batch(slices, recorder.announcer, recorder.record) == [first, bad]
    slices = [Slice(longer, 2, 3), *whole(last)]
    assert run_micro_batch(slices, recorder.announcer, recorder.record) == [longer, last]
    assert [list(job.prediction_ids) for job in (first, bad, longer, last)] == [
        ["id-0", "id-1"],
        [],
        ["id-2", "id-3", "id-4"],
        ["id-5"],
    ]
    one, two = recorder.recorded
    assert one.class_indices is not None
    assert two.class_indices is not None
    assert (one.class_indices.tolist(), two.class_indices.tolist()) == ([1, 0], [1, 1, 0, 1])
    assert two.confidences is not None
    assert two.confidences.tolist() == [0.625, 1.0, 0.875, 0.875]
    assert two.distribution.tolist() == [IN_DISTRIBUTION, OUT_BY_RANGE, IN_DISTRIBUTION, IN_DISTRIBUTION]
    assert two.rows == [*longer.rows, *last.rows]
    assert list(two.requests) == [longer.request, last.request]
    assert {len(served.distribution.tobytes()) for served in (one, two)} == {2, 4}


def test_batch_as_long_as_another_micro_batch_keeps_its_own_scores(recorder: Recorder) -> None:
    """Two rows from two calls of the model are not the two rows of the first call."""
    model = make_served_model()
    single = make_job(model=model, values=[(0.625, 1)])
    batch = make_job(model=model, values=[(0.125, 1), (0.875, 1)], kind="batch")
    run_micro_batch([*whole(single), Slice(batch, 0, 1)], recorder.announcer, recorder.record)
    run_micro_batch([Slice(batch, 1, 2)], recorder.announcer, recorder.record)
    served = recorder.recorded[1]
    assert served.class_indices is not None
    assert served.class_indices.tolist() == [0, 1]
    assert served.confidences is not None
    assert served.confidences.tolist() == [0.875, 0.875]
    assert recorder.recorded[0].class_indices.tolist() == [1]  # type: ignore[union-attr]  # a classifier
