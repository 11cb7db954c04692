"""Puts a bundle together from what packing found out, and writes it."""

from __future__ import annotations

import platform
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from pydantic import BaseModel

from service.bundle.manifest import (
    FORMAT_VERSION,
    MANIFEST_FILE,
    REFERENCE_FILE,
    SIGNATURE_FILE,
    Manifest,
    Signal,
)
from service.bundle.packing.column_advice import advise
from service.bundle.packing.request import BundleRequest, Destination, Packed, Report
from service.bundle.packing.series_budget import count_series, refuse_beyond
from service.bundle.packing.table import Table
from service.bundle.packing.writer import file_entries, write_bundle
from service.bundle.reference import Reference
from service.bundle.signature import Signature


@dataclass(frozen=True)
class Content:
    """What a bundle says of its model.

    Args:
        signature: inputs and output.
        reference: what they looked like.
        objectives: by signal.
        scores: by name, measured on `validation_rows` rows; none if nothing was measured.
        validation_rows: 0 if nothing was measured.
        training: the table behind the reference.
    """

    signature: Signature
    reference: Reference
    objectives: Mapping[Signal, float]
    scores: Mapping[str, float]
    validation_rows: int
    training: Table


def budget_series(request: BundleRequest, content: Content, report: Report) -> int:
    """Name the features that should not be monitored and count the bundle's time series.

    Raises:
        PackError: they are more than the limit.
    """
    signature, reference = content.signature, content.reference
    for feature in signature.features:
        column = content.training.frame[feature.name]
        if feature.name in reference.features and (advice := advise(feature, column)):
            report(
                f"warning: {feature.name} {advice}; leave it out of drift with --unmonitored {feature.name}"
            )
    series = count_series(signature, reference, len(content.objectives))
    report(f"series: {series} of at most {request.series_limit}")
    refuse_beyond(series, request.series_limit)
    return series


def write(
    request: BundleRequest,
    destination: Destination,
    content: Content,
    series: int,
    model_facts: Mapping[str, Any],
    model_files: Mapping[str, bytes],
    report: Report,
) -> Packed:
    """Write the bundle.

    Args:
        request: what the user gave.
        destination: where to.
        content: what it says of its model.
        series: its number of time series.
        model_facts: fields of the manifest about the estimator, or about having none.
        model_files: the estimator and what goes with it; none for an external model.
        report: told where the bundle lies.

    Raises:
        PackError: the bundle exists, or the disk refuses.
    """
    contents = {
        SIGNATURE_FILE: as_json(content.signature),
        REFERENCE_FILE: as_json(content.reference),
        **model_files,
    }
    manifest = Manifest(
        format_version=FORMAT_VERSION,
        model_name=request.name,
        model_version=request.version,
        task=content.signature.task,
        input=content.signature.input,
        created=destination.created,
        python_version=platform.python_version(),
        store_features=request.store_features,
        **model_facts,
        files=file_entries(contents),
        validation_scores=dict(content.scores),
        validation_rows=content.validation_rows,
        training_data_sha256=content.training.sha256,
        training_rows=len(content.training.frame),
        objectives=dict(content.objectives),
        monitored_features=tuple(content.reference.features),
        series=series,
    )
    write_bundle(destination.directory, {**contents, MANIFEST_FILE: as_json(manifest)}, force=request.force)
    report(f"wrote {destination.directory}")
    return Packed(destination.directory, manifest)


def as_json(content: BaseModel) -> bytes:
    """Write a file of the bundle so that a person can read it."""
    return (content.model_dump_json(indent=1) + "\n").encode()


def listed(values: Mapping[Any, float]) -> str:
    """Write named numbers for a person: four digits, but whole ones from a thousand on."""
    texts = (
        (name, f"{value:.0f}" if 1e3 <= value < 1e12 else f"{value:.4g}") for name, value in values.items()
    )
    return ", ".join(f"{name} {text}" for name, text in texts)
