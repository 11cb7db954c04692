"""The exporter: a process of its own with a port of its own. Use: `python -m service.exporter`."""

from __future__ import annotations

import gzip
import logging
import os
import signal
import socket
import sys
import threading
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from service.errors import SettingsError
from service.observability.exposition import CONTENT_TYPE, Exposition
from service.observability.logs import set_up_logs
from service.settings import load_settings

# One scraper or two, and a person with a browser; more is a mistake or an attack.
_MAX_CONNECTIONS = 16
_SECONDS_PER_CONNECTION = 10
_EXIT_CONFIGURATION = 78
_log = logging.getLogger("service.exporter")


class ExporterServer(ThreadingHTTPServer):
    """Serves the exposition to few clients at once.

    Args:
        address: to bind.
        exposition: what is served.
    """

    daemon_threads = True

    def __init__(self, address: tuple[str, int], exposition: Exposition) -> None:
        self.address_family = socket.AF_INET6 if ":" in address[0] else socket.AF_INET
        self.exposition = exposition
        self._free = threading.BoundedSemaphore(_MAX_CONNECTIONS)
        super().__init__(address, ScrapeRequest)

    def process_request(self, request: Any, client_address: Any) -> None:
        """Start a thread for the connection, or close it if there are too many."""
        if self._free.acquire(blocking=False):
            super().process_request(request, client_address)
        else:
            self.shutdown_request(request)

    def process_request_thread(self, request: Any, client_address: Any) -> None:
        """Serve the connection and free its place."""
        try:
            super().process_request_thread(request, client_address)
        finally:
            self._free.release()

    def handle_error(self, *_: Any) -> None:
        """Log what is not the client's going away; the base class would print a traceback of many lines."""
        if not isinstance(sys.exception(), ConnectionError):
            _log.exception("scrape failed")


class ScrapeRequest(BaseHTTPRequestHandler):
    """Answers `GET /metrics`."""

    server: ExporterServer
    server_version = "plumbline"
    sys_version = ""
    timeout = _SECONDS_PER_CONNECTION

    def do_GET(self) -> None:
        """Answer with the exposition, compressed if the client takes it."""
        if self.path.partition("?")[0] != "/metrics":
            self.send_error(HTTPStatus.NOT_FOUND)
            return
        body = self.server.exposition.render()
        self.send_response(HTTPStatus.OK)
        self.send_header("Content-Type", CONTENT_TYPE)
        if "gzip" in self.headers.get("Accept-Encoding", ""):
            # Level 1: the scraper is near, and each level above costs more time than it saves.
            body = gzip.compress(body, 1)
            self.send_header("Content-Encoding", "gzip")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the name is the base class's
        """Log nothing: a line for each scrape helps nobody."""


def main() -> int:
    """Serve until SIGTERM or SIGINT."""
    try:
        settings = load_settings()
    except SettingsError as error:
        sys.stderr.write(f"plumbline: {error}\n")
        return _EXIT_CONFIGURATION
    set_up_logs(settings.log_level)
    address = (settings.exporter_host, settings.exporter_port)
    try:
        server = ExporterServer(address, Exposition(settings))
    except OSError as error:
        sys.stderr.write(
            f"plumbline: the exporter cannot bind {address[0]} port {address[1]}: {error.strerror}\n"
        )
        return 1
    # At once: a scrape that is cut is asked again. Also as first process of a container, where the kernel
    # ignores a signal that nobody handles.
    for signal_number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(signal_number, lambda *_: os._exit(0))
    server.serve_forever()
    return 0


if __name__ == "__main__":
    sys.exit(main())
