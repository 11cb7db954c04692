"""The series that `plumbline status` reads of every model version, in one query."""

from __future__ import annotations

_PAIR = "model_name, model_version"
# Per pair each, the largest where replicas or several Prometheus servers give more than one.
_SERIES = {
    "requests_per_second": "model:ml_requests:rate5m",
    "rows_per_second": "model:ml_predictions:rate5m",
    "error_ratio": "model:ml_errors_per_request:ratio_rate5m",
    "latency_p95_seconds": 'model_kind:ml_request_duration_seconds:p95_rate5m{kind="single"}',
    "latency_requests": 'model_kind:ml_request_duration_seconds_count:increase5m{kind="single"}',
    "latency_objective_seconds": "model:ml_objective_latency_p95_seconds:last1h",
    "accuracy_objective": "model:ml_objective_accuracy:last1h",
    "mae_objective": "model:ml_objective_mae:last1h",
    "labels_1h": "model:ml_ground_truth:increase1h",
    "accuracy_1h": "model:ml_accuracy:ratio1h",
    "accuracy_stderr_1h": "model:ml_accuracy:stderr1h",
    "accuracy_bound_1h": "model:ml_accuracy:upper1h",
    "mae_1h": "model:ml_mae:ratio1h",
    "mae_stderr_1h": "model:ml_mae:stderr1h",
    "mae_bound_1h": "model:ml_mae:lower1h",
    "input_rows": "model:ml_inputs:increase1h",
    "out_of_distribution_ratio": "model:ml_out_of_distribution_per_input:ratio1h",
    "out_of_distribution_z": "model:ml_out_of_distribution_per_input:z1h",
    "out_of_distribution_reference_ratio": "model:ml_out_of_distribution_reference_ratio:last1h",
}
# Written every 5m: read as the last value of 10m, or they would be absent when one is a little late.
_SLOW_SERIES = {
    "labels_1d": "model:ml_ground_truth:increase1d",
    "accuracy_1d": "model:ml_accuracy:ratio1d",
    "accuracy_stderr_1d": "model:ml_accuracy:stderr1d",
    "accuracy_bound_1d": "model:ml_accuracy:upper1d",
    "mae_1d": "model:ml_mae:ratio1d",
    "mae_stderr_1d": "model:ml_mae:stderr1d",
    "mae_bound_1d": "model:ml_mae:lower1d",
    "label_coverage_ratio": "model:ml_label_coverage:ratio7d",
    "label_delay_p50_seconds": "model:ml_ground_truth_delay_seconds:p50_1d",
    "label_delay_p90_seconds": "model:ml_ground_truth_delay_seconds:p90_1d",
}


def combined_query(clock_factor: int) -> str:
    """Ask for everything at once: the union of all series, each marked by the label `value`."""
    hour, slow = _duration(3600, clock_factor), _duration(600, clock_factor)
    queries = {
        # With a dead target the last role stands; while it lives, only the present one.
        "role": f"max by ({_PAIR}, role) (ml_model_info) or on ({_PAIR}) "
        f"max by ({_PAIR}, role) (last_over_time(ml_model_info[{hour}]))",
        "is_scraped": f"max by ({_PAIR}) (ml_model_info)",
        "loaded_timestamp_seconds": f"min by ({_PAIR}) (ml_model_loaded_timestamp_seconds > 0)",
        "labels_total": f'sum by ({_PAIR}) (ml_ground_truth_total{{result="counted"}})',
        **{name: f"max by ({_PAIR}) ({series})" for name, series in _SERIES.items()},
        **{
            name: f"max by ({_PAIR}) (last_over_time({series}[{slow}]))"
            for name, series in _SLOW_SERIES.items()
        },
    }
    return " or ".join(
        f'label_replace({query}, "value", "{name}", "", "")' for name, query in queries.items()
    )


def _duration(seconds: int, clock_factor: int) -> str:
    return f"{max(1, seconds // clock_factor)}s"
