"""Counts what the inference layer announces; per request nothing but additions at known places."""

from __future__ import annotations

from collections.abc import Iterable
from threading import Lock

import numpy as np
from numpy.typing import NDArray

from service.events import (
    NOT_JUDGED,
    Announcer,
    InputRejected,
    InvalidOutputSeen,
    MicroBatchRun,
    ModelBecameReady,
    ModelKey,
    ModelLoadFailed,
    ModelRequestFinished,
    PredictionsServed,
    QueueChanged,
    ReadinessChanged,
)
from service.observability import metric_names as names
from service.observability.label_values import OTHER
from service.observability.model_values import Bundle, LoadValues, ModelValues, OtherModelValues
from service.observability.value_files import ValueFiles

NAME = "predictions"

# Of the others no time is counted: a refusal in microseconds would make a struggling model look fast.
_TIMED_OUTCOMES = {"ok", "failed", "expired"}
# From so many rows on, numpy's fixed price is less than that of a loop.
_ROWS_WORTH_AN_ARRAY = 8


class PredictionMetrics:
    """Listens to the facts about predictions.

    Args:
        files: of this worker.
        bundles: the loaded versions.
        on_disk: further versions found in the bundle folder, whose load failures are shown at 0.
    """

    def __init__(self, files: ValueFiles, bundles: Iterable[Bundle], on_disk: Iterable[ModelKey]) -> None:
        self._files = files
        # Facts come from the event loop and from the inference thread.
        self._lock = Lock()
        self._models = {bundle.key: ModelValues(files, bundle) for bundle in bundles}
        self._other = OtherModelValues(files)
        self._loads = {key: LoadValues(files, key) for key in {*self._models, *on_disk}}
        self._worker_ready = files.value(names.PLUMBLINE_WORKERS_READY)

    def subscribe(self, announcer: Announcer) -> None:
        """Listen to `announcer`."""
        announcer.subscribe(NAME, ModelRequestFinished, self.on_request_finished)
        announcer.subscribe(NAME, PredictionsServed, self.on_predictions_served)
        announcer.subscribe(NAME, MicroBatchRun, self.on_micro_batch_run)
        announcer.subscribe(NAME, InputRejected, self.on_input_rejected)
        announcer.subscribe(NAME, InvalidOutputSeen, self.on_invalid_output_seen)
        announcer.subscribe(NAME, QueueChanged, self.on_queue_changed)
        announcer.subscribe(NAME, ModelBecameReady, self.on_model_became_ready)
        announcer.subscribe(NAME, ModelLoadFailed, self.on_model_load_failed)
        announcer.subscribe(NAME, ReadinessChanged, self.on_readiness_changed)

    def on_request_finished(self, event: ModelRequestFinished) -> None:
        """Count the request, and its time if the model was asked."""
        model = self._models.get(event.key)
        if model is None:
            with self._lock:
                self._other.requests[event.outcome].add()
            return
        with self._lock:
            model.requests[event.outcome].add()
            if event.outcome in _TIMED_OUTCOMES:
                model.durations[event.kind].observe(event.seconds)

    def on_predictions_served(self, event: PredictionsServed) -> None:
        """Count the rows by class or bin, by confidence, and by whether they look like the reference."""
        model = self._models[event.key]
        with self._lock:
            if len(event.distribution) < _ROWS_WORTH_AN_ARRAY:
                _count_rows(model, event)
            else:
                _count_arrays(model, event)

    def on_micro_batch_run(self, event: MicroBatchRun) -> None:
        """Count the rows of the call, and the time of each stage."""
        model = self._models[event.key]
        with self._lock:
            model.batch_rows.observe(event.rows)
            if len(event.queue_seconds) < _ROWS_WORTH_AN_ARRAY:
                for seconds in event.queue_seconds:
                    model.queue.observe(seconds)
            else:
                model.queue.observe_many(np.array(event.queue_seconds, dtype=np.float64))
            model.preprocess.observe(event.preprocess_seconds)
            model.predict.observe(event.predict_seconds)
            model.postprocess.observe(event.postprocess_seconds)

    def on_input_rejected(self, event: InputRejected) -> None:
        """Count each violation under its feature if that is monitored, else under `other`."""
        violations = self._models.get(event.key, self._other).violations
        with self._lock:
            for violation in event.violations:
                counter = violations.get((violation.feature or OTHER, violation.reason))
                (counter or violations[OTHER, violation.reason]).add()

    def on_invalid_output_seen(self, event: InvalidOutputSeen) -> None:
        """Count the output by what is wrong with it."""
        with self._lock:
            self._models[event.key].invalid_outputs[event.reason].add()

    def on_queue_changed(self, event: QueueChanged) -> None:
        """Show the rows that wait."""
        self._models[event.key].queue_rows.set(event.rows)

    def on_model_became_ready(self, event: ModelBecameReady) -> None:
        """Show that this worker has the version, and since when."""
        self._load_values(event.key).ready.set(1)
        self._files.value(names.ML_MODEL_LOADED_TIMESTAMP, *event.key).set(event.loaded_timestamp)

    def on_model_load_failed(self, event: ModelLoadFailed) -> None:
        """Count the failure by reason."""
        with self._lock:
            self._load_values(event.key).failures[event.reason].add()

    def on_readiness_changed(self, event: ReadinessChanged) -> None:
        """Show whether this worker would answer /ready with 200."""
        self._worker_ready.set(1 if event.ready else 0)

    def _load_values(self, key: ModelKey) -> LoadValues:
        # Routing may name a version that is not on disk; the operator wrote that name, not a client.
        if key not in self._loads:
            self._loads[key] = LoadValues(self._files, key)
        return self._loads[key]


def _count_rows(model: ModelValues, event: PredictionsServed) -> None:
    for code in event.distribution.tolist():
        if code != NOT_JUDGED:
            model.distribution[code].add()
    if event.class_indices is not None:
        for index in event.class_indices.tolist():
            model.classes[index].add()
    elif event.values is not None and model.edges is not None:
        model.prediction_bins.add(_binned(event.values, model.edges))
    if event.confidences is not None and model.confidence is not None:
        for confidence in event.confidences.tolist():
            model.confidence.observe(confidence)


def _count_arrays(model: ModelValues, event: PredictionsServed) -> None:
    counts = np.bincount(event.distribution, minlength=len(model.distribution)).tolist()
    for value, count in zip(model.distribution, counts, strict=True):
        value.add(count)
    if event.class_indices is not None and model.all_classes is not None:
        model.all_classes.add(np.bincount(event.class_indices, minlength=len(model.classes)))
    elif event.values is not None and model.edges is not None:
        model.prediction_bins.add(_binned(event.values, model.edges))
    if event.confidences is not None and model.confidence is not None:
        model.confidence.observe_many(event.confidences)


def _binned(values: NDArray[np.float64], edges: NDArray[np.float64]) -> NDArray[np.intp]:
    # A value that is not finite never gets here (it is an invalid output), and would fall in the last bin.
    return np.bincount(np.searchsorted(edges, values, side="left"), minlength=len(edges) + 1)
