"""Golden requests: recorded with their outputs when a model is packed, repeated before it may serve."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from service.bundle.manifest import GOLDEN_FILE, MODEL_FILE
from service.bundle.row_schema import RowParser
from service.bundle.scoring import OUTPUT_OK, Scores
from service.bundle.signature import ClassLabel, Signature
from service.errors import BundleError, InvalidInputError, one_line
from service.events import IN_DISTRIBUTION, OUT_BY_CATEGORY, OUT_BY_NOVELTY, OUT_BY_RANGE

if TYPE_CHECKING:
    from service.bundle.loader import ModelBundle

OutReason = Literal["range", "category", "novelty"]
_OUT_REASONS: dict[int, OutReason | None] = {
    IN_DISTRIBUTION: None,
    OUT_BY_RANGE: "range",
    OUT_BY_CATEGORY: "category",
    OUT_BY_NOVELTY: "novelty",
}


class GoldenOutput(BaseModel):
    """What the model answered when it was packed."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    prediction: ClassLabel | float
    probabilities: tuple[float, ...] | None = None
    """By class, in the signature's order; None if the estimator has none."""
    out_of_distribution: OutReason | None = None


class GoldenRequest(BaseModel):
    """One recorded request, in the form in which a client would send it."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    request: dict[str, Any]
    output: GoldenOutput


class Golden(BaseModel):
    """What `golden.json` holds."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    tolerance: float = Field(gt=0)
    """Largest difference of a probability, or of a number relative to its size (at least 1)."""
    requests: tuple[GoldenRequest, ...] = Field(min_length=1)


def check_predictions(bundle: ModelBundle) -> None:
    """Let the model predict before it may serve: a trial, then every golden request.

    Call it in the process that will serve: a model that has predicted must not be forked, since its threads
    would be missing in the child, which then hangs.

    Raises:
        BundleError: the model cannot predict, or predicts something else than when it was packed.
    """
    try_prediction(bundle)
    run_golden(bundle)


def try_prediction(bundle: ModelBundle) -> None:
    """Score one row.

    Raises:
        BundleError: the model raised, or its output is invalid.
    """
    first = bundle.golden.requests[0]
    try:
        scores = bundle.scorer.score([_parse(bundle, first)])
    except BundleError:
        raise
    except Exception as error:
        message = f"the trial prediction raised {one_line(error)}"
        raise BundleError(bundle.directory / MODEL_FILE, "prediction", message) from error
    if scores.invalid[0] != OUTPUT_OK:
        message = "the trial prediction is not finite or out of bounds"
        raise BundleError(bundle.directory / MODEL_FILE, "prediction", message)


def run_golden(bundle: ModelBundle) -> None:
    """Repeat the golden requests in one call and compare the outputs with the recorded ones.

    Raises:
        BundleError: one of them is refused or differs; the text names it.
    """
    rows = [_parse(bundle, request) for request in bundle.golden.requests]
    try:
        scores = bundle.scorer.score(rows)
    except Exception as error:
        message = f"the golden requests raised {one_line(error)}"
        raise BundleError(bundle.directory / GOLDEN_FILE, "golden", message) from error
    for index, request in enumerate(bundle.golden.requests):
        if scores.invalid[index] != OUTPUT_OK:
            difference: str | None = "the output is not finite or out of bounds"
        else:
            output = output_of(bundle.signature, scores, index)
            difference = _difference(bundle.signature, request.output, output, bundle.golden.tolerance)
        if difference:
            message = f"request {index} ({request.name}): {difference}"
            raise BundleError(bundle.directory / GOLDEN_FILE, "golden", message)


def output_of(signature: Signature, scores: Scores, index: int) -> GoldenOutput:
    """Write the scores of one row as the output of a golden request."""
    prediction: ClassLabel | float
    if scores.values is not None:
        prediction = float(scores.values[index])
    else:
        assert scores.class_indices is not None
        assert signature.classes is not None
        prediction = signature.classes[scores.class_indices[index]]
    probabilities = None if scores.probabilities is None else tuple(scores.probabilities[index].tolist())
    return GoldenOutput(
        prediction=prediction,
        probabilities=probabilities,
        out_of_distribution=_OUT_REASONS[int(scores.distribution[index])],
    )


def _parse(bundle: ModelBundle, request: GoldenRequest) -> tuple[bool | int | float | str | None, ...]:
    try:
        return RowParser(bundle.signature, 1).single(json.dumps(request.request).encode())
    except InvalidInputError as error:
        first = error.violations[0]
        message = f"{request.name}: the signature refuses it: {first.field} {first.message}"
        raise BundleError(bundle.directory / GOLDEN_FILE, "golden", message) from error


def _difference(
    signature: Signature, recorded: GoldenOutput, output: GoldenOutput, tolerance: float
) -> str | None:
    if output.out_of_distribution != recorded.out_of_distribution:
        return f"out of distribution is {output.out_of_distribution}, recorded {recorded.out_of_distribution}"
    if signature.classes is None:
        expected = float(recorded.prediction)
        same = abs(float(output.prediction) - expected) <= tolerance * max(1.0, abs(expected))
    elif recorded.probabilities is None or output.probabilities is None:
        same = output == recorded
    else:
        pairs = zip(output.probabilities, recorded.probabilities, strict=True)
        gap = max(abs(now - then) for now, then in pairs)
        if gap > tolerance:
            return f"a probability differs by {gap:.3g}, allowed is {tolerance:g}"
        # Between classes that are tied within the tolerance either one is right.
        now = recorded.probabilities[signature.classes.index(output.prediction)]
        then = recorded.probabilities[signature.classes.index(recorded.prediction)]
        same = abs(now - then) <= tolerance
    return None if same else f"the prediction is {output.prediction!r}, recorded {recorded.prediction!r}"
