"""Builds a bundle from a fitted estimator and its training data."""

from __future__ import annotations

import platform
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pandas as pd
import sklearn
from pydantic import BaseModel, ValidationError

from service.bundle.golden import Golden
from service.bundle.manifest import (
    FORMAT_VERSION,
    GOLDEN_FILE,
    MANIFEST_FILE,
    MODEL_FILE,
    NAME_PATTERN,
    REFERENCE_FILE,
    SIGNATURE_FILE,
    Manifest,
    is_bundle_name,
)
from service.bundle.objectives import choose_objectives
from service.bundle.packing.column_advice import advise
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
from service.bundle.packing.features import fit_to_estimator, infer_feature
from service.bundle.packing.golden_requests import record_golden
from service.bundle.packing.measure import build_reference, measure
from service.bundle.packing.series_budget import DEFAULT_LIMIT, count_series, refuse_beyond
from service.bundle.packing.serving_form import NO_REFERENCE, choose_container, choose_output, complete_rows
from service.bundle.packing.table import FieldOptions, Table, read_fields, read_table, rows_of
from service.bundle.packing.targets import read_targets, refuse_single_class
from service.bundle.packing.validation import Model, Report, Validation, hold_out, out_of_fold
from service.bundle.packing.writer import file_entries, refuse_overwrite, write_bundle
from service.bundle.reference import Reference
from service.bundle.scoring import Scorer
from service.bundle.signature import Signature
from service.errors import PackError


@dataclass(frozen=True, kw_only=True)
class PackRequest:
    """What a user gives to `plumbline pack`; the fields are its options."""

    model: Path
    data: Path
    target: str
    name: str
    version: str
    validation: Path | None = None
    ignore: tuple[str, ...] = ()
    unmonitored: tuple[str, ...] = ()
    fields: Path | None = None
    objectives: Mapping[str, float] = field(default_factory=dict)
    output_minimum: float | None = None
    output_maximum: float | None = None
    series_limit: int = DEFAULT_LIMIT
    created: str | None = None
    out: Path = Path("bundles")
    force: bool = False


@dataclass(frozen=True)
class Packed:
    """A bundle that was written: where, and its manifest."""

    directory: Path
    manifest: Manifest


def pack_bundle(request: PackRequest, report: Report) -> Packed:
    """Build and write a bundle; the same inputs give the same bytes.

    Args:
        request: the model, its data and what the user says of them.
        report: told each step and each decision, a line at a time.

    Raises:
        PackError: one line that says what is wrong.
    """
    directory = _directory(request)
    created = _created(request.created)
    estimator, estimator_bytes = open_estimator(request.model)
    fields = read_fields(request.fields) if request.fields else {}
    as_text = _text_columns(request, estimator, fields)
    training = read_table(request.data, as_text)
    held_out = read_table(request.validation, as_text) if request.validation else None
    model = _model(request, estimator, fields, training, held_out, report)
    libraries = library_versions(estimator, model.container)
    targets = read_targets(training, request.target, model.signature)
    refuse_single_class(training, request.target, model.signature, targets)
    report(f"{request.data.name}: {len(targets)} training rows, {len(model.signature.features)} features")
    validation = _validate(request, model, training, targets, held_out, report)
    rows = rows_of(training.frame, model.signature.features)
    reference = build_reference(model.signature, rows, targets, validation, request.unmonitored)
    measured, scores = measure(model.signature, validation)
    report("validation: " + _listed(scores))
    objectives = choose_objectives(measured, request.objectives)
    report("objectives: " + _listed(objectives))
    _advise(reference, model.signature, training.frame, report)
    series = count_series(model.signature, reference, len(objectives))
    report(f"series: {series} of at most {request.series_limit}")
    refuse_beyond(series, request.series_limit)
    contents = {
        SIGNATURE_FILE: _json(model.signature),
        REFERENCE_FILE: _json(reference),
        GOLDEN_FILE: _json(_golden(model, reference, validation, report)),
        MODEL_FILE: estimator_bytes,
    }
    manifest = Manifest(
        **_facts(request, model, libraries),
        created=created,
        files=file_entries(contents),
        validation_scores=scores,
        validation_rows=len(validation.rows),
        training_data_sha256=training.sha256,
        training_rows=len(targets),
        objectives=objectives,
        monitored_features=tuple(reference.features),
        series=series,
    )
    write_bundle(directory, {**contents, MANIFEST_FILE: _json(manifest)}, force=request.force)
    report(f"wrote {directory}")
    return Packed(directory, manifest)


def _facts(request: PackRequest, model: Model, libraries: dict[str, str]) -> dict[str, Any]:
    return {
        "format_version": FORMAT_VERSION,
        "model_name": request.name,
        "model_version": request.version,
        "task": model.signature.task,
        "input": model.signature.input,
        "framework": f"scikit-learn {sklearn.__version__}",
        "library_versions": libraries,
        "python_version": platform.python_version(),
        "container": model.container,
        "output": model.output,
    }


def _directory(request: PackRequest) -> Path:
    for option, text in (("--name", request.name), ("--version", request.version)):
        if not is_bundle_name(text):
            raise PackError(f"{option} {text!r} does not match {NAME_PATTERN}")
    directory = request.out / request.name / request.version
    if not request.force:
        refuse_overwrite(directory)
    return directory


def _created(given: str | None) -> str:
    try:
        moment = datetime.now(UTC) if given is None else datetime.fromisoformat(given)
    except ValueError as error:
        raise PackError(f"--created {given} is no ISO 8601 time") from error
    if moment.tzinfo is None:
        raise PackError(f"--created {given} has no time zone; write for example 2026-01-31T12:00:00Z")
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _text_columns(request: PackRequest, estimator: Any, fields: Mapping[str, FieldOptions]) -> set[str]:
    """List the columns whose values are strings, even if they look like numbers: classes and codes."""
    columns = {name for name, options in fields.items() if options.type == "category"}
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
    _check_names(names, request.unmonitored, "--unmonitored")
    _check_names(names, fields, f"{request.fields}")
    is_text = takes_texts(estimator, training.frame, names)
    features = tuple(
        infer_feature(training.frame[name], fields.get(name, FieldOptions()), is_text=is_text)
        for name in names
    )
    try:
        signature = Signature(
            task=task,
            input="text" if is_text else "tabular",
            features=features,
            classes=None if task == "regression" else class_labels(estimator),
            output_minimum=request.output_minimum,
            output_maximum=request.output_maximum,
        )
    except ValidationError as error:
        raise PackError(f"no signature fits the data: {error.errors()[0]['msg']}") from error
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


def _check_names(names: list[str], given: Any, option: str) -> None:
    for name in given:
        if name not in names:
            raise PackError(f"{option}: {name!r} is no feature of the model")


def _validate(
    request: PackRequest, model: Model, training: Table, targets: Any, held_out: Table | None, report: Report
) -> Validation:
    if held_out is None:
        report("no --validation file: out-of-fold predictions of clones stand for it")
        return out_of_fold(model, training.frame, targets, report)
    truths = read_targets(held_out, request.target, model.signature)
    report(f"{held_out.path.name}: {len(truths)} validation rows")
    return hold_out(model, training.frame, held_out.frame, truths, report)


def _advise(reference: Reference, signature: Signature, frame: pd.DataFrame, report: Report) -> None:
    for feature in signature.features:
        if feature.name in reference.features and (advice := advise(feature, frame[feature.name])):
            report(
                f"warning: {feature.name} {advice}; leave it out of drift with --unmonitored {feature.name}"
            )


def _golden(model: Model, reference: Reference, validation: Validation, report: Report) -> Golden:
    scorer = Scorer(model.signature, reference, model.estimator, model.container, model.output)
    golden = record_golden(model.signature, reference, scorer, validation)
    report(f"golden requests: {len(golden.requests)}")
    return golden


def _json(content: BaseModel) -> bytes:
    return (content.model_dump_json(indent=1) + "\n").encode()


def _listed(values: Mapping[Any, float]) -> str:
    return ", ".join(f"{name} {value:.4g}" for name, value in values.items())
