"""One call of a model for the rows of many requests, and what becomes of each request."""

from __future__ import annotations

import logging
import time
import traceback
from collections.abc import Callable, Sequence
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from service.bundle.scoring import OUTPUT_NOT_FINITE, OUTPUT_OK, Scores
from service.errors import InvalidInputError, PredictionError, RequestError, Violation
from service.events import Announcer, InvalidOutputSeen, MicroBatchRun, PredictionsServed
from service.inference.jobs import Job, MicroBatchResult, Segment
from service.inference.models import ServedModel
from service.inference.waiting_rows import Slice

RecordPredictions = Callable[[PredictionsServed], Sequence[str]]
"""Keeps predictions before they are answered and gives each row its id.

Raises RequestError if they must not leave.
"""
NumberT = TypeVar("NumberT", bound=np.generic)
_log = logging.getLogger("service.inference")


def run_micro_batch(slices: Sequence[Slice], announcer: Announcer, record: RecordPredictions) -> list[Job]:
    """Score the slices in one call, record and announce what is served, and return the jobs that have ended.

    If the model raises, each slice is tried alone, so that a bad row fails its own request only. With a slow
    model that takes long: requests whose deadline passes meanwhile are left out.
    """
    model = slices[0].job.model
    try:
        result = _score(model, slices, announcer)
    except BaseException as error:  # a SystemExit of the model's code must not end the inference thread
        if len(slices) > 1:
            alone = (run_micro_batch([one], announcer, record) for one in slices if not one.job.is_claimed)
            return [job for ended in alone for job in ended]
        _log_failure(model, error)
        return _failed(slices[0].job, slices)
    ended = []
    start = 0
    for one in slices:
        stop = start + one.stop - one.start
        if (result.scores.invalid[start:stop] != OUTPUT_OK).any():
            _announce_invalid(model, result.scores.invalid[start:stop], announcer)
            ended += _failed(one.job, [one])
        else:
            one.job.segments.append(Segment(result, start, stop))
            if one.stop == len(one.job.rows) and one.job.claim():
                ended.append(one.job)
        start = stop
    _serve(model, [job for job in ended if job.error is None], announcer, record)
    return ended


def _score(model: ServedModel, slices: Sequence[Slice], announcer: Announcer) -> MicroBatchResult:
    scorer = model.bundle.scorer
    rows = [row for one in slices for row in one.job.rows[one.start : one.stop]]
    began = time.monotonic()
    inputs = scorer.prepare(rows)
    prepared = time.monotonic()
    raw = scorer.run(inputs)
    predicted = time.monotonic()
    scores = scorer.finish(rows, inputs, raw)
    result = _as_values(model, scores)
    finished = time.monotonic()
    announcer.announce(
        MicroBatchRun(
            model.key,
            len(rows),
            [began - one.job.enqueued for one in slices if one.start == 0],
            prepared - began,
            predicted - prepared,
            finished - predicted,
        )
    )
    return result


def _as_values(model: ServedModel, scores: Scores) -> MicroBatchResult:
    classes = model.bundle.signature.classes
    if classes is None or scores.class_indices is None:
        assert scores.values is not None
        predictions = scores.values.tolist()
    else:
        predictions = [classes[index] for index in scores.class_indices.tolist()]
    confidences = None if scores.confidences is None else scores.confidences.tolist()
    return MicroBatchResult(
        predictions, confidences, scores.distribution.tolist(), scores.probabilities, scores
    )


def _failed(job: Job, slices: Sequence[Slice]) -> list[Job]:
    """End a job whose rows the model could not score; say whether the rows or the model are at fault."""
    error: RequestError = PredictionError("prediction failed")
    for one in slices:
        for index in range(one.start, one.stop):
            prefix = "features" if job.kind == "single" else f"batch[{index}]"
            unusual = job.model.bundle.scorer.explain(job.rows[index])
            if unusual:
                error = InvalidInputError(
                    [
                        Violation(
                            f"{prefix}.{name}", "is too far from what the model was trained on", reason, name
                        )
                        for name, reason in unusual[:5]
                    ]
                )
                break
    if not job.claim():
        return []
    job.error = error
    return [job]


def _log_failure(model: ServedModel, error: BaseException) -> None:
    # Not the error's text: estimators quote their input in it, and what clients send is never logged.
    where = traceback.format_tb(error.__traceback__)
    _log.error("model %s %s raised %s", *model.key, type(error).__name__, extra={"where": where})


def _announce_invalid(model: ServedModel, invalid: NDArray[np.int8], announcer: Announcer) -> None:
    for code in invalid[invalid != OUTPUT_OK].tolist():
        announcer.announce(InvalidOutputSeen(model.key, "nan" if code == OUTPUT_NOT_FINITE else "bounds"))


def _serve(model: ServedModel, jobs: Sequence[Job], announcer: Announcer, record: RecordPredictions) -> None:
    """Record the rows of jobs that are complete, give them their ids, and announce them."""
    if not jobs:
        return
    served = _served(model, jobs)
    try:
        ids = record(served)
    except RequestError as error:
        for job in jobs:
            job.error = error
        return
    except Exception as error:
        _log.error("the prediction log raised %s", type(error).__name__, exc_info=error)
        for job in jobs:
            job.error = PredictionError("prediction not recorded")
        return
    start = 0
    for job in jobs:
        stop = start + len(job.rows)
        job.prediction_ids = ids[start:stop]
        start = stop
    announcer.announce(served)


def _served(model: ServedModel, jobs: Sequence[Job]) -> PredictionsServed:
    segments = [segment for job in jobs for segment in job.segments]
    rows = [row for job in jobs for row in job.rows]
    first = segments[0].result.scores
    if len(rows) == len(first.distribution) and all(one.result.scores is first for one in segments):
        parts = [first]  # the usual case: exactly one micro-batch, in order
    else:
        parts = [one.result.scores.part(one.start, one.stop) for one in segments]
    return PredictionsServed(
        model.key,
        rows,
        _joined([part.class_indices for part in parts]),
        _joined([part.values for part in parts]),
        _joined([part.confidences for part in parts]),
        np.concatenate([part.distribution for part in parts]) if len(parts) > 1 else parts[0].distribution,
        [job.request for job in jobs],
    )


def _joined(arrays: list[NDArray[NumberT] | None]) -> NDArray[NumberT] | None:
    present = [array for array in arrays if array is not None]
    if len(present) == 1:
        return present[0]
    return np.concatenate(present) if present else None
