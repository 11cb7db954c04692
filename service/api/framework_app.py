"""The routes off the hot path, by FastAPI: models, health, readiness, metrics, documentation."""

from __future__ import annotations

from collections.abc import Callable
from importlib.resources import files
from typing import Any

from fastapi import FastAPI, Request, Response
from fastapi.openapi.docs import get_swagger_ui_html
from starlette.exceptions import HTTPException

from service.api import health, model_info
from service.api.edge import REQUEST_ID_KEY
from service.api.error_responses import error_answer, plain_error_answer
from service.api.openapi import openapi_document
from service.errors import MethodNotAllowedError, NotFoundError, RequestError
from service.inference.engine import Engine
from service.inference.models import Models

JSON = "application/json"
DESCRIPTION = """Predictions by scikit-learn models, each with an out-of-distribution flag.

Every error has one body; its `request_id` stands in the log. More in `docs/api.md`."""


def create_framework_app(
    models: Models, engine: Engine, render_metrics: Callable[[], tuple[bytes, str]] | None
) -> FastAPI:
    """Put the routes together.

    Args:
        models: what is served.
        engine: where it is computed, for liveness.
        render_metrics: returns the exposition and its content type; None leaves `/metrics` out.
    """
    app = FastAPI(
        title="Plumbline",
        version="1",
        description=DESCRIPTION,
        license_info={"name": "Apache-2.0", "identifier": "Apache-2.0"},
        openapi_tags=[{"name": name} for name in ("predictions", "prediction log", "models", "operation")],
        docs_url=None,
        redoc_url=None,
        openapi_url=None,
        redirect_slashes=False,
    )
    app.include_router(health.create_router(models, engine))
    app.include_router(model_info.create_router(models))
    if render_metrics is not None:
        _add_metrics(app, render_metrics)
    _add_documentation(app, models)
    _add_error_body(app)
    return app


def _add_metrics(app: FastAPI, render_metrics: Callable[[], tuple[bytes, str]]) -> None:
    @app.get("/metrics", tags=["operation"], summary="Metrics for people; Prometheus scrapes the exporter")
    def metrics() -> Response:
        """Show the metrics of all workers in Prometheus' text format."""
        content, media_type = render_metrics()
        return Response(content, media_type=media_type)


def _add_documentation(app: FastAPI, models: Models) -> None:
    static = files("fastapi_offline") / "static"

    @app.get("/openapi.json", include_in_schema=False)
    def openapi() -> dict[str, Any]:
        return openapi_document(app, models)

    @app.get("/docs", include_in_schema=False)
    def docs() -> Response:
        return get_swagger_ui_html(
            openapi_url="/openapi.json",
            title="Plumbline",
            swagger_js_url="/docs/swagger-ui.js",
            swagger_css_url="/docs/swagger-ui.css",
            swagger_favicon_url="data:,",
        )

    @app.get("/docs/swagger-ui.js", include_in_schema=False)
    def script() -> Response:
        return Response((static / "swagger-ui-bundle.js").read_bytes(), media_type="text/javascript")

    @app.get("/docs/swagger-ui.css", include_in_schema=False)
    def style() -> Response:
        return Response((static / "swagger-ui.css").read_bytes(), media_type="text/css")


def _add_error_body(app: FastAPI) -> None:
    async def as_error(request: Request, error: Exception) -> Response:
        request_id = request.scope[REQUEST_ID_KEY]
        match error:
            case HTTPException(status_code=404):
                answer = error_answer(NotFoundError("no such route"), request_id)
            case HTTPException(status_code=405):
                allowed = (error.headers or {}).get("Allow", "GET")
                answer = error_answer(MethodNotAllowedError(allowed), request_id)
            case HTTPException():
                answer = plain_error_answer(error.status_code, "bad_request", error.detail, request_id)
            case _:
                answer = error_answer(error, request_id)
        headers = {name.decode(): value.decode() for name, value in answer.headers}
        return Response(answer.body, answer.status, headers, media_type=JSON)

    app.add_exception_handler(HTTPException, as_error)
    app.add_exception_handler(RequestError, as_error)
    app.add_exception_handler(Exception, as_error)
