"""Lets browsers of named origins call."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, cast

from starlette.middleware.cors import CORSMiddleware

from service.api.edge import AsgiApp


def with_cors(app: AsgiApp, origins: Sequence[str]) -> AsgiApp:
    """Answer preflight requests of `origins` and mark answers to them; without origins the app as it is."""
    if not origins:
        return app
    return cast(
        AsgiApp,
        CORSMiddleware(
            cast(Any, app),  # Starlette's and our types of the same ASGI callable differ in mutability
            allow_origins=origins,
            allow_methods=["GET", "POST"],
            allow_headers=["authorization", "content-type", "x-request-id", "traceparent"],
            expose_headers=["x-request-id", "retry-after"],
        ),
    )
