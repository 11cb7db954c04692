"""Every metric of Plumbline, declared once as data; imports no library, so that every test may read it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

MetricType = Literal["counter", "gauge", "histogram"]

MODEL = ("model_name", "model_version")


@dataclass(frozen=True, slots=True)
class Metric:
    """One metric family.

    Args:
        name: the family as Prometheus shows it in `# TYPE`; a counter's ends in `_total`.
        type: its Prometheus type.
        help: one full sentence.
        labels: names of its labels; a histogram's `le` is not among them.
        bounds: upper bounds of a histogram's buckets, without +Inf.
        fold: how a gauge's values of several workers become one.
    """

    name: str
    type: MetricType
    help: str
    labels: tuple[str, ...] = ()
    bounds: tuple[float, ...] = ()
    fold: Literal["sum", "max"] = "sum"

    @property
    def series(self) -> tuple[str, ...]:
        """The names that queries may ask for."""
        if self.type == "histogram":
            return (f"{self.name}_bucket", f"{self.name}_sum", f"{self.name}_count")
        return (self.name,)


METRICS: dict[str, Metric] = {}
"""Every metric by its name: the closed list that rules, boards and docs/metrics.md are checked against."""


def _declare(metric: Metric) -> Metric:
    assert metric.name not in METRICS
    METRICS[metric.name] = metric
    return metric


def _counter(name: str, text: str, *labels: str) -> Metric:
    return _declare(Metric(name, "counter", text, labels))


def _gauge(name: str, text: str, *labels: str, fold: Literal["sum", "max"] = "sum") -> Metric:
    return _declare(Metric(name, "gauge", text, labels, fold=fold))


def _histogram(name: str, text: str, bounds: tuple[float, ...], *labels: str) -> Metric:
    return _declare(Metric(name, "histogram", text, labels, bounds))


# From half a millisecond (a compiled model) to the request deadline; 0.5 is the default latency objective,
# and an objective must be a bound, so that the share of slow requests is counted, not interpolated.
LATENCY_BOUNDS = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0)
# A stage of a small model takes microseconds, so the scale starts a decade lower than that of requests.
STAGE_BOUNDS = (
    0.00005,
    0.0001,
    0.00025,
    0.0005,
    0.001,
    0.0025,
    0.005,
    0.01,
    0.025,
    0.05,
    0.1,
    0.25,
    1.0,
    5.0,
)
# Powers of two up to the largest micro-batch by default.
ROWS_BOUNDS = (1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0)
# Linear, since confidence is a share and boards draw it as it is.
CONFIDENCE_BOUNDS = tuple(step / 20 for step in range(1, 21))
# From a word to the longest text that a signature allows.
TEXT_LENGTH_BOUNDS = (10.0, 25.0, 50.0, 100.0, 250.0, 500.0, 1000.0, 2500.0, 5000.0, 10000.0)

HTTP_REQUESTS = _counter(
    "http_requests_total", "HTTP requests by route and status.", "method", "handler", "status"
)
HTTP_REQUEST_DURATION = _histogram(
    "http_request_duration_seconds",
    "Seconds from the entry of an HTTP request to its answer.",
    LATENCY_BOUNDS,
    "method",
    "handler",
)
HTTP_REQUESTS_IN_PROGRESS = _gauge("http_requests_in_progress", "HTTP requests being handled.")

ML_REQUESTS = _counter("ml_requests_total", "Prediction requests by outcome.", *MODEL, "outcome")
ML_REQUEST_DURATION = _histogram(
    "ml_request_duration_seconds",
    "Seconds of a prediction request that reached the model: outcome ok, failed or expired.",
    LATENCY_BOUNDS,
    *MODEL,
    "kind",
)
ML_PREDICTIONS = _counter(
    "ml_predictions_total", "Rows predicted, by predicted class.", *MODEL, "predicted_class"
)
ML_PREDICTION_BIN = _counter(
    "ml_prediction_bin_total",
    "Rows predicted by a regression model, by bin of the prediction.",
    *MODEL,
    "bin",
)
ML_STAGE_DURATION = _histogram(
    "ml_stage_duration_seconds",
    "Seconds by stage: queue of each request, the others of each call of the model.",
    STAGE_BOUNDS,
    *MODEL,
    "stage",
)
ML_BATCH_ROWS = _histogram("ml_batch_rows", "Rows in one call of the model.", ROWS_BOUNDS, *MODEL)
ML_QUEUE_ROWS = _gauge("ml_queue_rows", "Rows that wait for the model.", *MODEL)
ML_CONFIDENCE = _histogram(
    "ml_confidence", "Probability of the predicted class, of each row.", CONFIDENCE_BOUNDS, *MODEL
)
ML_IN_DISTRIBUTION = _counter("ml_input_in_distribution_total", "Rows that look like the reference.", *MODEL)
ML_OUT_OF_DISTRIBUTION = _counter(
    "ml_input_out_of_distribution_total",
    "Rows that do not look like the reference, by the first reason that applies.",
    *MODEL,
    "reason",
)
ML_TEXT_LENGTH = _histogram("ml_text_length", "Characters of each text.", TEXT_LENGTH_BOUNDS, *MODEL)
ML_FEATURE_BIN = _counter(
    "ml_feature_bin_total", "Rows by bin of each monitored feature.", *MODEL, "feature", "bin"
)
ML_FEATURE_MISSING = _counter(
    "ml_feature_missing_total", "Rows in which a monitored feature is missing.", *MODEL, "feature"
)
ML_FEATURE_OUT_OF_RANGE = _counter(
    "ml_feature_out_of_range_total", "Rows in which a number lies outside the reference.", *MODEL, "feature"
)
ML_FEATURE_UNKNOWN_CATEGORY = _counter(
    "ml_feature_unknown_category_total",
    "Rows in which a category is not one of the signature's.",
    *MODEL,
    "feature",
)
ML_SCHEMA_VIOLATIONS = _counter(
    "ml_schema_violations_total",
    "Ways in which refused inputs break the signature, at most five of each request.",
    *MODEL,
    "field",
    "reason",
)
ML_INVALID_OUTPUTS = _counter(
    "ml_invalid_outputs_total", "Outputs of the model that must not leave.", *MODEL, "reason"
)
ML_MODEL_READY = _gauge("ml_model_ready", "Workers in which this version passed its checks.", *MODEL)
ML_MODEL_LOADED_TIMESTAMP = _gauge(
    "ml_model_loaded_timestamp_seconds",
    "Unix time at which this version was last loaded.",
    *MODEL,
    fold="max",
)
ML_MODEL_LOAD_FAILURES = _counter(
    "ml_model_load_failures_total", "Loads of this version that failed, by reason.", *MODEL, "reason"
)
ML_LISTENER_ERRORS = _counter(
    "ml_listener_errors_total", "Errors raised by listeners; no request failed from them.", "listener"
)
PLUMBLINE_WORKERS_READY = _gauge("plumbline_workers_ready", "Workers whose /ready answers 200.")

# Made by the exporter from the bundles on disk.
ML_MODEL_INFO = _gauge(
    "ml_model_info", "Always 1; identity and role of a version.", *MODEL, "role", "sha256", "framework"
)
ML_OBJECTIVE = _gauge("ml_objective", "Objectives of a version, by signal.", *MODEL, "signal")
ML_REFERENCE_ROWS = _gauge("ml_reference_rows", "Rows behind the reference of the features.", *MODEL)
ML_FEATURE_REFERENCE_RATIO = _gauge(
    "ml_feature_reference_ratio", "Share of the reference rows by bin.", *MODEL, "feature", "bin"
)
ML_PREDICTED_CLASS_REFERENCE_RATIO = _gauge(
    "ml_predicted_class_reference_ratio",
    "Share of the validation rows by predicted class.",
    *MODEL,
    "predicted_class",
)
ML_PREDICTION_BIN_REFERENCE_RATIO = _gauge(
    "ml_prediction_bin_reference_ratio",
    "Share of the validation rows by bin of the prediction.",
    *MODEL,
    "bin",
)
ML_OUT_OF_DISTRIBUTION_REFERENCE_RATIO = _gauge(
    "ml_out_of_distribution_reference_ratio",
    "Share of the validation rows that are flagged as out of distribution.",
    *MODEL,
)
ML_OUT_OF_DISTRIBUTION_REFERENCE_ROWS = _gauge(
    "ml_out_of_distribution_reference_rows", "Validation rows behind that share.", *MODEL
)

# Made by the exporter from its own work and from /proc.
PLUMBLINE_WORKERS = _gauge("plumbline_workers", "Live worker processes.")
PLUMBLINE_WORKERS_CONFIGURED = _gauge("plumbline_workers_configured", "Worker processes there should be.")
PLUMBLINE_WORKER_CPU = _counter(
    "plumbline_worker_cpu_seconds_total", "CPU seconds of the worker that holds the slot.", "slot"
)
PLUMBLINE_WORKER_MEMORY = _gauge(
    "plumbline_worker_resident_memory_bytes", "Resident memory of the worker that holds the slot.", "slot"
)
PLUMBLINE_EXPOSITION_FILES = _gauge("plumbline_exposition_files", "Counter files merged by this scrape.")
PLUMBLINE_EXPOSITION_BAD_FILES = _counter(
    "plumbline_exposition_bad_files_total", "Counter files skipped because they could not be read."
)
PLUMBLINE_EXPOSITION_DURATION = _gauge(
    "plumbline_exposition_duration_seconds", "Seconds that the last scrape took to merge and write."
)
