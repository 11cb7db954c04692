"""The signature of a model: what goes in, what comes out."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

FeatureType = Literal["number", "integer", "category", "boolean", "text"]
Task = Literal["binary", "multiclass", "regression"]
ClassLabel = bool | int | str
Scalar = bool | int | float | str | None

MAX_CATEGORY_LENGTH = 256
MAX_TEXT_LENGTH = 10_000


class Feature(BaseModel):
    """One input variable."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    name: str = Field(min_length=1, max_length=128)
    """Key in the request; its place in the signature is its place in a positional row."""
    type: FeatureType
    unit: str = ""
    description: str = ""
    minimum: float | None = None
    """Hard limit: a smaller number is refused as a schema violation."""
    maximum: float | None = None
    """Hard limit: a larger number is refused as a schema violation."""
    categories: tuple[str, ...] | None = None
    """Known categories, in order of frequency in the training data."""
    closed: bool = False
    """True: an unknown category is refused. False: it is served, and counted as unknown."""
    max_length: int | None = None
    """Longest text or category, in characters."""
    nullable: bool = False
    """True: null, or leaving the feature out of a named row, is served as a missing value."""
    fill: Scalar = None
    """What stands in for a missing value; None hands the missing value to the estimator's own imputer."""
    sensitive: bool = False
    """True: the value is never written to a log or a prediction log."""
    example: Scalar = None

    @property
    def is_numeric(self) -> bool:
        """Whether the value is a number on a line (not a category, a flag or text)."""
        return self.type in {"number", "integer"}


class Signature(BaseModel):
    """Ordered inputs and the output of a model."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    task: Task
    input: Literal["tabular", "text"]
    features: tuple[Feature, ...] = Field(min_length=1)
    """For text models one feature of type text."""
    classes: tuple[ClassLabel, ...] | None = None
    """Class labels in the order of the estimator's `classes_`; None for regression."""
    output_minimum: float | None = None
    """Regression: a smaller prediction is an invalid output."""
    output_maximum: float | None = None
    """Regression: a larger prediction is an invalid output."""

    @model_validator(mode="after")
    def _is_consistent(self) -> Signature:
        names = [feature.name for feature in self.features]
        if len(set(names)) != len(names):
            raise ValueError("feature names are not distinct")
        if (self.task == "regression") != (self.classes is None):
            raise ValueError("classes belong to classification, and only to it")
        if self.input == "text" and [feature.type for feature in self.features] != ["text"]:
            raise ValueError("a text model has exactly one feature, of type text")
        if self.input == "tabular" and any(feature.type == "text" for feature in self.features):
            raise ValueError("a tabular model has no feature of type text")
        if any(feature.type == "category" and feature.categories is None for feature in self.features):
            raise ValueError("a category feature lists its categories")
        return self

    @property
    def class_names(self) -> tuple[str, ...]:
        """The classes as metric label values."""
        return tuple(class_name(label) for label in self.classes or ())

    def class_index(self, label: object) -> int | None:
        """Return the position of a class label as JSON gives it, None if it is none of the model's.

        By type too: 1 and true are equal in Python and different classes here.
        """
        for index, known in enumerate(self.classes or ()):
            if type(known) is type(label) and known == label:
                return index
        return None


def class_name(label: ClassLabel) -> str:
    """Write a class label as a metric label value (`true`/`false` for booleans, as in JSON)."""
    return str(label).lower() if isinstance(label, bool) else str(label)
