"""The errors of the predictor; they carry facts and know no HTTP.

PlumblineError
├── SettingsError                 the configuration cannot be used
├── BundleError                   a bundle on disk cannot be used (reason from a closed set)
├── PackError                     a model and its data cannot become a bundle
├── StoreError                    the database of the prediction log
│   ├── StoreUnavailableError     it does not answer now; whether a commit reached it may be in doubt
│   ├── StoreRefusedError         it refuses a row that was written
│   └── StoreSchemaError          its tables are those of another version of Plumbline
└── RequestError                  a request gets no prediction
    ├── UnauthorizedError         no valid token
    ├── NotFoundError             no such route
    ├── MethodNotAllowedError     the route has no such method
    ├── BadQueryError             a query parameter that the route does not know, or a wrong value
    ├── UnknownModelError         no such model or version
    ├── MediaTypeError            the body is not JSON
    ├── BodyTooLargeError         more bytes than the cap
    ├── BodyTimeoutError          the body did not arrive in time
    ├── InvalidInputError         the body breaks the signature
    ├── QueueFullError            no room for the rows
    ├── NotReadyError             no model may serve, or the worker drains
    ├── ExternalModelError        the model is served by other software
    ├── PredictionLogFullError    the prediction log cannot take what must not be lost
    ├── DeadlineError             the answer would come too late
    ├── ClientGoneError           nobody waits for the answer
    └── PredictionError           the model raised, or its output is invalid
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, get_args

BundleFailure = Literal[
    "missing_file",
    "hash",
    "manifest",
    "format_version",
    "library_version",
    "unpickle",
    "signature",
    "reference",
    "prediction",
    "golden",
    "budget",
]
BUNDLE_FAILURES: tuple[BundleFailure, ...] = get_args(BundleFailure)

ViolationReason = Literal["missing", "extra", "type", "range", "category", "nan", "length"]
VIOLATION_REASONS: tuple[ViolationReason, ...] = get_args(ViolationReason)


class PlumblineError(Exception):
    """Root of all errors that Plumbline raises on purpose."""


class SettingsError(PlumblineError):
    """The configuration cannot be used; the text is one line for the person who starts the service."""


class BundleError(PlumblineError):
    """A bundle on disk cannot be used.

    Args:
        path: the file or folder at fault, as the user wrote it.
        reason: one of `BUNDLE_FAILURES`.
        message: one line that says what is wrong.
    """

    def __init__(self, path: object, reason: BundleFailure, message: str) -> None:
        super().__init__(f"{path}: {message}")
        self.path = path
        self.reason = reason
        self.message = message


class PackError(PlumblineError):
    """A model and its data cannot become a bundle; the text is one line for the person who packs."""


class StoreError(PlumblineError):
    """The database of the prediction log cannot do its work; the text is one line without secrets."""


class StoreUnavailableError(StoreError):
    """The database does not answer now; whether the last commit reached it may be in doubt."""


class StoreRefusedError(StoreError):
    """The database refuses what was written; the same rows will be refused again."""


class StoreSchemaError(StoreError):
    """The database has no tables of ours, or those of another version of Plumbline."""


class RequestError(PlumblineError):
    """A request that gets no prediction."""


class UnauthorizedError(RequestError):
    """The request carries no valid token."""


class NotFoundError(RequestError):
    """No route has this path."""


@dataclass(eq=False)
class MethodNotAllowedError(RequestError):
    """The route exists, the method does not."""

    allowed: str


@dataclass(eq=False)
class BadQueryError(RequestError):
    """A query parameter that the route does not know, or one with a wrong value."""

    parameter: str
    message: str


class UnknownModelError(RequestError):
    """No loaded model has this name, or no loaded version of it has this number."""


class MediaTypeError(RequestError):
    """The body is not announced as plain JSON."""


@dataclass(eq=False)
class BodyTooLargeError(RequestError):
    """The body has more bytes than the cap."""

    max_bytes: int


@dataclass(eq=False)
class BodyTimeoutError(RequestError):
    """The body did not arrive within the deadline."""

    seconds: float


@dataclass(frozen=True, slots=True)
class Violation:
    """One way in which an input breaks the signature; `field` is a path such as `batch[3].age`.

    `feature` is the feature's name if the signature has it, else None (then counted as `other`).
    """

    field: str
    message: str
    reason: ViolationReason
    feature: str | None


class InvalidInputError(RequestError):
    """The body breaks the signature; at most five violations are kept."""

    def __init__(self, violations: Sequence[Violation]) -> None:
        super().__init__("invalid input")
        self.violations = tuple(violations)


@dataclass(eq=False)
class QueueFullError(RequestError):
    """The queue has no room for the rows of this request."""

    retry_after_seconds: int = 1


@dataclass(eq=False)
class NotReadyError(RequestError):
    """No model may serve this request now, for the reason given."""

    reason: str
    retry_after_seconds: int = 5


class ExternalModelError(RequestError):
    """The model is served by other software; only its predictions and truths are taken here."""


class PredictionLogFullError(RequestError):
    """The prediction log cannot take the record; nothing of it was kept."""

    retry_after_seconds = 5


class DeadlineError(RequestError):
    """The answer would come after the deadline."""


class ClientGoneError(RequestError):
    """The client closed the connection before the answer was ready."""


class PredictionError(RequestError):
    """The model raised, or gave an output that is not finite or out of bounds."""


def one_line(error: BaseException) -> str:
    """Write any exception as one line of at most 200 characters: its type and the start of its text."""
    text = (str(error).splitlines() or [""])[0]
    return f"{type(error).__name__}: {text}"[:200]
