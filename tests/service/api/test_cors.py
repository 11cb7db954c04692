"""Browsers may call only from named origins."""

from __future__ import annotations

from service.bootstrap import build_app
from service.settings import Settings
from tests.asgi import AsgiClient

ORIGIN = (("origin", "https://app.example.org"),)


def test_none_by_default(client: AsgiClient) -> None:
    """Without the setting no origin is allowed."""
    assert "access-control-allow-origin" not in client.get("/health", ORIGIN).headers


def test_named_origins(settings: Settings) -> None:
    """A named origin passes the preflight, another does not."""
    allowed = settings.model_copy(update={"cors_origins": ("https://app.example.org",)})
    preflight = (
        ("access-control-request-method", "POST"),
        ("access-control-request-headers", "content-type"),
    )
    with AsgiClient(build_app(allowed)) as client:
        response = client.call("OPTIONS", "/v1/predict", headers=(*ORIGIN, *preflight))
        assert response.status == 200
        assert response.headers["access-control-allow-origin"] == "https://app.example.org"
        other = (("origin", "https://evil.example.org"), *preflight)
        assert client.call("OPTIONS", "/v1/predict", headers=other).status == 400
