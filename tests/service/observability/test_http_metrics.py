"""HTTP requests are counted by route; clients cannot make series."""

from __future__ import annotations

from pathlib import Path

import pytest

from service.events import Announcer, HttpRequestFinished, HttpRequestStarted
from service.observability.http_metrics import HttpMetrics
from tests.service.observability.counted_bundles import fresh_files, nonzero, scraped


def fail(listener: str, error: Exception) -> None:
    """Let no error pass."""
    raise error


@pytest.fixture
def announcer(tmp_path: Path) -> Announcer:
    """Connect the metrics."""
    announcer = Announcer(fail)
    HttpMetrics(fresh_files(tmp_path)).subscribe(announcer)
    return announcer


@pytest.mark.parametrize(
    ("method", "handler", "status", "labels"),
    [
        ("POST", "/v1/predict", 200, "handler=/v1/predict,method=POST,status=200"),
        ("POST", "/v1/predict/batch", 503, "handler=/v1/predict/batch,method=POST,status=503"),
        ("GET", "/ready", 503, "handler=/ready,method=GET,status=503"),
        ("POST", "/v1/predict", 418, "handler=/v1/predict,method=POST,status=other"),
        ("GET", "/v1/predict", 405, "handler=other,method=other,status=405"),
        ("GET", "/wp-admin", 404, "handler=other,method=other,status=404"),
        ("BREW", "/wp-admin", 999, "handler=other,method=other,status=other"),
    ],
)
def test_request_is_counted_once(
    tmp_path: Path, announcer: Announcer, method: str, handler: str, status: int, labels: str
) -> None:
    """Under its route if that is known with this method and status, else under other."""
    before = scraped(tmp_path).keys()
    announcer.announce(HttpRequestStarted())
    announcer.announce(HttpRequestFinished(method, handler, status, 0.25))
    route = labels.rpartition(",")[0]
    moved = {name: value for name, value in nonzero(scraped(tmp_path), "").items() if "_bucket" not in name}
    assert moved == {
        f"http_requests_total{{{labels}}}": 1,
        f"http_request_duration_seconds_sum{{{route}}}": 0.25,
        f"http_request_duration_seconds_count{{{route}}}": 1,
    }
    assert scraped(tmp_path).keys() == before


def test_requests_in_progress_come_and_go(tmp_path: Path, announcer: Announcer) -> None:
    """The gauge is the number of requests between start and end."""
    for _ in range(3):
        announcer.announce(HttpRequestStarted())
    announcer.announce(HttpRequestFinished("GET", "/health", 200, 0.1))
    assert scraped(tmp_path)["http_requests_in_progress{}"] == 2
