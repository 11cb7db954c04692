"""Counts HTTP requests by route; what the table of routes does not hold falls in `other`."""

from __future__ import annotations

from threading import Lock

from service.events import Announcer, HttpRequestFinished, HttpRequestStarted
from service.observability import metric_names as names
from service.observability.label_values import HTTP_HANDLERS, OTHER
from service.observability.value_files import Histogram, Value, ValueFiles

NAME = "http"


class HttpMetrics:
    """Listens to the start and end of HTTP requests.

    Args:
        files: of this worker.
    """

    def __init__(self, files: ValueFiles) -> None:
        self._lock = Lock()
        self._in_progress = files.value(names.HTTP_REQUESTS_IN_PROGRESS)
        self._durations: dict[tuple[str, str], Histogram] = {}
        self._requests: dict[tuple[str, str, int], Value] = {}
        self._unlisted: dict[tuple[str, str], Value] = {}
        for handler, (method, statuses) in HTTP_HANDLERS.items():
            route = (method, handler)
            self._durations[route] = files.histogram(names.HTTP_REQUEST_DURATION, *route)
            self._unlisted[route] = files.value(names.HTTP_REQUESTS, *route, OTHER)
            for status in statuses:
                self._requests[*route, status] = files.value(names.HTTP_REQUESTS, *route, str(status))

    def subscribe(self, announcer: Announcer) -> None:
        """Listen to `announcer`."""
        announcer.subscribe(NAME, HttpRequestStarted, self.on_started)
        announcer.subscribe(NAME, HttpRequestFinished, self.on_finished)

    def on_started(self, _: HttpRequestStarted) -> None:
        """Count one request in progress."""
        with self._lock:
            self._in_progress.add()

    def on_finished(self, event: HttpRequestFinished) -> None:
        """Count the request and its time."""
        route = (event.method, event.handler)
        duration = self._durations.get(route)
        if duration is None:
            route = (OTHER, OTHER)
            duration = self._durations[route]
        requests = self._requests.get((*route, event.status)) or self._unlisted[route]
        with self._lock:
            self._in_progress.add(-1.0)
            requests.add()
            duration.observe(event.seconds)
