"""Truths as they arrive, and the counters that two replicas export of them, in promtool's notation."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from service.observability.metric_names import METRICS

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]

SCORE_BOUNDS = METRICS["ml_score"].bounds
DELAY_BOUNDS = METRICS["ml_ground_truth_delay_seconds"].bounds
CALIBRATION_BOUNDS = tuple(step / 20 for step in range(1, 21))
# Just under 15s: no sample lies on the edge of a window, where Prometheus 2 and 3 differ.
SCRAPE_SECONDS = 14.999
SCRAPE_INTERVAL = "14999ms"
REPLICAS = ("a:9101", "b:9101")
POSITIVE = 1
"""Index of the class whose log-odds a binary model scores."""


@dataclass(frozen=True)
class Truths:
    """Truths that arrive for one version; arrays of shape (n,), in order of arrival.

    Args:
        model_name: the version is always 1.
        seconds: when each arrives.
        replica: index of the replica that counts it.
        delay: seconds since its prediction.
    """

    model_name: str
    seconds: Floats
    replica: Integers
    delay: Floats

    @property
    def pair(self) -> str:
        """The labels of the version."""
        return f'model_name="{self.model_name}",model_version="1"'


@dataclass(frozen=True)
class ClassTruths(Truths):
    """Truths of a classifier.

    Args:
        classes: names of the classes; actual and predicted are indices of them.
        confidence: probability of the predicted class.
        score: log-odds of the second class; binary models only.
    """

    classes: tuple[str, ...]
    actual: Integers
    predicted: Integers
    confidence: Floats
    score: Floats | None = None

    def between(self, first: float, last: float) -> ClassTruths:
        """Take those that arrive within a window."""
        chosen = (self.seconds > first) & (self.seconds <= last)
        return self.take(np.flatnonzero(chosen))

    def take(self, rows: Integers) -> ClassTruths:
        """Take some rows, a row twice if it stands there twice."""
        return replace(
            self,
            seconds=self.seconds[rows],
            replica=self.replica[rows],
            delay=self.delay[rows],
            actual=self.actual[rows],
            predicted=self.predicted[rows],
            confidence=self.confidence[rows],
            score=None if self.score is None else self.score[rows],
        )


@dataclass(frozen=True)
class NumberTruths(Truths):
    """Truths of a regression model.

    Args:
        error: prediction less truth, in units of the target.
        stddev: standard deviation of the target in training data.
    """

    error: Floats
    stddev: float

    def between(self, first: float, last: float) -> NumberTruths:
        """Take those that arrive within a window."""
        chosen = (self.seconds > first) & (self.seconds <= last)
        return self.take(np.flatnonzero(chosen))

    def take(self, rows: Integers) -> NumberTruths:
        """Take some rows, a row twice if it stands there twice."""
        return replace(
            self,
            seconds=self.seconds[rows],
            replica=self.replica[rows],
            delay=self.delay[rows],
            error=self.error[rows],
        )


def calibration_bin(confidence: Floats) -> Integers:
    """Return the index of the bin of each confidence, by its upper bound."""
    return np.searchsorted(CALIBRATION_BOUNDS, confidence, side="left").astype(np.int64)


@dataclass(frozen=True)
class Scrapes:
    """When the replicas are scraped, and where the second one begins at 0 again.

    Args:
        until: seconds of the last scrape, at most.
        restart: number of the scrape after which the second replica restarts.
    """

    until: float
    restart: int

    @property
    def seconds(self) -> Floats:
        """Times of the scrapes."""
        return np.arange(0.0, self.until, SCRAPE_SECONDS)

    def counted(self, truths: Truths, weight: Floats) -> Iterator[tuple[str, str]]:
        """Yield, by replica, what a counter of that much for each truth shows at each scrape."""
        for index, replica in enumerate(REPLICAS):
            own = truths.replica == index
            sums = np.concatenate([[0.0], np.cumsum(weight[own])])
            values = sums[np.searchsorted(truths.seconds[own], self.seconds, side="right")]
            if index == 1:
                values[self.restart + 1 :] -= values[self.restart]
            yield replica, " ".join(f"{value:.10g}" for value in values)

    def constant(self, value: float) -> str:
        """Return a gauge that does not move."""
        return f"{value!r}x{len(self.seconds)}"


def exported(truths: ClassTruths | NumberTruths, scrapes: Scrapes) -> dict[str, str]:
    """Return every counter that both replicas export of these truths."""
    series: dict[str, str] = {}

    def count(name: str, labels: str, weight: Floats) -> None:
        for replica, values in scrapes.counted(truths, weight):
            series[f'{name}{{instance="{replica}",{truths.pair}{labels}}}'] = values

    count("ml_ground_truth_total", ',result="counted"', np.ones_like(truths.seconds))
    for bound in (*DELAY_BOUNDS, float("inf")):
        le = "+Inf" if bound == float("inf") else repr(bound)
        count(
            "ml_ground_truth_delay_seconds_bucket", f',le="{le}"', (truths.delay <= bound).astype(np.float64)
        )
    if isinstance(truths, NumberTruths):
        _count_errors(truths, count)
    else:
        _count_classes(truths, count)
        if truths.score is not None:
            _count_scores(truths, truths.score, count)
    return series


Count = Callable[[str, str, Floats], None]


def _count_errors(truths: NumberTruths, count: Count) -> None:
    error = truths.error / truths.stddev
    count("ml_overestimate_total", "", np.clip(error, 0, None))
    count("ml_underestimate_total", "", np.clip(-error, 0, None))
    count("ml_squared_error_total", "", error * error)


def _count_classes(truths: ClassTruths, count: Count) -> None:
    is_correct = truths.actual == truths.predicted
    for index, name in enumerate(truths.classes):
        aspects = {
            "actual": truths.actual == index,
            "predicted": truths.predicted == index,
            "correct": is_correct & (truths.actual == index),
        }
        for aspect, chosen in aspects.items():
            count("ml_class_outcomes_total", f',class="{name}",aspect="{aspect}"', 1.0 * chosen)
    bins = calibration_bin(truths.confidence)
    for index, bound in enumerate(CALIBRATION_BOUNDS):
        label = f',bin="{bound!r}"'
        count("ml_calibration_predictions_total", label, 1.0 * (bins == index))
        count("ml_calibration_correct_total", label, 1.0 * (is_correct & (bins == index)))
        count("ml_calibration_confidence_total", label, truths.confidence * (bins == index))
    gap = truths.confidence - is_correct
    count("ml_squared_probability_error_total", "", gap * gap)


def _count_scores(truths: ClassTruths, score: Floats, count: Count) -> None:
    for bound in (*SCORE_BOUNDS, float("inf")):
        le = "+Inf" if bound == float("inf") else repr(bound)
        for actual, is_positive in (("positive", True), ("negative", False)):
            chosen = (score <= bound) & ((truths.actual == POSITIVE) == is_positive)
            count("ml_score_bucket", f',actual="{actual}",le="{le}"', 1.0 * chosen)


def score_bins(scrapes: Scrapes) -> dict[str, str]:
    """Return the gauge that names both bounds of each bucket of the score."""
    bounds = ["-Inf", *map(repr, SCORE_BOUNDS), "+Inf"]
    return {
        f'ml_score_bin{{instance="{replica}",lower="{lower}",upper="{upper}"}}': scrapes.constant(1)
        for replica in REPLICAS
        for lower, upper in pairwise(bounds)
    }
