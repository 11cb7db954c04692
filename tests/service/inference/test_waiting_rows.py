"""Micro-batches are cut fairly from what waits."""

from __future__ import annotations

from service.inference.jobs import Job
from service.inference.waiting_rows import WaitingRows
from tests.fakes import make_job


def taken(waiting: WaitingRows, rows_max: int) -> list[tuple[Job, int, int]]:
    """Take a micro-batch and show it as tuples."""
    return [(one.job, one.start, one.stop) for one in waiting.take(rows_max)[0]]


def test_takes_what_waits_up_to_the_limit() -> None:
    """Jobs are taken in order of arrival until the micro-batch is full."""
    waiting = WaitingRows()
    first, second, third = make_job(rows=2), make_job(rows=1), make_job(rows=1)
    for job in (first, second, third):
        waiting.add(job)
    assert taken(waiting, 3) == [(first, 0, 2), (second, 0, 1)]
    assert taken(waiting, 3) == [(third, 0, 1)]
    assert not waiting


def test_single_rows_pass_between_the_slices_of_a_batch() -> None:
    """A batch larger than a micro-batch lets later requests through before it goes on."""
    waiting = WaitingRows()
    batch, single = make_job(rows=7), make_job(rows=1)
    waiting.add(batch)
    waiting.add(single)
    assert taken(waiting, 3) == [(batch, 0, 3)]
    assert taken(waiting, 3) == [(single, 0, 1), (batch, 3, 5)]
    assert taken(waiting, 3) == [(batch, 5, 7)]
    assert not waiting


def test_versions_never_mix_and_take_turns() -> None:
    """A micro-batch holds rows of one version; a busy version does not starve another."""
    waiting = WaitingRows()
    jobs = [make_job(rows=2, version=version) for version in ("1", "1", "2", "1")]
    for job in jobs:
        waiting.add(job)
    assert taken(waiting, 2) == [(jobs[0], 0, 2)]
    assert taken(waiting, 2) == [(jobs[2], 0, 2)]
    assert taken(waiting, 5) == [(jobs[1], 0, 2), (jobs[3], 0, 2)]


def test_ended_jobs_are_left_out_and_no_longer_wait() -> None:
    """A job whose client has gone costs the model nothing, and its rows make room."""
    waiting = WaitingRows()
    gone, alive = make_job(rows=4), make_job(rows=2)
    waiting.add(gone)
    waiting.add(alive)
    assert gone.claim()
    slices, rows_out = waiting.take(10)
    assert [(one.job, one.stop) for one in slices] == [(alive, 2)]
    assert rows_out == 6
    assert waiting.rows_of(alive.model.key) == 0


def test_half_taken_job_that_ended_gives_back_the_rest() -> None:
    """The rows of a batch that were not taken yet stop waiting when the batch has failed."""
    waiting = WaitingRows()
    batch = make_job(rows=7)
    waiting.add(batch)
    assert waiting.take(3)[1] == 3
    assert waiting.rows_of(batch.model.key) == 4
    batch.claim()
    assert waiting.take(3) == ([], 4)
