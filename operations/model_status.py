"""What Prometheus knows of each model version: traffic, quality, labels, input, firing alerts."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Literal

from operations.model_series import combined_query
from operations.stack.prometheus_api import Alert, Prometheus, Sample

Signal = Literal["accuracy", "mae"]
Verdict = Literal["met", "missed_within_chance", "missed"]
"""A value against its objective; one beyond it is `missed` only if chance alone does not explain it."""
Pair = tuple[str, str]

OTHER: Pair = ("other", "other")
"""What requests for a model that does not exist are counted as."""
LABELS_NEEDED = 50
"""Ground truths below which the rules record no quality."""
REQUESTS_NEEDED = 20
"""Requests in 5m below which PredictorLatencyHigh does not judge a p95."""
STANDARD_ERRORS = 3
"""By which the share out of distribution must exceed its reference; as in ModelOutOfDistributionHigh."""
EXPECTED_NEEDED = 5
"""Rows out of distribution that the reference makes expect, below which that alert does not judge."""


@dataclass(frozen=True)
class Traffic:
    """Requests over the last 5m; the p95 is that of single predictions."""

    requests_per_second: float | None
    rows_per_second: float | None
    error_ratio: float | None
    latency_p95_seconds: float | None
    latency_p95_objective_seconds: float | None
    latency_verdict: Verdict | None


@dataclass(frozen=True)
class Quality:
    """Accuracy, or of a regression the mean absolute error in the target's unit, by truths that arrived."""

    signal: Signal | None
    value: float | None
    standard_error: float | None
    window: Literal["1h", "1d"] | None
    label_count: int | None
    label_count_needed: int
    objective: float | None
    verdict: Verdict | None


@dataclass(frozen=True)
class Labels:
    """Ground truths: how many, of how many predictions, and how late."""

    count_1h: int | None
    count_1d: int | None
    count_total: int | None
    coverage_ratio_7d: float | None
    delay_p50_seconds_1d: float | None
    delay_p90_seconds_1d: float | None


@dataclass(frozen=True)
class Input:
    """The rows of the last hour against those that the model was made with; drift has no rules yet."""

    rows_1h: int | None
    drift_1h: float | None
    out_of_distribution_ratio_1h: float | None
    out_of_distribution_reference_ratio: float | None
    out_of_distribution_z_1h: float | None
    out_of_distribution_verdict: Verdict | None


@dataclass(frozen=True)
class ModelStatus:
    """One model version.

    Args:
        roles: its role; several where replicas differ, none if Prometheus knows only what it counted.
        is_scraped: its counters are being scraped now.
        loaded_timestamp_seconds: since when it serves, as Unix time.
        alerts: names of those that fire for it.
    """

    model_name: str
    model_version: str
    roles: list[str]
    is_scraped: bool
    loaded_timestamp_seconds: float | None
    traffic: Traffic
    quality: Quality
    labels: Labels
    input: Input
    alerts: list[str]


def read_models(
    prometheus: Prometheus, clock_factor: int | None, alerts: Iterable[Alert]
) -> list[ModelStatus]:
    """Read every version that was exported within the last hour, counts something or has an alert.

    Args:
        prometheus: the one to ask; one request.
        clock_factor: how many times faster than in production its rules run; None if unknown.
        alerts: the alerts that fire there.

    Raises:
        PrometheusError: no usable answer.
    """
    return statuses(prometheus.query(combined_query(clock_factor or 1)), alerts)


def statuses(samples: Iterable[Sample], alerts: Iterable[Alert]) -> list[ModelStatus]:
    """Judge each version by the samples of the combined query; by name, the stable one first."""
    roles: dict[Pair, set[str]] = defaultdict(set)
    values: dict[Pair, dict[str, float]] = defaultdict(dict)
    for sample in samples:
        pair = _pair(sample)
        if sample.labels["value"] == "role":
            roles[pair].add(sample.labels.get("role", ""))
        elif math.isfinite(sample.value):
            values[pair][sample.labels["value"]] = sample.value
    firing: dict[Pair, set[str]] = defaultdict(set)
    for alert in alerts:
        if alert.model_name and alert.model_version:
            firing[alert.model_name, alert.model_version].add(alert.name)
    pairs = roles.keys() | values.keys() | firing.keys()
    if OTHER not in roles:
        pairs -= {OTHER}
    models = [_model(pair, roles[pair], values[pair], firing[pair]) for pair in pairs]
    return sorted(models, key=_order)


def _model(pair: Pair, roles: set[str], values: Mapping[str, float], firing: set[str]) -> ModelStatus:
    name, version = pair
    return ModelStatus(
        model_name=name,
        model_version=version,
        # A version without a role on one replica has one on another.
        roles=sorted(roles - {"none"}) or sorted(roles),
        is_scraped="is_scraped" in values,
        loaded_timestamp_seconds=values.get("loaded_timestamp_seconds"),
        traffic=_traffic(values),
        quality=_quality(values),
        labels=Labels(
            count_1h=_count(values, "labels_1h"),
            count_1d=_count(values, "labels_1d"),
            count_total=_count(values, "labels_total"),
            coverage_ratio_7d=values.get("label_coverage_ratio"),
            delay_p50_seconds_1d=values.get("label_delay_p50_seconds"),
            delay_p90_seconds_1d=values.get("label_delay_p90_seconds"),
        ),
        input=_input(values),
        alerts=sorted(firing),
    )


def _traffic(values: Mapping[str, float]) -> Traffic:
    p95, objective = values.get("latency_p95_seconds"), values.get("latency_objective_seconds")
    verdict: Verdict | None = None
    if p95 is not None and objective is not None:
        is_sure = values.get("latency_requests", 0) >= REQUESTS_NEEDED
        verdict = _verdict(p95 > objective, is_sure)
    return Traffic(
        requests_per_second=values.get("requests_per_second"),
        rows_per_second=values.get("rows_per_second"),
        error_ratio=values.get("error_ratio"),
        latency_p95_seconds=p95,
        latency_p95_objective_seconds=objective,
        latency_verdict=verdict,
    )


def _quality(values: Mapping[str, float]) -> Quality:
    signal = _signal(values)
    window = _window(values, signal)
    objective = values.get(f"{signal}_objective")
    value = values.get(f"{signal}_{window}")
    verdict: Verdict | None = None
    if value is not None and objective is not None:
        # The bound that the alerts judge: what the value is at best, as far as chance goes.
        best = values.get(f"{signal}_bound_{window}", objective)
        verdict = (
            _verdict(value < objective, best < objective)
            if signal == "accuracy"
            else _verdict(value > objective, best > objective)
        )
    # Without a value: the larger window's, since that is how near it is to one.
    counted_over = window or ("1d" if values.get("labels_1d", 0) > values.get("labels_1h", 0) else "1h")
    return Quality(
        signal=signal,
        value=value,
        standard_error=values.get(f"{signal}_stderr_{window}"),
        window=window,
        label_count=_count(values, f"labels_{counted_over}"),
        label_count_needed=LABELS_NEEDED,
        objective=objective,
        verdict=verdict,
    )


def _input(values: Mapping[str, float]) -> Input:
    z = values.get("out_of_distribution_z")
    rows, reference = values.get("input_rows"), values.get("out_of_distribution_reference_ratio")
    verdict: Verdict | None = None
    if z is not None and rows is not None and reference is not None:
        verdict = "missed" if z > STANDARD_ERRORS and rows * reference >= EXPECTED_NEEDED else "met"
    return Input(
        rows_1h=_count(values, "input_rows"),
        drift_1h=None,
        out_of_distribution_ratio_1h=values.get("out_of_distribution_ratio"),
        out_of_distribution_reference_ratio=reference,
        out_of_distribution_z_1h=z,
        out_of_distribution_verdict=verdict,
    )


def _signal(values: Mapping[str, float]) -> Signal | None:
    signals: tuple[Signal, ...] = ("accuracy", "mae")
    for signal in signals:
        if values.keys() & {f"{signal}_objective", f"{signal}_1h", f"{signal}_1d"}:
            return signal
    return None


def _window(values: Mapping[str, float], signal: Signal | None) -> Literal["1h", "1d"] | None:
    if f"{signal}_1h" in values:
        return "1h"
    return "1d" if f"{signal}_1d" in values else None


def _verdict(is_beyond: bool, is_sure: bool) -> Verdict:
    if not is_beyond:
        return "met"
    return "missed" if is_sure else "missed_within_chance"


def _count(values: Mapping[str, float], name: str) -> int | None:
    # An increase is extrapolated and rarely whole; rounded up, 49.6 of 50 would look like enough.
    return math.floor(values[name]) if name in values else None


def _order(model: ModelStatus) -> tuple[str, int, str]:
    rank = 0 if "stable" in model.roles else 2 if model.roles in ([], ["none"]) else 1
    return model.model_name, rank, model.model_version


def _pair(sample: Sample) -> Pair:
    return sample.labels.get("model_name", ""), sample.labels.get("model_version", "")
