"""Routes off the hot path."""

from __future__ import annotations

from service.bootstrap import build_app
from service.settings import Settings
from tests.asgi import AsgiClient, assert_error_body


def test_docs_work_without_the_internet(client: AsgiClient) -> None:
    """The page asks only this server for its script and style."""
    page = client.get("/docs").body.decode()
    assert "/docs/swagger-ui.js" in page
    assert "/docs/swagger-ui.css" in page
    assert "http://" not in page.replace("http://www.w3.org", "")
    assert "https://" not in page
    assert len(client.get("/docs/swagger-ui.js").body) > 100_000
    assert client.get("/docs/swagger-ui.css").headers["content-type"].startswith("text/css")


def test_metrics_for_people(client: AsgiClient) -> None:
    """On loopback the predictor shows what the exporter serves."""
    response = client.get("/metrics")
    assert response.status == 200
    assert response.headers["content-type"].startswith("text/plain; version=0.0.4")
    assert b"# TYPE ml_requests_total counter" in response.body


def test_no_metrics_on_a_public_bind(settings: Settings) -> None:
    """Where others can reach the port, the exposition is not there."""
    public = settings.model_copy(update={"host": "0.0.0.0", "allow_open_bind": True})
    with AsgiClient(build_app(public)) as client:
        assert_error_body(client.get("/metrics"), 404, "not_found")


def test_wrong_method(client: AsgiClient) -> None:
    """The framework's routes answer 405 in the one error body."""
    response = client.call("DELETE", "/v1/models")
    assert_error_body(response, 405, "method_not_allowed")
    assert response.headers["allow"] == "GET"
