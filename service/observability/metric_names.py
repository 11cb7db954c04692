"""Every metric of Plumbline, declared once as data; imports no library, so that every test may read it."""

from __future__ import annotations

from typing import Literal

from service.observability.metric import Metric
from service.prediction_log.outcomes import DELAY_BOUNDS, SCORE_BOUNDS

MODEL = ("model_name", "model_version")

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

# Made by the drainer from totals that are committed with the truths themselves; see docs/metrics.md.
ML_GROUND_TRUTH = _counter(
    "ml_ground_truth_total", "Ground truths received, by what became of them.", *MODEL, "result"
)
ML_OUTCOMES = _counter(
    "ml_outcomes_total",
    "Counted truths by predicted and actual class; models of up to 20 classes.",
    *MODEL,
    "predicted",
    "actual",
)
ML_CLASS_OUTCOMES = _counter(
    "ml_class_outcomes_total",
    "Counted truths of each class: actual, predicted, and correct (both).",
    *MODEL,
    "class",
    "aspect",
)
ML_OVERESTIMATE = _counter(
    "ml_overestimate_total", "Sum of predictions above the truth, in reference standard deviations.", *MODEL
)
ML_UNDERESTIMATE = _counter(
    "ml_underestimate_total", "Sum of predictions below the truth, in reference standard deviations.", *MODEL
)
ML_SQUARED_ERROR = _counter(
    "ml_squared_error_total", "Sum of squared errors, in squared reference standard deviations.", *MODEL
)
ML_SCORE = _histogram(
    "ml_score",
    "Log-odds of the second class for each counted truth, by actual class; binary models.",
    SCORE_BOUNDS,
    *MODEL,
    "actual",
)
ML_CALIBRATION_PREDICTIONS = _counter(
    "ml_calibration_predictions_total", "Counted truths by confidence of the prediction.", *MODEL, "bin"
)
ML_CALIBRATION_CORRECT = _counter(
    "ml_calibration_correct_total", "Counted truths that the prediction met, by confidence.", *MODEL, "bin"
)
ML_CALIBRATION_CONFIDENCE = _counter(
    "ml_calibration_confidence_total",
    "Sum of the confidence of counted truths, by confidence.",
    *MODEL,
    "bin",
)
ML_SQUARED_PROBABILITY_ERROR = _counter(
    "ml_squared_probability_error_total",
    "Sum of (confidence - 1 if correct else 0) squared over counted truths: Brier score times their number.",
    *MODEL,
)
ML_GROUND_TRUTH_DELAY = _histogram(
    "ml_ground_truth_delay_seconds",
    "Seconds from a prediction to the arrival of its counted truth.",
    DELAY_BOUNDS,
    *MODEL,
)
ML_GROUND_TRUTH_LAST_TIMESTAMP = _gauge(
    "ml_ground_truth_last_timestamp_seconds",
    "Unix time of the last counted truth; before the first one, of the first prediction in the log.",
    *MODEL,
    fold="max",
)

# Made by workers, drainer and exporter about the prediction log.
ML_PREDICTION_LOG_RECORDS = _counter(
    "ml_prediction_log_records_total",
    "Predictions and truths on their way through the prediction log, by what became of them.",
    "result",
)
ML_PREDICTION_LOG_BACKLOG = _gauge(
    "ml_prediction_log_backlog_bytes", "Bytes in the spool that are not yet in the database."
)
ML_PREDICTION_LOG_CAPACITY = _gauge(
    "ml_prediction_log_capacity_bytes", "Bytes that the spool may hold before records are dropped."
)
ML_PREDICTION_LOG_DRAIN_LAG = _gauge(
    "ml_prediction_log_drain_lag_seconds", "Age of the oldest record that is not yet in the database."
)

# Made by the exporter from the bundles on disk.
ML_SCORE_BIN = _gauge(
    "ml_score_bin", "Always 1; lower and upper bound of each bucket of ml_score.", "lower", "upper"
)
ML_TARGET_REFERENCE_STDDEV = _gauge(
    "ml_target_reference_stddev",
    "Standard deviation of the target in training data: the unit of error sums; regression.",
    *MODEL,
)
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
