"""What the stack's own Prometheus and predictor say about themselves."""

from __future__ import annotations

import http.client
import json
from dataclasses import dataclass
from typing import Any

from operations.stack.layout import LOOPBACK, Stack

_TIMEOUT_SECONDS = 5
TARGETS = 3  # predictor, prometheus, alertmanager


@dataclass(frozen=True)
class Target:
    """One scrape target."""

    job: str
    address: str
    health: str
    error: str


@dataclass(frozen=True)
class Alert:
    """One alert that fires."""

    name: str
    severity: str
    description: str


def targets(stack: Stack) -> list[Target]:
    """List the targets; none if Prometheus does not answer."""
    data = _get(stack, "/api/v1/targets?state=active").get("activeTargets", [])
    return [
        Target(each["labels"]["job"], each["labels"]["instance"], each["health"], each["lastError"])
        for each in data
    ]


def are_all_up(stack: Stack) -> bool:
    """Tell whether every target is up."""
    found = targets(stack)
    return len(found) >= TARGETS and all(each.health == "up" for each in found)


def firing_alerts(stack: Stack) -> list[Alert]:
    """List the alerts that fire, without Watchdog, which always does."""
    return [
        Alert(
            each["labels"]["alertname"],
            each["labels"].get("severity", ""),
            each["annotations"].get("description", ""),
        )
        for each in _get(stack, "/api/v1/alerts").get("alerts", [])
        if each["state"] == "firing" and each["labels"]["alertname"] != "Watchdog"
    ]


def is_predictor_ready(stack: Stack) -> bool:
    """Tell whether the predictor answers 200 on /ready."""
    return _request(stack.ports.predictor, "/ready")[0] == http.client.OK


def _get(stack: Stack, path: str) -> dict[str, Any]:
    status, body = _request(stack.ports.prometheus, path)
    if status != http.client.OK:
        return {}
    data: dict[str, Any] = json.loads(body)["data"]
    return data


def _request(port: int, path: str) -> tuple[int, bytes]:
    connection = http.client.HTTPConnection(LOOPBACK, port, timeout=_TIMEOUT_SECONDS)
    try:
        connection.request("GET", path)
        response = connection.getresponse()
        return response.status, response.read()
    except (OSError, http.client.HTTPException):
        return 0, b""
    finally:
        connection.close()
