"""What waits for the model: jobs by model version, taken in slices that make up micro-batches.

Used by the inference thread alone; jobs reach that thread through a queue of the standard library.
"""

from __future__ import annotations

from collections import OrderedDict, deque
from dataclasses import dataclass

from service.events import ModelKey
from service.inference.jobs import Job


@dataclass(frozen=True, slots=True)
class Slice:
    """Rows [start, stop) of a job."""

    job: Job
    start: int
    stop: int


class WaitingRows:
    """Jobs that wait, one line for each model version; versions take turns.

    A micro-batch never mixes versions. A job that is larger than a micro-batch goes to the end of its line
    with what is left, so that single predictions pass between the slices of a batch.
    """

    def __init__(self) -> None:
        self._lines: OrderedDict[ModelKey, deque[Job]] = OrderedDict()

    def add(self, job: Job) -> None:
        """Put a job at the end of its model's line."""
        key = job.model.key
        line = self._lines.get(key)
        if line is None:
            line = self._lines[key] = deque()
        line.append(job)

    def __bool__(self) -> bool:
        return bool(self._lines)

    @property
    def turn(self) -> ModelKey:
        """The version whose turn it is; something must wait."""
        return next(iter(self._lines))

    def rows_of(self, key: ModelKey) -> int:
        """Count the rows of one version that wait."""
        return sum(len(job.rows) - job.taken for job in self._lines.get(key, ()))

    def take(self, rows_max: int) -> tuple[list[Slice], int]:
        """Take at most `rows_max` rows of the version whose turn it is; jobs that have ended are left out.

        Returns:
            The slices (none if all of that version's jobs had ended) and the rows that no longer wait.
        """
        key, line = self._lines.popitem(last=False)
        slices: list[Slice] = []
        room, rows_out = rows_max, 0
        unfinished: list[Job] = []
        while line and room:
            job = line.popleft()
            if job.is_claimed:
                rows_out += len(job.rows) - job.taken
                continue
            start, stop = job.taken, min(len(job.rows), job.taken + room)
            job.taken = stop
            rows_out += stop - start
            slices.append(Slice(job, start, stop))
            room -= stop - start
            if stop < len(job.rows):
                unfinished.append(job)
        line.extend(unfinished)
        if line:
            self._lines[key] = line
        return slices, rows_out
