"""What a run sends, decided once before its first request."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Protocol

from loadtest.answers import PredictionChecks
from loadtest.malformed import BadRequest, bad_requests
from loadtest.payloads import SLANG_MODEL, Row, Scalar, load_slang, load_table
from loadtest.pending_truths import PendingTruths
from loadtest.served_models import (
    ServedModel,
    describe_model,
    request_prediction_id,
    truths_in_signature_spelling,
)

# Which row is sent is no secret: no need for a generator that cannot be foreseen.
_CHOICE = random.Random()  # noqa: S311 - see the line above


class Options(Protocol):
    """The command line, as far as traffic depends on it."""

    models: str
    rate: float
    batch_rows: int
    slang_share: float
    malformed_share: float
    label_share: float
    label_delay: float
    user_classes: Sequence[str]
    token_file: str | None
    wait_ready: float
    shed_is_failure: bool


class OptionError(Exception):
    """An option cannot be used; the text is one line for the person who starts the test."""


@dataclass(frozen=True)
class Traffic:
    """Models with their rows and weights, bad requests, truths that wait, and how fast a user sends."""

    models: tuple[ServedModel, ...]
    weights: tuple[float, ...]
    slang: ServedModel | None
    malformed: tuple[BadRequest, ...]
    headers: dict[str, str]
    checks: PredictionChecks
    pending: PendingTruths
    batch_rows: int
    rate: float
    shed_is_failure: bool

    def choose_model(self) -> ServedModel:
        """Choose a model by the weights."""
        return _CHOICE.choices(self.models, self.weights)[0]


def choose_row(model: ServedModel) -> Row:
    """Choose a row of the model."""
    return _CHOICE.choice(model.rows)


def choose_rows(model: ServedModel, count: int) -> tuple[Row, ...]:
    """Choose rows of the model for a batch."""
    return tuple(_CHOICE.choices(model.rows, k=count))


def choose_labeled_rows(model: ServedModel, count: int) -> tuple[tuple[Row, ...], tuple[Scalar, ...]]:
    """Choose rows of the model; give them and what is true of each."""
    chosen = _CHOICE.choices(range(len(model.rows)), k=count)
    return tuple(model.rows[index] for index in chosen), tuple(model.truths[index] for index in chosen)


def choose_fraction() -> float:
    """Choose a number from 0 up to 1."""
    return _CHOICE.random()


def prepare_traffic(host: str | None, options: Options) -> Traffic:
    """Read the options, ask the predictor for its signatures and load the rows.

    Raises:
        OptionError: an option cannot be used.
        PayloadError: there are no rows for a model.
        TargetError: the predictor does not answer or does not serve a model.
    """
    if not host:
        raise OptionError("say what to load with --host, such as --host http://127.0.0.1:8000")
    if options.rate < 0 or options.batch_rows < 1:
        raise OptionError("--rate must not be negative and --batch-rows must be at least 1")
    if not 0 <= options.label_delay < float("inf"):
        raise OptionError("--label-delay must be a number of seconds from 0")
    weights = parse_models(options.models)
    token = read_token(options.token_file)
    headers = {"Authorization": f"Bearer {token}"} if token else {}

    def is_wanted(share: float, user_class: str) -> bool:
        return share > 0 or user_class in (options.user_classes or ())

    def describe(name: str) -> ServedModel:
        table = load_table(name)
        model = describe_model(host, name, headers, table, options.wait_ready)
        if not is_wanted(options.label_share, "GroundTruthUser"):
            return model
        return replace(model, truths=truths_in_signature_spelling(name, table, model.classes))

    models = tuple(map(describe, weights))
    slang = None
    if is_wanted(options.slang_share, "SlangUser"):
        slang = describe_model(host, SLANG_MODEL, headers, load_slang(), options.wait_ready)
    malformed: tuple[BadRequest, ...] = ()
    if is_wanted(options.malformed_share, "MalformedInputUser"):
        ids = {
            model.name: request_prediction_id(host, model, headers, options.wait_ready) for model in models
        }
        malformed = bad_requests(models, ids, has_token=token is not None)
    return Traffic(
        models=models,
        weights=tuple(weights.values()),
        slang=slang,
        malformed=malformed,
        headers=headers,
        checks=PredictionChecks(),
        pending=PendingTruths(options.label_delay),
        batch_rows=options.batch_rows,
        rate=options.rate,
        shed_is_failure=options.shed_is_failure,
    )


def parse_models(text: str) -> dict[str, float]:
    """Read `iris=3,tickets` as weights by model; a model without a weight has 1.

    Raises:
        OptionError: the text cannot be read so.
    """
    weights: dict[str, float] = {}
    for part in filter(None, (part.strip() for part in text.split(","))):
        name, _, weight = part.partition("=")
        try:
            weights[name.strip()] = float(weight or 1)
        except ValueError:
            raise OptionError(f"--models: {part} is not name or name=weight") from None
    if not weights or min(weights.values()) <= 0:
        raise OptionError("--models needs at least one model, and weights above 0")
    return weights


def parse_shares(*, batch: float, label: float, slang: float, malformed: float) -> dict[str, float]:
    """Return the share of users of each class; what is left makes single predictions.

    Raises:
        OptionError: a share is negative, or all are more than 1.
    """
    single = 1 - batch - label - slang - malformed
    if min(batch, label, slang, malformed) < 0 or single < -1e-9:
        raise OptionError("the shares must lie between 0 and 1, and so must their sum")
    return {
        "SinglePredictionUser": round(max(single, 0), 9),
        "BatchPredictionUser": batch,
        "GroundTruthUser": label,
        "SlangUser": slang,
        "MalformedInputUser": malformed,
    }


def read_token(path: str | None) -> str | None:
    """Read the bearer token: the last word of the file's first line, so the predictor's own file serves.

    Raises:
        OptionError: the file cannot be read or is empty.
    """
    if not path:
        return None
    try:
        words = Path(path).read_text(encoding="utf-8").split("\n", 1)[0].split()
    except OSError as error:
        raise OptionError(f"--token-file {path}: {error.strerror}") from error
    if not words:
        raise OptionError(f"--token-file {path} has no token in its first line")
    return words[-1]
