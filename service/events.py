"""The facts that the predictor announces, and the announcer that survives a failing listener.

The inference and HTTP layers and the prediction log announce; observability listens.
Facts about predictions come once per micro-batch, with arrays rather than per row.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, NamedTuple, TypeVar

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from service.errors import BundleFailure, Violation

Outcome = Literal["ok", "rejected", "failed", "shed", "expired", "draining", "disconnected"]
Kind = Literal["single", "batch"]
SpoolResult = Literal["spooled", "dropped", "refused"]


class ModelKey(NamedTuple):
    """Names one version of one model: the label pair of every `ml_` metric."""

    model_name: str
    model_version: str


OTHER_MODEL = ModelKey("other", "other")
"""Stands for any name or version that is not loaded, so that clients cannot make series."""

# Codes of `PredictionsServed.distribution`: the first reason that applies to a row. A prediction that was
# made elsewhere and came without its features is not judged.
NOT_JUDGED = -1
IN_DISTRIBUTION, OUT_BY_RANGE, OUT_BY_CATEGORY, OUT_BY_NOVELTY = 0, 1, 2, 3


@dataclass(frozen=True, slots=True)
class HttpRequestStarted:
    """A request entered the application."""


@dataclass(frozen=True, slots=True)
class HttpRequestFinished:
    """An answer is about to leave; counted, and written as the one log line of its request.

    Args:
        method: HTTP method, as the client wrote it.
        handler: route template, or `other`.
        status: HTTP status.
        seconds: since the request entered.
        request_id: the client's or ours.
        traceparent: W3C trace context, if the client sent one.
        key: the model version asked; None off the prediction routes.
        outcome: how a prediction request ended; None off the prediction routes.
        rows: rows answered.
    """

    method: str
    handler: str
    status: int
    seconds: float
    request_id: str = ""
    traceparent: str | None = None
    key: ModelKey | None = None
    outcome: Outcome | None = None
    rows: int = 0


@dataclass(frozen=True, slots=True)
class ModelRequestFinished:
    """A prediction request was decided; announced before the first byte of its answer."""

    key: ModelKey
    outcome: Outcome
    kind: Kind
    seconds: float


@dataclass(frozen=True, slots=True)
class InputRejected:
    """A request was refused because its rows break the signature."""

    key: ModelKey
    violations: Sequence[Violation]


@dataclass(frozen=True, slots=True)
class MicroBatchRun:
    """One call of the model: rows and seconds by stage (`queue_seconds`: wait of each request in it)."""

    key: ModelKey
    rows: int
    queue_seconds: Sequence[float]
    preprocess_seconds: float
    predict_seconds: float
    postprocess_seconds: float


class ServedRequest(NamedTuple):
    """One of the requests behind served rows.

    Args:
        request_id: the client's or ours.
        caller: name of the token's holder; empty without tokens.
        rows: how many of the rows are its.
        body: its JSON, as it came.
    """

    request_id: str
    caller: str
    rows: int
    body: bytes


@dataclass(frozen=True, slots=True)
class PredictionsServed:
    """Rows whose answers are about to leave, for one model version.

    Args:
        key: the version that answered.
        rows: n validated rows of values in signature order (None = missing; text: one string); none at all
            for predictions that were made elsewhere and came without features.
        class_indices: shape (n,), positions in the signature's classes; None for regression.
        values: shape (n,), predicted numbers; None for classification.
        confidences: shape (n,), probability of the predicted class, 0..1; None if the model has none.
        distribution: shape (n,), codes NOT_JUDGED, IN_DISTRIBUTION, OUT_BY_RANGE, OUT_BY_CATEGORY,
            OUT_BY_NOVELTY.
        requests: whose rows these are, in order.
    """

    key: ModelKey
    rows: Sequence[Sequence[object]]
    class_indices: NDArray[np.intp] | None
    values: NDArray[np.float64] | None
    confidences: NDArray[np.float64] | None
    distribution: NDArray[np.int8]
    requests: Sequence[ServedRequest] = ()


@dataclass(frozen=True, slots=True)
class InvalidOutputSeen:
    """A model gave an output that must not leave: not finite, or outside the signature's bounds."""

    key: ModelKey
    reason: Literal["nan", "bounds"]


@dataclass(frozen=True, slots=True)
class PredictionLogWritten:
    """Predictions or truths went to the spool, or could not.

    Args:
        rows: how many.
        result: `dropped` predictions were answered and not kept; `refused` ones, and truths, were answered
            with 503.
    """

    rows: int
    result: SpoolResult


@dataclass(frozen=True, slots=True)
class GroundTruthRefused:
    """Truths that belong to no prediction of ours; `key` is OTHER_MODEL where the id does not even tell."""

    key: ModelKey
    count: int


@dataclass(frozen=True, slots=True)
class ModelBecameReady:
    """A version passed its checks in this worker; `loaded_timestamp` is Unix time of its load."""

    key: ModelKey
    loaded_timestamp: float


@dataclass(frozen=True, slots=True)
class ModelLoadFailed:
    """A version could not be loaded or failed its checks."""

    key: ModelKey
    reason: BundleFailure


@dataclass(frozen=True, slots=True)
class ReadinessChanged:
    """The worker's answer to /ready changed."""

    ready: bool


@dataclass(frozen=True, slots=True)
class QueueChanged:
    """Rows of one model that wait in this worker's queue."""

    key: ModelKey
    rows: int


EventT = TypeVar("EventT")
Listener = Callable[[EventT], None]


class Announcer:
    """Hands each fact to its listeners; one that raises never fails the request.

    Args:
        on_listener_error: called with the listener's name and the exception.
    """

    def __init__(self, on_listener_error: Callable[[str, Exception], None]) -> None:
        self._listeners: dict[type, list[tuple[str, Callable[..., None]]]] = {}
        self._on_listener_error = on_listener_error

    def subscribe(self, name: str, event_type: type[EventT], listener: Listener[EventT]) -> None:
        """Let `listener` hear each event of exactly `event_type`; `name` is for the error counter."""
        self._listeners.setdefault(event_type, []).append((name, listener))

    def announce(self, event: object) -> None:
        """Hand `event` to its listeners, in the order in which they subscribed."""
        for name, listener in self._listeners.get(type(event), ()):
            try:
                listener(event)
            except Exception as error:
                self._on_listener_error(name, error)
