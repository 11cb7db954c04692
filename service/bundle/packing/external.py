"""Builds a bundle for a model that other software serves: from data alone, without its estimator."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from sklearn.model_selection import KFold

from service.bundle.distribution import InputJudge
from service.bundle.objectives import choose_objectives, choose_unmeasured_objectives
from service.bundle.packing.assembly import Content, budget_series, listed, write
from service.bundle.packing.features import build_signature, infer_feature
from service.bundle.packing.measure import build_reference, build_unpredicted_reference, measure
from service.bundle.packing.request import BundleRequest, Packed, Report, check_destination, check_features
from service.bundle.packing.table import (
    FieldOptions,
    Row,
    Table,
    read_fields,
    read_table,
    rows_of,
    string_columns,
)
from service.bundle.packing.targets import infer_task, read_confidences, read_targets, refuse_constant_target
from service.bundle.packing.unseen import FOLDS, text_novelty, unseen_rows, vocabulary_of
from service.bundle.packing.validation import Validation
from service.bundle.reference import TextNovelty
from service.bundle.scoring import outside
from service.bundle.signature import ClassLabel, Feature, Signature, Task
from service.errors import PackError
from service.events import IN_DISTRIBUTION

FRAMEWORK = "external"
_FACTS: Mapping[str, Any] = {
    "external": True,
    "framework": FRAMEWORK,
    "library_versions": {},
    "container": None,
    "output": None,
}


@dataclass(frozen=True, kw_only=True)
class ExternalRequest(BundleRequest):
    """What a user gives for a model that other software serves; the fields are those of `plumbline pack`."""

    prediction: str | None = None
    confidence: str | None = None
    task: Task | None = None


@dataclass(frozen=True)
class _Judged:
    """Rows that were judged by others: each once, in the order of the folds.

    Args:
        rows: n rows as the service takes them.
        positions: of each in the table, shape (n,).
        is_out: which are out of distribution, shape (n,).
        text_novelty: moments and threshold, for texts with confidences.
    """

    rows: list[Row]
    positions: NDArray[np.intp]
    is_out: NDArray[np.bool_]
    text_novelty: TextNovelty | None


def pack_external(request: ExternalRequest, report: Report) -> Packed:
    """Build and write a bundle without an estimator; the same inputs give the same bytes.

    Args:
        request: the data and what the user says of them.
        report: told each step and each decision, a line at a time.

    Raises:
        PackError: one line that says what is wrong.
    """
    destination = check_destination(request)
    table, signature = _read(request, report)
    targets = read_targets(table, request.target, signature)
    refuse_constant_target(table, request.target, targets)
    rows = rows_of(table.frame, signature.features)
    report(f"{request.data.name}: {len(rows)} rows, {len(signature.features)} features")
    predictions, confidences = _read_outputs(request, table, signature)
    judged = _judge(signature, table, confidences, report)
    if predictions is None:
        report("no --prediction column: nothing is measured, objectives are defaults")
        reference = build_unpredicted_reference(signature, rows, targets, judged.is_out, request.unmonitored)
        scores: dict[str, float] = {}
        objectives = choose_unmeasured_objectives(signature.task, request.objectives)
    else:
        validation = Validation(
            rows=judged.rows,
            targets=targets[judged.positions],
            predictions=predictions[judged.positions],
            probabilities=None,
            confidences=None if confidences is None else confidences[judged.positions],
            is_out=judged.is_out,
            text_novelty=judged.text_novelty,
        )
        reference = build_reference(signature, rows, targets, validation, request.unmonitored)
        measured, scores = measure(signature, validation)
        report("validation: " + listed(scores))
        # Predictions may be logged with a confidence, even if these rows have none.
        has_confidence = signature.classes is not None
        objectives = choose_objectives(measured, request.objectives, has_confidence=has_confidence)
    report("objectives: " + listed(objectives))
    validation_rows = len(judged.rows) if scores else 0
    content = Content(signature, reference, objectives, scores, validation_rows, table)
    series = budget_series(request, content, report)
    return write(request, destination, content, series, _FACTS, {}, report)


def _read(request: ExternalRequest, report: Report) -> tuple[Table, Signature]:
    """Read the data, and infer what the model takes and gives."""
    _check_columns(request)
    fields = read_fields(request.fields) if request.fields else {}
    as_text = string_columns(fields)
    table = read_table(request.data, as_text)
    for column in (request.target, request.prediction, request.confidence, *request.ignore):
        if column is not None:
            table.require(column)
    task, classes = infer_task(table, request.target, request.task)
    report(f"task {task}: {_told(request.target, classes)}")
    if request.prediction is not None and classes is not None and isinstance(classes[0], str):
        # A table in which each prediction looks like a number has them as numbers.
        table = read_table(request.data, {*as_text, request.prediction})
    names = _feature_names(request, table)
    given = _feature_options(request, fields, names)
    is_text = _is_text(table.frame, given)
    if is_text:
        hint = "" if given[names[0]].type else '; if it is a category, say type = "category" in --fields'
        report(f"input text: column {names[0]!r}{hint}")
    signature = build_signature(
        task,
        tuple(_feature(table.frame[name], options, is_text) for name, options in given.items()),
        classes,
        is_text=is_text,
        output_minimum=request.output_minimum,
        output_maximum=request.output_maximum,
    )
    return table, signature


def _check_columns(request: ExternalRequest) -> None:
    if request.confidence is not None and request.prediction is None:
        raise PackError("--confidence is that of a prediction: give --prediction COLUMN as well")
    given = [column for column in (request.target, request.prediction, request.confidence) if column]
    if len(set(given)) < len(given):
        raise PackError("--target, --prediction and --confidence must be different columns")


def _told(target: str, classes: tuple[ClassLabel, ...] | None) -> str:
    """Say how the target was read: in JSON a client must write it in the same type."""
    if classes is None:
        return f"{target} is a number"
    kind = {str: "strings", int: "integers", bool: "booleans"}[type(classes[0])]
    shown = ", ".join(repr(label) for label in classes[:10]) + (", ..." if len(classes) > 10 else "")
    return f"{target} holds {len(classes)} classes, {kind}: {shown}"


def _feature_names(request: ExternalRequest, table: Table) -> list[str]:
    others = {request.target, request.prediction, request.confidence, *request.ignore}
    names = [str(name) for name in table.frame.columns if name not in others]
    if not names:
        raise PackError(f"{table.path}: has no column that is a feature")
    check_features(names, request.unmonitored, "--unmonitored")
    return names


def _feature_options(
    request: ExternalRequest, fields: Mapping[str, FieldOptions], names: list[str]
) -> dict[str, FieldOptions]:
    """Give what the user says of each feature; of the target only that its classes are strings."""
    if request.target in fields and fields[request.target] != FieldOptions(type="category"):
        raise PackError(
            f'{request.fields}: {request.target!r} is the target; it takes type = "category" alone'
        )
    check_features(names, [name for name in fields if name != request.target], request.fields)
    for name, options in fields.items():
        if options.fill is not None:
            raise PackError(f"{request.fields}: {name}.fill: an external model fills missing values itself")
    return {name: fields.get(name, FieldOptions()) for name in names}


def _is_text(frame: pd.DataFrame, given: Mapping[str, FieldOptions]) -> bool:
    declared = [name for name, options in given.items() if options.type == "text"]
    if declared and len(given) > 1:
        other = next(name for name in given if name != declared[0])
        raise PackError(
            f"column {declared[0]!r} is declared text: such a model has one feature; "
            f"leave the others out with --ignore {other}"
        )
    name, options = next(iter(given.items()))
    is_one_string = len(given) == 1 and pd.api.types.is_string_dtype(frame[name].dropna())
    return bool(declared) or (is_one_string and options.type is None)


def _feature(column: pd.Series, options: FieldOptions, is_text: bool) -> Feature:
    if is_text:
        if options.nullable:
            raise PackError(f"column {column.name!r} is declared nullable, but a text is never missing")
        options = options.model_copy(update={"nullable": False})
    return infer_feature(column, options, is_text=is_text)


def _read_outputs(
    request: ExternalRequest, table: Table, signature: Signature
) -> tuple[NDArray[Any] | None, NDArray[np.float64] | None]:
    """Read what the model said of each row, and how sure it was."""
    if request.prediction is None:
        return None, None
    predictions = read_targets(table, request.prediction, signature, "prediction")
    if signature.classes is None:
        is_outside = outside(predictions, signature.output_minimum, signature.output_maximum)
        if is_outside.any():
            line = int(np.flatnonzero(is_outside)[0]) + 2
            problem = f"the prediction {request.prediction!r} is out of bounds in line {line}"
            raise PackError(f"{table.path}: {problem}")
    if request.confidence is None:
        return predictions, None
    if signature.classes is None:
        raise PackError("--confidence is for classes: a regression has none")
    return predictions, read_confidences(table, request.confidence)


def _judge(
    signature: Signature, table: Table, confidences: NDArray[np.float64] | None, report: Report
) -> _Judged:
    """Judge each fifth of the rows by the other four, as rows of tomorrow will be by all of these."""
    frame = table.frame
    if len(frame) < FOLDS:
        raise PackError(f"{table.path}: has {len(frame)} rows, too few for {FOLDS} folds")
    folds = list(KFold(FOLDS, shuffle=True, random_state=0).split(frame))
    parts = [unseen_rows(signature, frame.iloc[seen], frame.iloc[unseen], report) for seen, unseen in folds]
    places = [unseen[part.kept] for part, (_, unseen) in zip(parts, folds, strict=True)]
    positions = np.concatenate(places)
    novelty = None
    if signature.input == "text" and confidences is not None:
        vocabulary = frozenset(vocabulary_of(frame, signature))
        novelty = text_novelty(parts, confidences[positions], vocabulary)
    verdicts = [
        InputJudge(part.signature, part.reference(novelty)).verdicts(
            part.rows, None if confidences is None else confidences[place]
        )
        for part, place in zip(parts, places, strict=True)
    ]
    rows = [row for part in parts for row in part.rows]
    return _Judged(rows, positions, np.concatenate(verdicts) != IN_DISTRIBUTION, novelty)
