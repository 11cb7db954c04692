"""Builds a bundle from a fitted estimator and its training data."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import sklearn

from service.bundle.golden import Golden
from service.bundle.manifest import GOLDEN_FILE, MODEL_FILE
from service.bundle.objectives import choose_objectives
from service.bundle.packing.assembly import Content, as_json, budget_series, listed, write
from service.bundle.packing.estimator import (
    class_labels,
    feature_columns,
    library_versions,
    open_estimator,
    parallel_parts,
    takes_texts,
    task_of,
    unpackaged_modules,
)
from service.bundle.packing.features import build_signature, fit_to_estimator, infer_feature
from service.bundle.packing.golden_requests import record_golden
from service.bundle.packing.measure import build_reference, measure
from service.bundle.packing.request import BundleRequest, Packed, Report, check_destination, check_features
from service.bundle.packing.serving_form import NO_REFERENCE, choose_container, choose_output, complete_rows
from service.bundle.packing.table import FieldOptions, Table, read_fields, read_table, rows_of, string_columns
from service.bundle.packing.targets import read_targets, refuse_constant_target
from service.bundle.packing.validation import Model, Validation, hold_out, out_of_fold
from service.bundle.reference import Reference
from service.bundle.scoring import Scorer


@dataclass(frozen=True, kw_only=True)
class PackRequest(BundleRequest):
    """What a user gives for a model that Plumbline serves; the fields are options of `plumbline pack`."""

    model: Path
    validation: Path | None = None


def pack_bundle(request: PackRequest, report: Report) -> Packed:
    """Build and write a bundle; the same inputs give the same bytes.

    Args:
        request: the model, its data and what the user says of them.
        report: told each step and each decision, a line at a time.

    Raises:
        PackError: one line that says what is wrong.
    """
    destination = check_destination(request)
    estimator, estimator_bytes = open_estimator(request.model)
    fields = read_fields(request.fields) if request.fields else {}
    as_text = _text_columns(request, estimator, fields)
    training = read_table(request.data, as_text)
    held_out = read_table(request.validation, as_text) if request.validation else None
    model = _model(request, estimator, fields, training, held_out, report)
    libraries = library_versions(estimator, model.container)
    targets = read_targets(training, request.target, model.signature)
    refuse_constant_target(training, request.target, targets)
    report(f"{request.data.name}: {len(targets)} training rows, {len(model.signature.features)} features")
    validation = _validate(request, model, training, targets, held_out, report)
    rows = rows_of(training.frame, model.signature.features)
    reference = build_reference(model.signature, rows, targets, validation, request.unmonitored)
    measured, scores = measure(model.signature, validation)
    report("validation: " + listed(scores))
    objectives = choose_objectives(
        measured, request.objectives, has_confidence=validation.confidences is not None
    )
    report("objectives: " + listed(objectives))
    content = Content(model.signature, reference, objectives, scores, len(validation.rows), training)
    series = budget_series(request, content, report)
    facts = {
        "framework": f"scikit-learn {sklearn.__version__}",
        "library_versions": libraries,
        "container": model.container,
        "output": model.output,
    }
    files = {GOLDEN_FILE: as_json(_golden(model, reference, validation, report)), MODEL_FILE: estimator_bytes}
    return write(request, destination, content, series, facts, files, report)


def _text_columns(request: PackRequest, estimator: Any, fields: Mapping[str, FieldOptions]) -> set[str]:
    """List the columns whose values are strings, even if they look like numbers: classes and codes."""
    columns = string_columns(fields)
    if task_of(estimator) != "regression" and isinstance(class_labels(estimator)[0], str):
        columns.add(request.target)
    return columns


def _model(
    request: PackRequest,
    estimator: Any,
    fields: Mapping[str, FieldOptions],
    training: Table,
    held_out: Table | None,
    report: Report,
) -> Model:
    """Infer the signature, and choose how the estimator is called."""
    task = task_of(estimator)
    names = feature_columns(estimator, training, request.target, request.ignore)
    check_features(names, request.unmonitored, "--unmonitored")
    check_features(names, fields, request.fields)
    is_text = takes_texts(estimator, training.frame, names)
    features = tuple(
        infer_feature(training.frame[name], fields.get(name, FieldOptions()), is_text=is_text)
        for name in names
    )
    signature = build_signature(
        task,
        features,
        None if task == "regression" else class_labels(estimator),
        is_text=is_text,
        output_minimum=request.output_minimum,
        output_maximum=request.output_maximum,
    )
    sample = held_out or training
    for name in names:
        sample.require(name)
    frame, rows = complete_rows(signature, sample.frame)
    container = choose_container(estimator, signature, frame, rows)
    output = choose_output(estimator, signature, container, rows)
    report(f"task {task}, estimator called with {container}, prediction by {output}")
    scorer = Scorer(signature, NO_REFERENCE, estimator, container, "predict")

    def accepts(probe: Any) -> bool:
        try:
            scorer.run(scorer.prepare(probe))
        except Exception:
            return False
        return True

    signature = signature.model_copy(update={"features": fit_to_estimator(features, fields, accepts, report)})
    for setting in parallel_parts(estimator):
        report(f"warning: {setting}: a worker has one inference thread; save the model with n_jobs=1")
    for package in unpackaged_modules(estimator):
        report(f"warning: {package} belongs to no installed library; it must be importable where it serves")
    return Model(estimator, signature, container, output)


def _validate(
    request: PackRequest, model: Model, training: Table, targets: Any, held_out: Table | None, report: Report
) -> Validation:
    if held_out is None:
        report("no --validation file: out-of-fold predictions of clones stand for it")
        return out_of_fold(model, training.frame, targets, report)
    truths = read_targets(held_out, request.target, model.signature)
    report(f"{held_out.path.name}: {len(truths)} validation rows")
    return hold_out(model, training.frame, held_out.frame, truths, report)


def _golden(model: Model, reference: Reference, validation: Validation, report: Report) -> Golden:
    scorer = Scorer(model.signature, reference, model.estimator, model.container, model.output)
    golden = record_golden(model.signature, reference, scorer, validation)
    report(f"golden requests: {len(golden.requests)}")
    return golden
