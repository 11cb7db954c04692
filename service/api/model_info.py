"""What is served: models, versions, roles, signatures."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter
from pydantic import BaseModel

from service.errors import UnknownModelError
from service.inference.models import Models, ServedModel


class ModelVersion(BaseModel):
    """One version that may serve."""

    model_name: str
    model_version: str
    role: str
    """`stable`, or empty for a version that answers only when it is pinned."""
    task: str
    input: str
    framework: str
    created: str
    loaded_timestamp: float
    """Unix time, seconds."""
    objectives: dict[str, float]


class ModelDetail(ModelVersion):
    """One version with its contract and a summary of its reference."""

    signature: dict[str, Any]
    validation_scores: dict[str, float]
    monitored_features: list[str]
    reference_rows: int
    class_counts: dict[str, int]
    out_of_distribution_share: float
    """Share of the validation rows that the flag of the answer calls out of distribution."""


class ModelList(BaseModel):
    """All versions that may serve."""

    default_model: str | None
    models: list[ModelVersion]


class ModelVersions(BaseModel):
    """The versions of one model."""

    model_name: str
    versions: list[ModelDetail]


def create_router(models: Models) -> APIRouter:
    """Make the routes /v1/models and /v1/models/{model_name}."""
    router = APIRouter(prefix="/v1/models", tags=["models"])

    @router.get("", summary="Models and versions that may serve")
    async def list_models() -> ModelList:
        """List the models with their versions and roles."""
        versions = [ModelVersion(**_version(models, model)) for model in models.all()]
        return ModelList(default_model=models.default_model, models=versions)

    @router.get(
        "/{model_name}",
        summary="One model: signature, objectives, reference",
        responses={404: {"description": "No such model is loaded."}},
    )
    async def model_detail(model_name: str) -> ModelVersions:
        """Show a model's versions: what goes in, what comes out, and what its training data looked like."""
        found = [model for model in models.all() if model.key.model_name == model_name]
        if not found:
            raise UnknownModelError("no such model")
        return ModelVersions(model_name=model_name, versions=[_detail(models, model) for model in found])

    return router


def _version(models: Models, model: ServedModel) -> dict[str, Any]:
    manifest = model.bundle.manifest
    return {
        "model_name": model.key.model_name,
        "model_version": model.key.model_version,
        "role": models.role(model.key),
        "task": manifest.task,
        "input": manifest.input,
        "framework": manifest.framework,
        "created": manifest.created,
        "loaded_timestamp": model.loaded_timestamp,
        "objectives": dict(manifest.objectives),
    }


def _detail(models: Models, model: ServedModel) -> ModelDetail:
    bundle = model.bundle
    reference = bundle.reference
    return ModelDetail(
        **_version(models, model),
        signature=bundle.signature.model_dump(mode="json", exclude_defaults=True),
        validation_scores=bundle.manifest.validation_scores,
        monitored_features=list(bundle.manifest.monitored_features),
        reference_rows=reference.rows,
        class_counts=reference.class_counts,
        out_of_distribution_share=reference.out_of_distribution_rows / reference.validation_rows,
    )
