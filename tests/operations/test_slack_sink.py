"""The local Slack sink keeps what it gets, shows it safely and refuses nonsense."""

import http.client
import json
import threading
from collections.abc import Iterator
from typing import Any

import pytest

from operations.slack_sink import MAX_BODY_BYTES, SinkServer

MESSAGE = {
    "username": "Plumbline",
    "attachments": [
        {
            "color": "#ef4444",
            "title": "[CRITICAL] PredictorDown",
            "title_link": "http://board.example/d/overview",
            "text": "*A predictor is down.*\n• host &lt;a&gt; &amp; b\n• ~host c~",
            "fields": [{"title": "Severity", "value": "critical", "short": True}],
            "actions": [
                {"type": "button", "text": "Runbook", "url": "https://docs.example/PredictorDown.md"},
                {"type": "button", "text": "Bad", "url": "javascript:alert(1)"},
            ],
        }
    ],
}


@pytest.fixture
def sink() -> Iterator[SinkServer]:
    """Serve a sink that keeps three messages on a free port."""
    with SinkServer(("127.0.0.1", 0), keep=3) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield server
        server.shutdown()
        thread.join()


def ask(
    sink: SinkServer, method: str, path: str, body: bytes | None = None, **headers: str
) -> tuple[int, str]:
    """Send one request and return status and body."""
    connection = http.client.HTTPConnection("127.0.0.1", sink.server_port, timeout=10)
    try:
        connection.request(method, path, body, headers)
        response = connection.getresponse()
        return response.status, response.read().decode()
    finally:
        connection.close()


def post(sink: SinkServer, message: Any, path: str = "/slack") -> tuple[int, str]:
    """Post a message as JSON."""
    return ask(sink, "POST", path, json.dumps(message).encode())


def test_a_message_is_answered_as_slack_does_and_kept_whole(sink: SinkServer) -> None:
    """Answer ok, and return the message unchanged with the time of its arrival."""
    assert post(sink, MESSAGE) == (200, "ok")
    status, body = ask(sink, "GET", "/messages")
    (stored,) = json.loads(body)
    assert status == 200
    assert stored["message"] == MESSAGE
    assert stored["received"].endswith("+00:00")


def test_only_the_newest_messages_are_kept(sink: SinkServer) -> None:
    """Drop the oldest message once more than the limit came."""
    for number in range(5):
        post(sink, {"text": f"message {number}"})
    texts = [stored["message"]["text"] for stored in json.loads(ask(sink, "GET", "/messages")[1])]
    assert texts == ["message 2", "message 3", "message 4"]


def test_messages_can_be_forgotten(sink: SinkServer) -> None:
    """Return no message after a delete."""
    post(sink, MESSAGE)
    assert ask(sink, "DELETE", "/messages")[0] == 200
    assert json.loads(ask(sink, "GET", "/messages")[1]) == []


def test_watchdog_beats_are_counted_apart_from_messages(sink: SinkServer) -> None:
    """Count each beat, show the count on the page and keep no message."""
    assert json.loads(ask(sink, "GET", "/watchdog")[1]) == {"beats": 0, "last": None}
    for _ in range(3):
        assert post(sink, {"alerts": []}, "/watchdog")[0] == 200
    assert json.loads(ask(sink, "GET", "/watchdog")[1])["beats"] == 3
    assert "Watchdog: 3 beats" in ask(sink, "GET", "/")[1]
    assert json.loads(ask(sink, "GET", "/messages")[1]) == []


def test_the_page_shows_colour_title_text_fields_and_buttons_newest_first(sink: SinkServer) -> None:
    """Draw each part of a message, the newest message on top."""
    post(sink, {"text": "an older one"})
    post(sink, MESSAGE)
    page = ask(sink, "GET", "/")[1]
    for part in (
        "border-color:#ef4444",
        'href="http://board.example/d/overview"',
        "[CRITICAL] PredictorDown",
        "<b>A predictor is down.</b>",
        "host &lt;a&gt; &amp; b",
        "<s>host c</s>",
        "<dt>Severity</dt><dd>critical</dd>",
        'href="https://docs.example/PredictorDown.md"',
    ):
        assert part in page
    assert page.index("PredictorDown") < page.index("an older one")


@pytest.mark.parametrize(
    "hostile",
    [
        {"text": "<script>alert(1)</script>"},
        {"text": "&lt;script&gt;alert(1)&lt;/script&gt;"},
        {"username": "<script>"},
        {
            "attachments": [
                {"color": '#fff"><script>', "title": "<script>", "title_link": 'http://x/"><script>'}
            ]
        },
        {"attachments": [{"fields": [{"title": "<script>", "value": "<script>"}]}]},
        {"attachments": [{"actions": [{"text": "<script>", "url": "https://x/'><script>"}]}]},
    ],
)
def test_nothing_in_a_message_becomes_markup_of_the_page(sink: SinkServer, hostile: Any) -> None:
    """Escape every text and address before it reaches the page."""
    post(sink, hostile)
    assert "<script" not in ask(sink, "GET", "/")[1]


def test_a_button_with_another_scheme_is_no_link(sink: SinkServer) -> None:
    """Show the label of a javascript: address without linking it."""
    post(sink, MESSAGE)
    page = ask(sink, "GET", "/")[1]
    assert "javascript:" not in page
    assert '<span class="button">Bad</span>' in page


def test_a_message_of_unexpected_types_does_not_break_the_page(sink: SinkServer) -> None:
    """Draw what can be drawn when lists and texts are something else, lone surrogates included."""
    for odd in ({"text": 3, "attachments": 7}, {"attachments": [1, {"fields": "x", "actions": [None]}]}):
        post(sink, odd)
    ask(sink, "POST", "/slack", b'{"text": "\\ud800 lone"}')
    status, page = ask(sink, "GET", "/")
    assert status == 200
    assert "lone" in page


@pytest.mark.parametrize(
    ("body", "status"),
    [
        (b"{", 400),
        (b"[]", 400),
        (b"\xff\xfe{}", 400),
        (b"[" * 100_000, 400),
        (b"x" * (MAX_BODY_BYTES + 1), 413),
    ],
)
def test_a_body_that_is_no_message_is_refused(sink: SinkServer, body: bytes, status: int) -> None:
    """Answer 400 or 413 and store nothing."""
    assert ask(sink, "POST", "/slack", body)[0] == status
    assert json.loads(ask(sink, "GET", "/messages")[1]) == []


@pytest.mark.parametrize(("length", "status"), [("-1", 411), ("ten", 411), ("9" * 5000, 413)])
def test_a_length_that_cannot_be_read_is_refused(sink: SinkServer, length: str, status: int) -> None:
    """Refuse by the header alone, without reading a body."""
    connection = http.client.HTTPConnection("127.0.0.1", sink.server_port, timeout=10)
    try:
        connection.putrequest("POST", "/slack")
        connection.putheader("Content-Length", length)
        connection.endheaders()
        assert connection.getresponse().status == status
    finally:
        connection.close()


@pytest.mark.parametrize("method", ["GET", "POST", "DELETE"])
def test_an_unknown_path_is_not_found(sink: SinkServer, method: str) -> None:
    """Answer 404 for a path that is none of the sink's."""
    assert ask(sink, method, "/elsewhere")[0] == 404
