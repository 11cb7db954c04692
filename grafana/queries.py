"""The PromQL of the boards, as named functions; windows arrive already scaled to the clock.

Where a rule of `prometheus/rules` records a number, a board shows that very series, so that board and alert
never differ; such a series keeps its name (`ratio1h`) on the demo clock too.
"""

from __future__ import annotations

MODEL = 'model_name=~"$model_name",model_version=~"$model_version"'
PAIR = "model_name, model_version"
# A request that was shed before its body was read belongs to no model, yet to every selection.
REQUESTS = 'model_name=~"$model_name|",model_version=~"$model_version|"'
# An alert without a model label (PredictorDown) belongs on every selection.
ALERT = 'alertstate="firing",severity=~"critical|warning",model_name=~"$model_name|"'
REJECTED = 'outcome="rejected"'
# The latency objective is that of one row.
SINGLE = 'kind!="batch"'
BAD_OUTCOMES = 'outcome=~"failed|shed|expired"'
AVAILABILITY_OBJECTIVE = 0.999
# Written out, since 1 - 0.999 is no round number in binary.
BAD_SHARE_MAX = 0.001
# Below so many rows a share says more about chance than about the model.
ROWS_MIN = 50
# Below so many requests the slowest one alone is the 95th percentile.
REQUESTS_MIN = 20


def increase(metric: str, window: str, by: str = PAIR, labels: str = "") -> str:
    """Count events of the selected models in a window."""
    selector = f"{MODEL},{labels}" if labels else MODEL
    return f"sum by ({by}) (increase({metric}{{{selector}}}[{window}]))"


def rate(metric: str, by: str, labels: str = "") -> str:
    """Count events of the selected models by second."""
    selector = f"{MODEL},{labels}" if labels else MODEL
    return f"sum by ({by}) (rate({metric}{{{selector}}}[$__rate_interval]))"


def constant(metric: str, by: str = PAIR, labels: str = "") -> str:
    """Read a constant of the bundle, which several targets may export alike."""
    selector = f"{MODEL},{labels}" if labels else MODEL
    return f"max by ({by}) ({metric}{{{selector}}})"


def total(expression: str) -> str:
    """Add up all series to a whole number; 0 if there is none."""
    return f"round(sum({expression})) or vector(0)"


# ---- healthy?


def predictor_state() -> str:
    """Return 1 up, 0 down or without workers, -1 if nothing is scraped at all."""
    up = 'min(up{job="predictor"})'
    return f"{up} * (sum(plumbline_workers) > bool 0) or {up} * 0 or vector(-1)"


def workers_ready_share() -> str:
    """Return the share of configured workers that would answer /ready with 200."""
    return "sum(plumbline_workers_ready) / (sum(plumbline_workers_configured) > 0)"


def workers_configured() -> str:
    """Return the number of workers the predictor should run."""
    return "sum(plumbline_workers_configured)"


def firing_alerts(severity: str) -> str:
    """Count firing alerts of one severity; 0 if there is none."""
    return (
        f'count(ALERTS{{alertstate="firing",severity="{severity}",model_name=~"$model_name|"}}) or vector(0)'
    )


def good_answers_share(window: str) -> str:
    """Return the share of requests that the service did not fail, shed or let expire."""
    return f"1 - {_requests(window, BAD_OUTCOMES)} / ({_requests(window)} > 0)"


def rejected_share(window: str) -> str:
    """Return the share of requests that were refused for their input."""
    return f"{_requests(window, REJECTED)} / ({_requests(window)} > 0)"


def requests(window: str) -> str:
    """Count the requests of the selected models."""
    return f"round({_requests(window)}) or vector(0)"


def _requests(window: str, labels: str = "") -> str:
    selector = f"{REQUESTS},{labels}" if labels else REQUESTS
    return f"sum(increase(ml_requests_total{{{selector}}}[{window}]))"


def requests_by_outcome(labels: str = "") -> str:
    """Count requests by second and outcome."""
    selector = f"{REQUESTS},{labels}" if labels else REQUESTS
    return f"sum by (outcome) (model_outcome:ml_requests:rate5m{{{selector}}})"


def bad_share_by_outcome() -> str:
    """Return the share of requests failed, shed and expired."""
    return f"{requests_by_outcome(BAD_OUTCOMES)} / on () group_left () (sum({requests_by_outcome()}) > 0)"


# ---- slower?


def p95_seconds() -> str:
    """Return the 95th percentile of the duration of single predictions by model version."""
    return f"max by ({PAIR}) (model_kind:ml_request_duration_seconds:p95_rate5m{{{MODEL},{SINGLE}}})"


def p95_objective() -> str:
    """Return the 95th percentile that each model promises."""
    return constant("model:ml_objective_latency_p95_seconds:last1h")


def p95_against_objective() -> str:
    """Return the 95th percentile as a share of the model's own objective; absent with too few requests."""
    enough = f"sum by ({PAIR}) ({single_requests()}) >= {REQUESTS_MIN}"
    return f"({p95_seconds()} / {p95_objective()} and {enough})"


def single_requests() -> str:
    """Count the requests behind the 95th percentile."""
    return f"model_kind:ml_request_duration_seconds_count:increase5m{{{MODEL},{SINGLE}}}"


def stage_seconds() -> str:
    """Return the mean time that a micro-batch spends in each stage."""
    seconds = rate("ml_stage_duration_seconds_sum", "stage")
    return f"{seconds} / ({rate('ml_stage_duration_seconds_count', 'stage')} > 0)"


# ---- is the model right?


def rows_scored() -> str:
    """Count the rows whose in or out of distribution verdict is final, by model version, over 1h."""
    return constant("model:ml_inputs:increase1h")


def out_of_distribution_share() -> str:
    """Return the share of rows out of distribution over 1h, by model version with enough rows."""
    share = constant("model:ml_out_of_distribution_per_input:ratio1h")
    return f"{share} and {rows_scored()} >= {ROWS_MIN}"


def out_of_distribution_reference() -> str:
    """Return the share of held-out validation rows that were out of distribution."""
    return constant("model:ml_out_of_distribution_reference_ratio:last1h")


def out_of_distribution_z() -> str:
    """Return how many standard errors the share lies above the reference; absent with too few rows."""
    z = constant("model:ml_out_of_distribution_per_input:z1h")
    return f"({z} and {rows_scored()} * {out_of_distribution_reference()} >= 5)"


def mean_confidence(window: str) -> str:
    """Return the mean confidence by model version with enough rows."""
    confidence = increase("ml_confidence_sum", window)
    return f"{confidence} / ({increase('ml_confidence_count', window)} >= {ROWS_MIN})"


def predicted_class_shift(window: str) -> str:
    """Return each class's share of predictions minus its share in the reference."""
    return _shift("ml_predictions_total", "ml_predicted_class_reference_ratio", "predicted_class", window)


def prediction_shift(window: str) -> str:
    """Return the share of predictions that would have to move to restore the reference, by model version."""
    classes = predicted_class_shift(window)
    bins = _shift("ml_prediction_bin_total", "ml_prediction_bin_reference_ratio", "bin", window)
    return " or ".join(f"0.5 * sum by ({PAIR}) (abs({shift}))" for shift in (classes, bins))


def _shift(counter: str, reference: str, part: str, window: str) -> str:
    counts = increase(counter, window, f"{PAIR}, {part}")
    share = f"{counts} / on ({PAIR}) group_left () ({increase(counter, window)} >= {ROWS_MIN})"
    return f"{share} - {constant(reference, f'{PAIR}, {part}')}"


# ---- what is live?


def roles() -> str:
    """List the loaded model versions with their roles."""
    return constant("ml_model_info", f"{PAIR}, role")


def ready_workers() -> str:
    """Count the workers in which each version passed its checks."""
    return constant("ml_model_ready")


def loaded_milliseconds() -> str:
    """Return when each version was loaded, as Grafana counts time."""
    return f"1000 * {constant('ml_model_loaded_timestamp_seconds')}"


def alerts_firing() -> str:
    """List the firing alerts that a person has to do something about."""
    return f"ALERTS{{{ALERT}}}"


def alerts_since_milliseconds() -> str:
    """List the firing alerts, valued with the time since when their condition holds."""
    labels = f"alertname, severity, {PAIR}"
    return f"1000 * max by ({labels}) (ALERTS_FOR_STATE and ignoring (alertstate) {alerts_firing()})"
