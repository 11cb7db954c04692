"""What a Prometheus says about targets, alerts and series, and whether the stack's predictor is ready."""

from __future__ import annotations

import http.client
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar
from urllib.parse import urlencode, urlsplit

from operations.stack.layout import Stack
from service.errors import PlumblineError

TARGETS = 3  # predictor, prometheus, alertmanager
CLOCK_GROUP, CLOCK_GROUP_SECONDS = "quality_5m.recording", 300
"""A group of the committed rules and its interval; a faster clock divides it."""

_TIMEOUT_SECONDS = 5
_FORM = {"Content-Type": "application/x-www-form-urlencoded"}

T = TypeVar("T")


class PrometheusError(PlumblineError):
    """Prometheus does not answer, or not as one; the text names its address."""


@dataclass(frozen=True)
class Target:
    """One scrape target."""

    job: str
    address: str
    health: str
    error: str


@dataclass(frozen=True)
class Alert:
    """One alert that fires; model and version are None where it is not about one."""

    name: str
    severity: str
    description: str
    model_name: str | None
    model_version: str | None


@dataclass(frozen=True)
class Sample:
    """One element of an instant vector; its value may be NaN or infinite."""

    labels: Mapping[str, str]
    value: float


class Prometheus:
    """Asks one Prometheus over its HTTP API; a question without a usable answer raises PrometheusError.

    Args:
        url: its address, with the path if it is served under one.

    Raises:
        PrometheusError: that is no address.
    """

    def __init__(self, url: str) -> None:
        self.url = url.rstrip("/")
        if not _is_address(self.url):
            raise PrometheusError(f"{url!r} is no address: give one like http://127.0.0.1:9090")

    def targets(self) -> list[Target]:
        """List the targets that it scrapes."""
        return self._ask(
            "/api/v1/targets?state=active", lambda data: list(map(_target, data["activeTargets"]))
        )

    def firing_alerts(self) -> list[Alert]:
        """List the alerts that fire, without Watchdog, which always does."""
        return self._ask(
            "/api/v1/alerts",
            lambda data: [
                _alert(each)
                for each in data["alerts"]
                if each["state"] == "firing" and each["labels"]["alertname"] != "Watchdog"
            ],
        )

    def query(self, expression: str) -> list[Sample]:
        """Evaluate an expression that gives an instant vector, now."""
        # Posted: a long expression may not fit into the address that a proxy takes.
        return self._ask(
            "/api/v1/query",
            lambda data: list(map(_sample, data["result"])),
            urlencode({"query": expression}),
        )

    def clock_factor(self) -> int | None:
        """Tell how many times faster than in production its rules run; None if Plumbline's are not loaded."""
        parameters = urlencode({"type": "record", "rule_group[]": CLOCK_GROUP})
        # An older Prometheus does not know the second parameter and lists every group.
        seconds: list[float] = self._ask(
            f"/api/v1/rules?{parameters}",
            lambda data: [each["interval"] for each in data["groups"] if each["name"] == CLOCK_GROUP],
        )
        return max(1, round(CLOCK_GROUP_SECONDS / seconds[0])) if seconds else None

    def _ask(self, path: str, read: Callable[[Any], T], form: str | None = None) -> T:
        try:
            status, body = _fetch(self.url + path, form)
        except (OSError, http.client.HTTPException) as error:
            reason = getattr(error, "strerror", None) or str(error) or type(error).__name__
            raise PrometheusError(f"Prometheus at {self.url} does not answer: {reason}") from None
        try:
            content = json.loads(body)
            if status == http.client.OK:
                return read(content["data"])
            reason = printable(content["error"])
        except (ValueError, LookupError, TypeError, AttributeError):
            raise PrometheusError(f"{self.url} answers {status}, but not as a Prometheus does") from None
        raise PrometheusError(f"Prometheus at {self.url} answers {status}: {reason}")


def targets(stack: Stack) -> list[Target]:
    """List the targets of the stack; none if its Prometheus does not answer."""
    try:
        return Prometheus(stack.url("prometheus")).targets()
    except PrometheusError:
        return []


def are_all_up(stack: Stack) -> bool:
    """Tell whether every target of the stack is up."""
    found = targets(stack)
    return len(found) >= TARGETS and all(each.health == "up" for each in found)


def firing_alerts(stack: Stack) -> list[Alert]:
    """List the alerts of the stack that fire; none if its Prometheus does not answer."""
    try:
        return Prometheus(stack.url("prometheus")).firing_alerts()
    except PrometheusError:
        return []


def is_predictor_ready(stack: Stack) -> bool:
    """Tell whether the predictor answers 200 on /ready."""
    try:
        return _fetch(f"{stack.url('predictor')}/ready")[0] == http.client.OK
    except (OSError, http.client.HTTPException):
        return False


def printable(text: str) -> str:
    """Put a text on one line and take out what a terminal would obey; a label may hold anything."""
    return "".join(each if each.isprintable() else "?" for each in " ".join(text.split()))


def _target(item: Any) -> Target:
    labels = item["labels"]
    words = (labels.get("job", ""), labels.get("instance", ""), item["health"], item["lastError"])
    return Target(*map(printable, words))


def _alert(item: Any) -> Alert:
    labels = {name: printable(text) for name, text in item["labels"].items()}
    return Alert(
        labels["alertname"],
        labels.get("severity", ""),
        printable(item["annotations"].get("description", "")),
        labels.get("model_name"),
        labels.get("model_version"),
    )


def _sample(item: Any) -> Sample:
    labels = {name: printable(text) for name, text in item["metric"].items()}
    return Sample(labels, float(item["value"][1]))


def _is_address(url: str) -> bool:
    try:
        parts = urlsplit(url)
        is_whole = parts.scheme in {"http", "https"} and parts.hostname and parts.port != 0
    except ValueError:
        return False
    return bool(is_whole) and not (parts.username or parts.query or parts.fragment)


def _fetch(url: str, form: str | None = None) -> tuple[int, bytes]:
    parts = urlsplit(url)
    connect = http.client.HTTPSConnection if parts.scheme == "https" else http.client.HTTPConnection
    connection = connect(parts.hostname or "", parts.port, timeout=_TIMEOUT_SECONDS)
    path = f"{parts.path}?{parts.query}" if parts.query else parts.path
    try:
        connection.request("POST" if form else "GET", path, form, _FORM if form else {})
        response = connection.getresponse()
        return response.status, response.read()
    finally:
        connection.close()
