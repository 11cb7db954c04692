"""Receives what Alertmanager would send to Slack, and shows it as JSON and as a page.

Alertmanager posts its Slack messages to /slack and the Watchdog to /watchdog.
GET /messages returns the messages as JSON, newest last, GET /watchdog the number of beats; GET / shows both
as Slack would, and DELETE /messages forgets the messages. Everything is in memory.
"""

import argparse
import json
import threading
from collections import deque
from datetime import UTC, datetime
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from operations.slack_page import render_page

# Ten alerts with long descriptions make about 10 KB.
MAX_BODY_BYTES = 256 * 1024
READ_TIMEOUT_SECONDS = 10


class Inbox:
    """Hold the newest messages and count the Watchdog's beats, for many threads."""

    def __init__(self, keep: int) -> None:
        """Keep at most so many messages."""
        self._lock = threading.Lock()
        self._messages: deque[dict[str, Any]] = deque(maxlen=keep)
        self._beats = 0
        self._last_beat: datetime | None = None

    def add(self, message: dict[str, Any]) -> None:
        """Store one Slack message with the time of its arrival."""
        with self._lock:
            self._messages.append({"received": datetime.now(UTC).isoformat(), "message": message})

    def beat(self) -> None:
        """Count one arrival of the Watchdog."""
        with self._lock:
            self._beats += 1
            self._last_beat = datetime.now(UTC)

    def clear(self) -> None:
        """Forget all messages, not the beats."""
        with self._lock:
            self._messages.clear()

    def messages(self) -> list[dict[str, Any]]:
        """Return the messages, newest last."""
        with self._lock:
            return list(self._messages)

    def watchdog(self) -> tuple[int, datetime | None]:
        """Return how many beats came and when the last one did."""
        with self._lock:
            return self._beats, self._last_beat


class SinkServer(ThreadingHTTPServer):
    """Serve one inbox."""

    daemon_threads = True

    def __init__(self, address: tuple[str, int], keep: int = 200) -> None:
        """Bind the address; port 0 takes a free one."""
        super().__init__(address, _Handler)
        self.inbox = Inbox(keep)


class _Refusal(Exception):  # noqa: N818 - it becomes an answer and is no error of ours
    def __init__(self, status: HTTPStatus, reason: str) -> None:
        super().__init__(reason)
        self.status = status


class _Handler(BaseHTTPRequestHandler):
    server: SinkServer
    server_version = "plumbline-slack-sink"
    timeout = READ_TIMEOUT_SECONDS

    def do_GET(self) -> None:
        inbox = self.server.inbox
        if self.path == "/":
            page = render_page(inbox.messages(), *inbox.watchdog(), now=datetime.now(UTC))
            self._answer(HTTPStatus.OK, "text/html; charset=utf-8", page)
        elif self.path == "/messages":
            self._answer(HTTPStatus.OK, "application/json", json.dumps(inbox.messages(), indent=2))
        elif self.path == "/watchdog":
            beats, last = inbox.watchdog()
            body = json.dumps({"beats": beats, "last": last.isoformat() if last else None})
            self._answer(HTTPStatus.OK, "application/json", body)
        else:
            self._answer(HTTPStatus.NOT_FOUND, "text/plain", "unknown path")

    def do_POST(self) -> None:
        try:
            if self.path not in {"/slack", "/watchdog"}:
                raise _Refusal(HTTPStatus.NOT_FOUND, "unknown path")
            body = self._json_object()
        except _Refusal as refusal:
            # The body may not have been read: what follows on this connection cannot be understood.
            self.close_connection = True
            self._answer(refusal.status, "text/plain", str(refusal))
            return
        if self.path == "/slack":
            self.server.inbox.add(body)
        else:
            self.server.inbox.beat()
        # Alertmanager reads this body and takes anything else for a refusal by Slack.
        self._answer(HTTPStatus.OK, "text/plain", "ok")

    def do_DELETE(self) -> None:
        if self.path == "/messages":
            self.server.inbox.clear()
            self._answer(HTTPStatus.OK, "text/plain", "ok")
        else:
            self._answer(HTTPStatus.NOT_FOUND, "text/plain", "unknown path")

    def _json_object(self) -> dict[str, Any]:
        length = self.headers.get("Content-Length", "")
        if not (length.isascii() and length.isdigit()):
            raise _Refusal(HTTPStatus.LENGTH_REQUIRED, "a Content-Length is needed")
        if len(length) > len(str(MAX_BODY_BYTES)) or int(length) > MAX_BODY_BYTES:
            raise _Refusal(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, f"more than {MAX_BODY_BYTES} bytes")
        try:
            body = json.loads(self.rfile.read(int(length)))
        except TimeoutError:
            raise _Refusal(HTTPStatus.REQUEST_TIMEOUT, "the body did not come") from None
        except (ValueError, RecursionError):
            raise _Refusal(HTTPStatus.BAD_REQUEST, "not JSON") from None
        if not isinstance(body, dict):
            raise _Refusal(HTTPStatus.BAD_REQUEST, "not a JSON object")
        return body

    def _answer(self, status: HTTPStatus, content_type: str, body: str) -> None:
        # A lone surrogate of an escaped JSON string has no UTF-8 form.
        content = body.encode("utf-8", errors="replace")
        self.send_response(status)
        self.send_header("Content-Type", content_type)
        self.send_header("Content-Length", str(len(content)))
        self.send_header("Cache-Control", "no-store")
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base class names it so
        """Stay silent: Watchdog and the page's refresh would fill the log."""


def main() -> None:
    """Serve until stopped."""
    parser = argparse.ArgumentParser(
        prog="python -m operations.slack_sink", description="A local stand-in for Slack."
    )
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=9094)
    parser.add_argument("--keep", type=int, default=200, help="how many messages to keep")
    arguments = parser.parse_args()
    with SinkServer((arguments.host, arguments.port), arguments.keep) as server:
        print(f"Slack sink on http://{arguments.host}:{server.server_port}", flush=True)
        try:
            server.serve_forever()
        except KeyboardInterrupt:
            print("Slack sink stopped", flush=True)


if __name__ == "__main__":
    main()
