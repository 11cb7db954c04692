"""All numbers of one model version, made at 0 when it is loaded, so that no first event is invisible."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

import numpy as np

from service.bundle.reference import Reference
from service.bundle.signature import Signature
from service.errors import BUNDLE_FAILURES
from service.events import OTHER_MODEL, ModelKey
from service.observability import metric_names as names
from service.observability.constants import prediction_bins
from service.observability.label_values import (
    INVALID_OUTPUT_REASONS,
    KINDS,
    OUT_OF_DISTRIBUTION_REASONS,
    OUTCOMES,
    STAGES,
    violation_labels,
)
from service.observability.value_files import Value, ValueFiles


class Bundle(Protocol):
    """What observability needs of a loaded bundle."""

    @property
    def key(self) -> ModelKey:
        """Name and version."""

    @property
    def signature(self) -> Signature:
        """Inputs and output."""

    @property
    def reference(self) -> Reference:
        """Bins and shares of training data."""


class ModelValues:
    """Numbers that are touched with every request.

    Args:
        files: where they live.
        bundle: the version.
    """

    def __init__(self, files: ValueFiles, bundle: Bundle) -> None:
        key, signature, reference = bundle.key, bundle.signature, bundle.reference
        self.requests = request_counters(files, key)
        self.durations = {kind: files.histogram(names.ML_REQUEST_DURATION, *key, kind) for kind in KINDS}
        self.classes = [files.value(names.ML_PREDICTIONS, *key, name) for name in signature.class_names]
        class_rows = [(*key, name) for name in signature.class_names]
        self.all_classes = files.values(names.ML_PREDICTIONS, class_rows) if class_rows else None
        self.edges = None
        if reference.prediction is not None:
            self.edges = np.array(reference.prediction.edges)
            labels, _ = prediction_bins(reference.prediction)
            self.prediction_bins = files.values(names.ML_PREDICTION_BIN, [(*key, label) for label in labels])
        self.confidence = files.histogram(names.ML_CONFIDENCE, *key) if class_rows else None
        self.distribution = [
            files.value(names.ML_IN_DISTRIBUTION, *key),
            *(
                files.value(names.ML_OUT_OF_DISTRIBUTION, *key, reason)
                for _, reason in sorted(OUT_OF_DISTRIBUTION_REASONS.items())
            ),
        ]
        self.batch_rows = files.histogram(names.ML_BATCH_ROWS, *key)
        self.queue, self.preprocess, self.predict, self.postprocess = (
            files.histogram(names.ML_STAGE_DURATION, *key, stage) for stage in STAGES
        )
        self.queue_rows = files.value(names.ML_QUEUE_ROWS, *key)
        self.invalid_outputs = {
            reason: files.value(names.ML_INVALID_OUTPUTS, *key, reason) for reason in INVALID_OUTPUT_REASONS
        }
        monitored = (feature for feature in signature.features if feature.name in reference.features)
        self.violations = {
            labels: files.value(names.ML_SCHEMA_VIOLATIONS, *key, *labels)
            for labels in violation_labels(monitored)
        }


def request_counters(files: ValueFiles, key: ModelKey) -> Mapping[str, Value]:
    """Make the counters of requests by outcome."""
    return {outcome: files.value(names.ML_REQUESTS, *key, outcome) for outcome in OUTCOMES}


class OtherModelValues:
    """Numbers of requests that name no loaded version."""

    def __init__(self, files: ValueFiles) -> None:
        self.requests = request_counters(files, OTHER_MODEL)
        self.violations = {
            labels: files.value(names.ML_SCHEMA_VIOLATIONS, *OTHER_MODEL, *labels)
            for labels in violation_labels(iter(()))
        }


class LoadValues:
    """Numbers about loading one version, whether or not it could be loaded."""

    def __init__(self, files: ValueFiles, key: ModelKey) -> None:
        self.ready = files.value(names.ML_MODEL_READY, *key)
        self.failures = {
            reason: files.value(names.ML_MODEL_LOAD_FAILURES, *key, reason) for reason in BUNDLE_FAILURES
        }
