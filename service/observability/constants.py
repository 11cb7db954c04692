"""What is constant about a model version, made by the exporter from the bundles' JSON files alone.

Nothing is unpickled here, and a bundle that cannot be read costs its own constants only.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass
from itertools import pairwise
from math import inf
from pathlib import Path

from service.bundle.manifest import MANIFEST_FILE, REFERENCE_FILE, Manifest, is_bundle_name
from service.bundle.reference import FeatureReference, Reference, number_label
from service.events import ModelKey
from service.observability.metric import Metric
from service.observability.metric_names import (
    ML_FEATURE_REFERENCE_RATIO,
    ML_MODEL_INFO,
    ML_OBJECTIVE,
    ML_OUT_OF_DISTRIBUTION_REFERENCE_RATIO,
    ML_OUT_OF_DISTRIBUTION_REFERENCE_ROWS,
    ML_PREDICTED_CLASS_REFERENCE_RATIO,
    ML_PREDICTION_BIN_REFERENCE_RATIO,
    ML_REFERENCE_ROWS,
    ML_SCORE_BIN,
    ML_TARGET_REFERENCE_STDDEV,
)
from service.observability.text_format import family, sample_line
from service.prediction_log.outcomes import SCORE_BOUNDS

NO_ROLE = "none"
Roles = Callable[[], dict[ModelKey, str]]

_LOG = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class _Known:
    """A bundle as it was last read; `lines` is None if it could not be."""

    mtime_ns: int
    manifest: Manifest | None
    lines: dict[str, list[str]]


class Constants:
    """Writes the constants of the versions that have a role or counters.

    Args:
        bundle_dir: folder of the bundles.
        roles: tells the role of each routed version; may raise.
    """

    def __init__(self, bundle_dir: Path, roles: Roles) -> None:
        self._bundle_dir = bundle_dir
        self._read_roles = roles
        self._roles: dict[ModelKey, str] = {}
        self._known: dict[ModelKey, _Known] = {}
        self._cached: tuple[object, str] = (None, "")
        self._has_role_problem = False

    def text(self, counted: Collection[tuple[str, str]]) -> str:
        """Write the families; `counted` are the versions that have counters."""
        roles = self._current_roles()
        keys = sorted({*roles, *(ModelKey(*pair) for pair in counted)})
        versions = [(key, roles.get(key, NO_ROLE), known) for key in keys if (known := self._read(key))]
        identity = [(key, role, known.mtime_ns) for key, role, known in versions]
        if self._cached[0] != identity:
            self._cached = (identity, _write(versions))
        return self._cached[1]

    def _current_roles(self) -> dict[ModelKey, str]:
        try:
            self._roles = self._read_roles()
            self._has_role_problem = False
        except Exception as error:
            # A broken routing file must not end the scrape.
            if not self._has_role_problem:
                _LOG.warning("the roles cannot be read, the last ones stand: %s", error)
            self._has_role_problem = True
        return self._roles

    def _read(self, key: ModelKey) -> _Known | None:
        if not (is_bundle_name(key.model_name) and is_bundle_name(key.model_version)):
            return None
        directory = self._bundle_dir / key.model_name / key.model_version
        try:
            mtime_ns = (directory / MANIFEST_FILE).stat().st_mtime_ns
        except OSError:
            return None
        known = self._known.get(key)
        if known is None or known.mtime_ns != mtime_ns:
            known = self._known[key] = _read_bundle(key, directory, mtime_ns)
        return known if known.manifest else None


def constant_lines(key: ModelKey, manifest: Manifest, reference: Reference) -> dict[str, list[str]]:
    """Write the lines of one version, by metric name; its role is not among them."""
    lines: dict[str, list[str]] = {}

    def add(metric: Metric, number: float, *labels: str) -> None:
        lines.setdefault(metric.name, []).append(sample_line(metric, (*key, *labels), number))

    for signal, value in sorted(manifest.objectives.items()):
        add(ML_OBJECTIVE, value, signal)
    add(ML_REFERENCE_ROWS, reference.rows)
    for name, known in reference.features.items():
        for label, share in zip(known.labels, known.shares, strict=True):
            add(ML_FEATURE_REFERENCE_RATIO, share, name, label)
    classes = reference.class_counts
    for name, share in zip(classes, _smoothed(classes.values()), strict=True):
        add(ML_PREDICTED_CLASS_REFERENCE_RATIO, share, name)
    if reference.prediction is not None:
        labels, shares = prediction_bins(reference.prediction)
        for label, share in zip(labels, shares, strict=True):
            add(ML_PREDICTION_BIN_REFERENCE_RATIO, share, label)
    if reference.target_stddev is not None:
        add(ML_TARGET_REFERENCE_STDDEV, reference.target_stddev)
    # Smoothed like every share: against exactly 0 each flagged row would be a surprise beyond measure.
    flagged = (reference.out_of_distribution_rows + 0.5) / (reference.validation_rows + 1)
    add(ML_OUT_OF_DISTRIBUTION_REFERENCE_RATIO, flagged)
    add(ML_OUT_OF_DISTRIBUTION_REFERENCE_ROWS, reference.validation_rows)
    return lines


def prediction_bins(reference: FeatureReference) -> tuple[tuple[str, ...], list[float]]:
    """Give labels and shares of a prediction's bins, without `missing`: a prediction never is."""
    return reference.labels[:-1], _smoothed(reference.counts[:-1])


def _smoothed(counts: Iterable[int]) -> list[float]:
    counts = list(counts)
    total = sum(counts) + 0.5 * len(counts)
    return [(count + 0.5) / total for count in counts]


def _read_bundle(key: ModelKey, directory: Path, mtime_ns: int) -> _Known:
    try:
        manifest = Manifest.model_validate_json((directory / MANIFEST_FILE).read_bytes())
        reference = Reference.model_validate_json((directory / REFERENCE_FILE).read_bytes())
        return _Known(mtime_ns, manifest, constant_lines(key, manifest, reference))
    except (OSError, ValueError) as error:
        _LOG.warning("no constants of %s %s: %s", *key, error)
        return _Known(mtime_ns, None, {})


def _write(versions: list[tuple[ModelKey, str, _Known]]) -> str:
    info = []
    has_scores = False
    for key, role, known in versions:
        assert known.manifest is not None
        manifest = known.manifest
        labels = (*key, role, manifest.model_sha256, manifest.framework)
        info.append(sample_line(ML_MODEL_INFO, labels, 1))
        has_scores |= manifest.task == "binary"
    parts = [family(ML_MODEL_INFO, info), family(ML_SCORE_BIN, _score_bins() if has_scores else ())]
    for metric in (
        ML_OBJECTIVE,
        ML_REFERENCE_ROWS,
        ML_FEATURE_REFERENCE_RATIO,
        ML_PREDICTED_CLASS_REFERENCE_RATIO,
        ML_PREDICTION_BIN_REFERENCE_RATIO,
        ML_OUT_OF_DISTRIBUTION_REFERENCE_RATIO,
        ML_OUT_OF_DISTRIBUTION_REFERENCE_ROWS,
        ML_TARGET_REFERENCE_STDDEV,
    ):
        parts.append(
            family(metric, (line for *_, known in versions for line in known.lines.get(metric.name, ())))
        )
    return "".join(parts)


def _score_bins() -> Iterable[str]:
    """Write the lower and upper bound of each bucket of `ml_score`, so that PromQL can order them."""
    bounds = [number_label(bound) for bound in (-inf, *SCORE_BOUNDS, inf)]
    return (sample_line(ML_SCORE_BIN, pair, 1) for pair in pairwise(bounds))
