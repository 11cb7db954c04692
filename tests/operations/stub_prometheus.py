"""A Prometheus that answers what a test gives it, over real HTTP."""

from __future__ import annotations

import contextlib
import json
import threading
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

Pair = tuple[str, str]


@dataclass
class StubPrometheus:
    """What it knows.

    Args:
        values: of each version, by the label `value` that the combined query gives a series.
        roles: of each version.
        targets: health by job.
        alerts: labels of those that fire; `description` among them becomes the annotation.
        clock_factor: of the rules that are loaded; None: none are.
        status: of each answer.
        body: of each answer, in place of the right one.
        questions: paths and forms that were asked, in order.
    """

    values: Mapping[Pair, Mapping[str, float | str]] = field(default_factory=dict)
    roles: Mapping[Pair, tuple[str, ...]] = field(default_factory=dict)
    targets: Mapping[str, str] = field(default_factory=lambda: {"predictor": "up"})
    alerts: list[dict[str, str]] = field(default_factory=list)
    clock_factor: int | None = 1
    status: int = 200
    body: bytes | None = None
    questions: list[tuple[str, str]] = field(default_factory=list)

    def answer(self, path: str) -> tuple[int, bytes]:
        """Answer one question."""
        if self.body is not None:
            return self.status, self.body
        answers = {
            "/api/v1/targets": self._targets,
            "/api/v1/alerts": self._alerts,
            "/api/v1/rules": self._rules,
            "/api/v1/query": self._query,
        }
        if path not in answers:
            return 404, b"404 page not found"
        return self.status, json.dumps({"status": "success", "data": answers[path]()}).encode()

    def _targets(self) -> dict[str, Any]:
        found = [
            {
                "labels": {"job": job, "instance": f"{job}:9101"},
                "health": health,
                "lastError": "" if health == "up" else "connection refused",
            }
            for job, health in self.targets.items()
        ]
        return {"activeTargets": found}

    def _alerts(self) -> dict[str, Any]:
        watchdog = {"alertname": "Watchdog", "severity": "none"}
        found = [
            {
                "labels": {name: text for name, text in alert.items() if name != "description"},
                "annotations": {"description": alert.get("description", "")},
                "state": state,
            }
            for state, alerts in (
                ("firing", [watchdog, *self.alerts]),
                ("pending", [{"alertname": "Pending"}]),
            )
            for alert in alerts
        ]
        return {"alerts": found}

    def _rules(self) -> dict[str, Any]:
        # As an older Prometheus, which lists groups that were not asked for.
        groups: list[dict[str, Any]] = [{"name": "of somebody else", "interval": 7}]
        if self.clock_factor:
            groups.append({"name": "quality_5m.recording", "interval": 300 / self.clock_factor})
        return {"groups": groups}

    def _query(self) -> dict[str, Any]:
        result = [
            _sample(pair, {"value": name}, value)
            for pair, values in self.values.items()
            for name, value in values.items()
        ]
        for pair, roles in self.roles.items():
            result += [_sample(pair, {"value": "role", "role": role}, 1) for role in roles]
        return {"resultType": "vector", "result": result}


@contextlib.contextmanager
def serving(stub: StubPrometheus) -> Iterator[str]:
    """Serve a stub on a free port and return its address."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            length = int(self.headers.get("Content-Length", 0))
            form = parse_qs(self.rfile.read(length).decode())
            stub.questions.append((self.path, form.get("query", [""])[0]))
            status, body = stub.answer(urlsplit(self.path).path)
            self.send_response(status)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def do_POST(self) -> None:
            self.do_GET()

        def log_message(self, *_arguments: object) -> None:
            """Say nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()
            thread.join()


def _sample(pair: Pair, labels: dict[str, str], value: float | str) -> dict[str, Any]:
    name, version = pair
    return {
        "metric": {"model_name": name, "model_version": version, **labels},
        "value": [1785000000.0, str(value)],
    }
