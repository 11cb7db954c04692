"""Names are safe as folders and as labels; what a manifest says of the bundle's kind is consistent."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from service.bundle.manifest import Manifest, is_bundle_name

HASHES = {"model.joblib": "5e" * 32, "signature.json": "7f" * 32}


def manifest(**changes: Any) -> Manifest:
    """Read a manifest as it was written before external bundles were known."""
    content: dict[str, Any] = {
        "format_version": 1,
        "model_name": "loans",
        "model_version": "7",
        "task": "binary",
        "input": "tabular",
        "created": "2026-03-07T11:13:17Z",
        "framework": "scikit-learn 1.9.1",
        "library_versions": {},
        "python_version": "3.11.7",
        "container": "frame",
        "output": "predict",
        "files": {name: {"size_bytes": 1, "sha256": sha256} for name, sha256 in HASHES.items()},
        "validation_scores": {},
        "validation_rows": 3,
        "training_data_sha256": "0" * 64,
        "training_rows": 5,
        "objectives": {},
        "monitored_features": (),
        "series": 300,
    }
    return Manifest.model_validate(content | changes)


def test_manifest_of_before_has_an_estimator_and_lets_features_be_stored() -> None:
    """The format's version did not change."""
    old = manifest()
    assert (old.external, old.store_features) == (False, True)
    assert old.required_files == ("signature.json", "reference.json", "golden.json", "model.joblib")
    assert old.model_sha256 == HASHES["model.joblib"]


def test_external_manifest_has_neither_estimator_nor_golden_requests() -> None:
    """Its signature stands for the model."""
    external = manifest(external=True, container=None, output=None)
    assert external.required_files == ("signature.json", "reference.json")
    assert external.model_sha256 == HASHES["signature.json"]


@pytest.mark.parametrize(
    "changes",
    [
        {"external": True},
        {"external": True, "container": None},
        {"container": None, "output": None},
        {"output": None},
    ],
)
def test_call_of_an_estimator_belongs_to_a_model_that_has_one(changes: dict[str, Any]) -> None:
    """A manifest that says both is refused."""
    with pytest.raises(ValidationError, match="container and output belong to a model with an estimator"):
        manifest(**changes)


@pytest.mark.parametrize("name", ["iris", "a", "2026-11-20", "model_1.2", "x" * 64])
def test_good_names(name: str) -> None:
    """Lower case letters, digits, dot, dash, underscore; first a letter or digit."""
    assert is_bundle_name(name)


@pytest.mark.parametrize(
    "name", ["", "Iris", ".hidden", "-x", "a/b", "..", "a b", "x" * 65, "ä", "a\n", "a\x00", "%2e%2e"]
)
def test_bad_names(name: str) -> None:
    """Nothing that could leave a folder or break a label."""
    assert not is_bundle_name(name)
