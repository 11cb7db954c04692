"""Names of models and versions are safe as folders and as labels."""

from __future__ import annotations

import pytest

from service.bundle.manifest import is_bundle_name


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
