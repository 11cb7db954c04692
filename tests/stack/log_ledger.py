"""What clients of the prediction log were told: the side that the database is compared with."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple


class Acknowledged(NamedTuple):
    """A prediction that a client has: its model, its value, and the round in which it was answered."""

    model_name: str
    prediction: Any
    round: int


class Posted(NamedTuple):
    """A truth that a client sent, and the round in which it did."""

    value: Any
    round: int


@dataclass
class Ledger:
    """What was acknowledged (200), and what may or may not have happened (no answer, or an error).

    Args:
        predictions: acknowledged, by id.
        truths: acknowledged, by id; several if it was sent again.
        doubtful_truths: sent, by id, but not acknowledged.
        doubtful_rows: predictions that were asked for and not acknowledged; their ids are not known.
        errors: answers other than 200, by route and status.
        cuts: requests without an answer, by route.
        round: of what happens now.
    """

    predictions: dict[str, Acknowledged] = field(default_factory=dict)
    truths: dict[str, list[Posted]] = field(default_factory=dict)
    doubtful_truths: dict[str, list[Posted]] = field(default_factory=dict)
    doubtful_rows: int = 0
    errors: Counter[tuple[str, int]] = field(default_factory=Counter)
    cuts: Counter[str] = field(default_factory=Counter)
    round: int = 0

    def __post_init__(self) -> None:
        self._lock = threading.Lock()
        self._ids: list[str] = []

    def id_at(self, place: float) -> str | None:
        """Give an acknowledged id: 0 the first one, just below 1 the last."""
        with self._lock:
            return self._ids[int(place * len(self._ids))] if self._ids else None

    def add_predictions(self, model_name: str, predictions: dict[str, Any]) -> None:
        """Note predictions that were answered, by id."""
        with self._lock:
            for key, value in predictions.items():
                assert key not in self.predictions, f"{key} was given out twice"
                self.predictions[key] = Acknowledged(model_name, value, self.round)
            self._ids += predictions

    def add_truths(self, items: Sequence[tuple[str, Any]]) -> None:
        """Note truths that were acknowledged."""
        self._add(self.truths, items)

    def doubt(self, rows: int, truths: Sequence[tuple[str, Any]]) -> None:
        """Note predictions that were asked for, or truths that were sent, and not acknowledged."""
        self._add(self.doubtful_truths, truths)
        with self._lock:
            self.doubtful_rows += rows

    def add_failure(self, route: str, status: int | None) -> None:
        """Note an answer other than 200; None: there was none."""
        with self._lock:
            if status is None:
                self.cuts[route] += 1
            else:
                self.errors[route, status] += 1

    @property
    def acknowledged_items(self) -> int:
        """Truths acknowledged, those sent again included."""
        return sum(map(len, self.truths.values()))

    @property
    def doubtful_items(self) -> int:
        """Truths not acknowledged."""
        return sum(map(len, self.doubtful_truths.values()))

    def _add(self, to: dict[str, list[Posted]], items: Sequence[tuple[str, Any]]) -> None:
        with self._lock:
            for key, value in items:
                to.setdefault(key, []).append(Posted(value, self.round))
