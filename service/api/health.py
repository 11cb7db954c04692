"""Liveness and readiness."""

from __future__ import annotations

from fastapi import APIRouter
from pydantic import BaseModel

from service.errors import NotReadyError
from service.inference.engine import Engine
from service.inference.models import Models


class Health(BaseModel):
    """Whether this worker lives."""

    status: str
    inference_seconds: float
    """How long the present call of a model has been running; 0 when idle."""


class Readiness(BaseModel):
    """Whether this worker should get traffic."""

    status: str
    models: dict[str, list[str]]
    """Versions that may serve, by model."""
    failed: dict[str, str]
    """Versions that may not, as `name version`, each with the kind of failure."""


def create_router(models: Models, engine: Engine) -> APIRouter:
    """Make the routes /health and /ready."""
    router = APIRouter(tags=["operation"])

    @router.get(
        "/health", summary="Liveness", responses={503: {"description": "The inference thread hangs."}}
    )
    async def health() -> Health:
        """Tell whether the process and its inference thread live; asks nothing outside the process."""
        if not engine.is_alive:
            raise NotReadyError("the inference thread hangs")
        return Health(status="alive", inference_seconds=round(engine.stalled_seconds, 3))

    @router.get("/ready", summary="Readiness", responses={503: {"description": "Send no traffic; says why."}})
    async def ready() -> Readiness:
        """Tell whether models have passed their golden requests and the worker is not draining."""
        reason = models.not_ready_reason
        if reason is not None:
            raise NotReadyError(reason)
        versions: dict[str, list[str]] = {}
        for model in models.all():
            versions.setdefault(model.key.model_name, []).append(model.key.model_version)
        failed = {" ".join(key): error.reason for key, error in models.failures.items()}
        return Readiness(status="ready", models=versions, failed=failed)

    return router
