"""The manifest of a bundle: identity, files with their hashes, versions, scores, objectives."""

from __future__ import annotations

import re
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, model_validator

from service.bundle.signature import Task

FORMAT_VERSION = 1
NAME_PATTERN = r"^[a-z0-9][a-z0-9_.-]{0,63}$"
BundleName = Annotated[str, StringConstraints(pattern=NAME_PATTERN)]
Signal = Literal[
    "accuracy",
    "error_rate",
    "calibration_error",
    "mae",
    "latency_p95_seconds",
    "drift",
    "label_delay_seconds",
]

SIGNATURE_FILE = "signature.json"
REFERENCE_FILE = "reference.json"
GOLDEN_FILE = "golden.json"
MODEL_FILE = "model.joblib"
MANIFEST_FILE = "manifest.json"
REQUIRED_FILES = (SIGNATURE_FILE, REFERENCE_FILE, GOLDEN_FILE, MODEL_FILE)
EXTERNAL_FILES = (SIGNATURE_FILE, REFERENCE_FILE)
"""What a bundle without an estimator holds."""


def is_bundle_name(text: str) -> bool:
    """Tell whether `text` may name a model or a version."""
    return re.fullmatch(NAME_PATTERN, text) is not None


class BundleFile(BaseModel):
    """Size and hash of one file of the bundle."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    size_bytes: int = Field(ge=0)
    sha256: str = Field(pattern=r"^[0-9a-f]{64}$")


class Manifest(BaseModel):
    """What `manifest.json` holds."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    format_version: int
    model_name: BundleName
    model_version: BundleName
    task: Task
    input: Literal["tabular", "text"]
    created: str
    """UTC, ISO 8601."""
    framework: str
    """For example `scikit-learn 1.9.1`."""
    library_versions: dict[str, str]
    """Libraries that the estimator needs, compared when it is loaded."""
    python_version: str
    external: bool = False
    """True: other software serves the model; the bundle has no estimator and no golden requests."""
    store_features: bool = True
    """Features of each prediction are kept in the prediction log; those marked sensitive never are."""
    container: Literal["array", "frame", "text"] | None
    """What the estimator is called with: a float array, a DataFrame by feature names, a list of texts.

    None for an external model.
    """
    output: Literal["argmax", "predict_and_probability", "predict"] | None
    """`argmax`: one call of predict_proba, its largest entry is the prediction; else predict is called.

    None for an external model.
    """
    files: dict[str, BundleFile]
    """Every file but the manifest itself."""
    validation_scores: dict[str, float]
    validation_rows: int
    training_data_sha256: str
    training_rows: int
    objectives: dict[Signal, float]
    monitored_features: tuple[str, ...]
    series: int
    """Number of time series that the bundle will export per scrape target."""

    @model_validator(mode="after")
    def _is_consistent(self) -> Manifest:
        if {self.container is None, self.output is None} != {self.external}:
            raise ValueError("container and output belong to a model with an estimator, and only to it")
        return self

    @property
    def required_files(self) -> tuple[str, ...]:
        """The files that the bundle must list, all of them and no other."""
        return EXTERNAL_FILES if self.external else REQUIRED_FILES

    @property
    def model_sha256(self) -> str:
        """Hash that stands for the model: of its estimator, or of the signature if it is external."""
        return self.files[SIGNATURE_FILE if self.external else MODEL_FILE].sha256
