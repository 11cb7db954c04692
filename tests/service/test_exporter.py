"""The exporter answers scrapes on one path, within bounds."""

from __future__ import annotations

import gzip
import http.client
import socket
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from service import exporter
from service.exporter import ExporterServer
from service.observability.exposition import Exposition
from service.settings import Settings


@pytest.fixture
def port(tmp_path: Path) -> Iterator[int]:
    """Serve an exposition without any predictor."""
    settings = Settings(metrics_dir=tmp_path, log_dir=tmp_path, bundle_dir=tmp_path, workers=1)
    server = ExporterServer(("127.0.0.1", 0), Exposition(settings))
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    yield server.server_port
    server.shutdown()
    thread.join()
    server.server_close()


def ask(port: int, path: str, method: str = "GET", **headers: str) -> tuple[int, dict[str, str], bytes]:
    """Send one request; give status, headers and body."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    connection.request(
        method, path, headers={name.replace("_", "-"): value for name, value in headers.items()}
    )
    answer = connection.getresponse()
    body = answer.read()
    connection.close()
    return answer.status, {name.lower(): value for name, value in answer.getheaders()}, body


@pytest.mark.parametrize("path", ["/metrics", "/metrics?name[]=x"])
def test_metrics_are_prometheus_text(port: int, path: str) -> None:
    """The content type is that of the format, which Prometheus 3 insists on."""
    status, headers, body = ask(port, path)
    assert status == 200
    assert headers["content-type"] == "text/plain; version=0.0.4; charset=utf-8"
    assert b"plumbline_workers 0.0\n" in body


def test_answer_is_compressed_if_asked(port: int) -> None:
    """Prometheus asks for gzip."""
    _, headers, body = ask(port, "/metrics", Accept_Encoding="gzip")
    assert headers["content-encoding"] == "gzip"
    assert b"plumbline_workers 0.0\n" in gzip.decompress(body)


@pytest.mark.parametrize("path", ["/", "/metrics/", "/metricsx", "/../metrics"])
def test_nothing_else_is_served(port: int, path: str) -> None:
    """Any other path is not found."""
    assert ask(port, path)[0] == 404


def test_other_methods_are_refused(port: int) -> None:
    """A scrape is a GET."""
    assert ask(port, "/metrics", "POST")[0] == 501


def test_too_many_connections_are_closed_and_places_become_free(port: int) -> None:
    """Silent clients cannot take more than their number of threads; once they go, scrapes are answered."""
    silent = [
        socket.create_connection(("127.0.0.1", port), timeout=10) for _ in range(exporter._MAX_CONNECTIONS)
    ]
    with socket.create_connection(("127.0.0.1", port), timeout=10) as refused:
        assert refused.recv(1) == b""
    for connection in silent:
        connection.close()
    answered = threading.Event()
    for _ in range(200):
        try:
            if ask(port, "/metrics")[0] == 200:
                answered.set()
                break
        except (ConnectionError, http.client.HTTPException):
            threading.Event().wait(0.02)
    assert answered.is_set()


@pytest.mark.parametrize(
    ("error", "is_logged"), [(BrokenPipeError("gone"), False), (ValueError("bad"), True)]
)
def test_only_errors_of_our_own_are_logged(
    port: int,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    caplog: pytest.LogCaptureFixture,
    error: Exception,
    is_logged: bool,
) -> None:
    """A scraper that hangs up is no news; anything else goes through the log, never to stderr past it."""

    def fail(_: Exposition) -> bytes:
        raise error

    monkeypatch.setattr(Exposition, "render", fail)
    with pytest.raises(http.client.RemoteDisconnected):
        ask(port, "/metrics")
    assert capsys.readouterr().err == ""
    assert ("scrape failed" in caplog.text) == is_logged


def test_wrong_setting_is_one_line(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """No traceback, and the code that says the configuration is wrong."""
    monkeypatch.setenv("PLUMBLINE_EXPORTER_PORT", "many")
    assert exporter.main() == 78
    (line,) = capsys.readouterr().err.splitlines()
    assert "PLUMBLINE_EXPORTER_PORT" in line


def test_taken_port_is_one_line(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], port: int
) -> None:
    """The line names address and port."""
    monkeypatch.setattr(exporter, "set_up_logs", lambda level: None)
    monkeypatch.setenv("PLUMBLINE_EXPORTER_PORT", str(port))
    assert exporter.main() == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert f"127.0.0.1 port {port}" in line
