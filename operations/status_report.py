"""What `plumbline status` tells, gathered from a native stack or from any Prometheus."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from operations.model_status import ModelStatus, read_models
from operations.stack.layout import Stack, StackError, load_stack
from operations.stack.prometheus_api import TARGETS, Alert, Prometheus, PrometheusError, Target
from operations.stack.supervision import ProgramState, Supervisor


@dataclass(frozen=True)
class Program:
    """One program of the native stack; pid and uptime are those of its process, if it has one."""

    name: str
    state: str
    pid: int | None
    uptime_seconds: int | None
    restarts: int
    address: str | None


@dataclass(frozen=True)
class Source:
    """The Prometheus that was asked.

    Args:
        url: its address.
        error: why it told nothing, if so.
        clock_factor: how many times faster than in production its rules run; None if it has none of ours.
    """

    url: str
    error: str | None
    clock_factor: int | None


@dataclass(frozen=True)
class Report:
    """Everything, in the shape of `--json`.

    Args:
        time: when it was read, UTC.
        is_healthy: every program runs and every target is up.
        prometheus: where targets, models and alerts come from.
        programs: None where it was not a native stack that was asked.
        targets: all that are scraped.
        models: every version that is known.
        alerts: all that fire, those of models too.
    """

    time: str
    is_healthy: bool
    prometheus: Source
    programs: list[Program] | None
    targets: list[Target]
    models: list[ModelStatus]
    alerts: list[Alert]


def report_of_prometheus(url: str) -> Report:
    """Read any Prometheus.

    Raises:
        PrometheusError: it does not answer.
    """
    prometheus = Prometheus(url)
    return _read(prometheus, prometheus.clock_factor(), None, targets_expected=1)


def report_of_stack(local: Path) -> Report:
    """Read the native stack with this folder; its programs are told even if its Prometheus does not answer.

    Raises:
        StackError: no stack runs with it.
    """
    try:
        stack = load_stack(local)
        programs = [_program(stack, state) for state in Supervisor(stack.layout).programs()]
    except StackError as error:
        raise StackError(f"{error}; for another Prometheus give --prometheus URL") from None
    prometheus = Prometheus(stack.url("prometheus"))
    try:
        return _read(prometheus, stack.factor, programs, TARGETS)
    except PrometheusError as error:
        source = Source(prometheus.url, str(error), stack.factor)
        return Report(_now(), False, source, programs, targets=[], models=[], alerts=[])


def _read(
    prometheus: Prometheus, clock_factor: int | None, programs: list[Program] | None, targets_expected: int
) -> Report:
    targets, alerts = prometheus.targets(), prometheus.firing_alerts()
    return Report(
        time=_now(),
        is_healthy=all(program.state == "running" for program in programs or [])
        and len(targets) >= targets_expected
        and all(target.health == "up" for target in targets),
        prometheus=Source(prometheus.url, None, clock_factor),
        programs=programs,
        targets=targets,
        models=read_models(prometheus, clock_factor, alerts),
        alerts=alerts,
    )


def _program(stack: Stack, state: ProgramState) -> Program:
    return Program(
        name=state.name,
        state=state.state.lower(),
        pid=state.pid or None,
        uptime_seconds=state.uptime_seconds if state.pid else None,
        restarts=state.restarts,
        address=stack.url(state.name) if hasattr(stack.ports, state.name) else None,
    )


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")
