"""What the clients of the replay were told, and what must have been counted because of it."""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal, NamedTuple

import numpy as np

from tests.prometheus.quality_events import ClassTruths, NumberTruths
from tests.stack.replay_models import CLASSES, Stream

Kind = Literal["first", "duplicate", "conflict"]
# What a worker may answer: of what it cannot know yet it says only that it has it.
_ALLOWED: dict[Kind, frozenset[str]] = {
    "first": frozenset({"accepted"}),
    "duplicate": frozenset({"accepted", "duplicate"}),
    "conflict": frozenset({"accepted", "conflict"}),
}


class Predicted(NamedTuple):
    """An acknowledged prediction: of which row, what, how surely, and when (Unix seconds)."""

    row: int
    prediction: float
    confidence: float | None
    answered: float


class Post(NamedTuple):
    """A truth to be sent: the first of its prediction, the same again, or another value.

    Args:
        prediction_id: of its prediction.
        ground_truth: the value.
        kind: what it is.
        has_twin: whether the same is sent by another client at the same time, so that either may come first.
        later: what is sent of this prediction once this is acknowledged.
    """

    prediction_id: str
    ground_truth: float
    kind: Kind
    has_twin: bool = False
    later: Kind | None = None


@dataclass
class Ledger:
    """The ledger of one stream.

    Args:
        stream: what is replayed.
        predictions: acknowledged, by id, in the order of rows.
        cut_rows: rows asked for without an answer; predicted or not, their ids are not known.
        told: when the first truth of a prediction was acknowledged, Unix seconds, by id.
        repeats: acknowledged truths beyond the first, by kind.
        cuts: of each request with truths that was not answered, its items by kind; kept as a whole or not at
            all.
        surprises: answers that should not have come.
    """

    stream: Stream
    predictions: dict[str, Predicted] = field(default_factory=dict)
    cut_rows: int = 0
    told: dict[str, float] = field(default_factory=dict)
    repeats: Counter[Kind] = field(default_factory=Counter)
    cuts: list[Counter[Kind]] = field(default_factory=list)
    surprises: list[tuple[Post, str]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._lock = threading.Lock()
        self._again: list[Post] = []

    def cut(self, posts: Sequence[Post]) -> None:
        """Note that a request with truths got no answer."""
        with self._lock:
            self.cuts.append(Counter(post.kind for post in posts))

    def acknowledge(self, posts: Sequence[Post], results: Sequence[str], was_cut: bool) -> None:
        """Note what was answered; `was_cut` if the same request was sent before, without an answer."""
        now = time.time()
        with self._lock:
            for post, result in zip(posts, results, strict=True):
                is_known = result == "duplicate" and (was_cut or post.has_twin)
                if result not in _ALLOWED[post.kind] and not is_known:
                    self.surprises.append((post, result))
                if post.kind == "first":
                    self.told[post.prediction_id] = now
                else:
                    self.repeats[post.kind] += 1
                if post.later is not None:
                    self._again.append(self._repetition(post, post.later))

    def take_again(self) -> list[Post]:
        """Take what is to be sent of predictions whose first truth was acknowledged."""
        with self._lock:
            again, self._again = self._again, []
        return again

    def possible_repeats(self) -> set[tuple[int, int]]:
        """Give each pair (duplicates, conflicts) that agrees with all that was acknowledged.

        A request that was cut had been kept or not; if it had, sending it again made each of its truths a
        duplicate, or once more a conflict.
        """
        possible = {(self.repeats["duplicate"], self.repeats["conflict"])}
        for items in self.cuts:
            same, other = items["first"] + items["duplicate"], items["conflict"]
            possible |= {(duplicates + same, conflicts + other) for duplicates, conflicts in possible}
        return possible

    def predicted_since(self, begin: float) -> int:
        """Count the predictions that were answered since a Unix time."""
        return sum(one.answered > begin for one in self.predictions.values())

    def truths_since(self, begin: float = 0.0) -> ClassTruths | NumberTruths:
        """Give the truths that count, in the order in which they were acknowledged since a Unix time."""
        keys = sorted((key for key, told in self.told.items() if told > begin), key=self.told.__getitem__)
        predictions = [self.predictions[key] for key in keys]
        actual = np.array([self.stream.truths[one.row] for one in predictions])
        predicted = np.array([one.prediction for one in predictions])
        seconds = np.array([self.told[key] for key in keys])
        delay = seconds - np.array([one.answered for one in predictions])
        replica = np.zeros(len(keys), dtype=np.int64)
        stddev = self.stream.target_stddev
        if stddev is not None:
            error = np.asarray(predicted - actual, dtype=np.float64)
            return NumberTruths(self.stream.name, seconds, replica, delay, error, stddev)
        confidence = np.array([one.confidence for one in predictions], dtype=np.float64)
        probability = np.where(predicted == 1, confidence, 1 - confidence)
        score = np.log(probability / (1 - probability))
        return ClassTruths(
            self.stream.name, seconds, replica, delay, CLASSES, actual, predicted, confidence, score
        )

    def _repetition(self, post: Post, kind: Kind) -> Post:
        truth = post.ground_truth
        if kind == "conflict":
            truth = truth + 1 if self.stream.target_stddev is not None else 1 - truth
        return Post(post.prediction_id, truth, kind)
