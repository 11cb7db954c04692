"""Reads answers, metrics and the prediction log of an application under test."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from service.prediction_log.records import PredictionRecord, Record, read_payload
from tests.asgi import AsgiClient, Response
from tests.service.prediction_log.child_process import spooled


def metric(client: AsgiClient, name: str, **labels: str) -> float:
    """Read one sample of the exposition."""
    wanted = [f'{key}="{value}"' for key, value in labels.items()]
    for line in client.get("/metrics").body.decode().splitlines():
        if line.startswith(name) and all(label in line for label in wanted):
            return float(line.rsplit(" ", 1)[1])
    raise AssertionError(f"no sample of {name} with {labels}")


def ok(response: Response) -> Any:
    """Return the content of a good answer."""
    assert response.status == 200, response.body
    assert response.headers["content-type"] == "application/json"
    return response.json()


def logged(log_dir: Path) -> list[Record]:
    """Read what the application has spooled so far."""
    return [read_payload(payload) for payload in spooled(log_dir / "spool")]


def logged_predictions(log_dir: Path, request_id: str) -> PredictionRecord:
    """Find the one record of a request that is alone in it."""
    found = [
        record
        for record in logged(log_dir)
        if isinstance(record, PredictionRecord)
        and [one.request_id for one in record.requests] == [request_id]
    ]
    (record,) = found
    return record
