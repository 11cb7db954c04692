"""Watches a prediction log all the time: no counter of truths may fall, no total differ from the rows."""

from __future__ import annotations

import re
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from service.errors import StoreError
from service.prediction_log.consistency import find_differences
from service.prediction_log.database import Database
from tests.stack.predictor_process import RunningPredictor

_SCRAPE_SECONDS = 0.03
_COMPARE_SECONDS = 0.25
_SHOWN = 5
# What comes from the drainer's totals. Workers count a part of `invalid`, and start at 0 with their arbiter;
# a sum of log-odds may fall and is never used.
_FROM_TOTALS = re.compile(
    r"ml_ground_truth_total\{(?!.*invalid)"
    r"|ml_(class_)?outcomes_total|ml_(over|under)estimate_total|ml_squared_(probability_)?error_total"
    r"|ml_score_(bucket|count)|ml_calibration_\w+_total|ml_ground_truth_delay_seconds_"
    r"|ml_prediction_log_records_total\{result=\"(stored|rejected|corrupt)\""
)


class Watch:
    """What was seen.

    Args:
        replicas: whose exporters are scraped.
        target: the database that is read.
    """

    def __init__(self, replicas: Sequence[RunningPredictor], target: Path | str) -> None:
        self._replicas = replicas
        self._target = target
        self._stopping = threading.Event()
        self.falls: list[str] = []
        """Series that were lower than before, or gone."""
        self.differences: list[str] = []
        """Totals that were not the rows, after some commit."""
        self.scrapes = 0
        self.comparisons = 0

    @property
    def problems(self) -> list[str]:
        """The first of what was seen, a line each."""
        return [
            *[f"a counter fell: {one}" for one in self.falls[:_SHOWN]],
            *[f"while it ran: {one}" for one in self.differences[:_SHOWN]],
        ]

    def scrape(self) -> None:
        """Scrape again and again."""
        seen: dict[int, dict[str, float]] = {replica.port: {} for replica in self._replicas}
        while not self._stopping.wait(_SCRAPE_SECONDS):
            for replica in self._replicas:
                before, samples = seen[replica.port], replica.samples()
                now = {series: value for series, value in samples.items() if _FROM_TOTALS.match(series)}
                for series, value in before.items():
                    if now.get(series, -1.0) < value:
                        self.falls.append(f"{series}: {value} -> {now.get(series)}")
                before.update(now)
                self.scrapes += 1

    def compare(self) -> None:
        """Compare totals and rows again and again, whenever the database answers."""
        while not self._stopping.wait(_COMPARE_SECONDS):
            try:
                database = Database(self._target, read_only=True)
                try:
                    self.differences += find_differences(database)
                    self.comparisons += 1
                finally:
                    database.close()
            except StoreError:
                continue

    def stop(self) -> None:
        """End both."""
        self._stopping.set()


@contextmanager
def watched(replicas: Sequence[RunningPredictor], target: Path | str) -> Iterator[Watch]:
    """Watch while the block runs."""
    watch = Watch(replicas, target)
    threads = [threading.Thread(target=work, daemon=True) for work in (watch.scrape, watch.compare)]
    for thread in threads:
        thread.start()
    try:
        yield watch
    finally:
        watch.stop()
        for thread in threads:
            thread.join()
