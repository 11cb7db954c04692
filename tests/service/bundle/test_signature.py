"""A signature that contradicts itself is refused."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from service.bundle.signature import Feature, Signature, class_name

X = Feature(name="x", type="number")
TEXT = Feature(name="t", type="text")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"features": (X, X)}, "not distinct"),
        ({"classes": None}, "classes belong to classification"),
        ({"task": "regression"}, "classes belong to classification"),
        ({"input": "text"}, "exactly one feature, of type text"),
        ({"features": (X, TEXT)}, "no feature of type text"),
        ({"features": (Feature(name="c", type="category"),)}, "lists its categories"),
        ({"features": ()}, "at least 1"),
        ({"surprise": 1}, "Extra inputs"),
    ],
)
def test_contradictions(changes: dict[str, Any], message: str) -> None:
    """Each contradiction is told in words."""
    values: dict[str, Any] = {"task": "binary", "input": "tabular", "classes": (0, 1), "features": (X,)}
    with pytest.raises(ValidationError, match=message):
        Signature(**(values | changes))


def test_class_labels_as_metric_labels() -> None:
    """Booleans are written as in JSON, whether Python or JSON made them."""
    assert [class_name(label) for label in (True, False, 3, "a b")] == ["true", "false", "3", "a b"]
    signature = Signature(task="binary", input="text", classes=(False, True), features=(TEXT,))
    assert signature.class_names == ("false", "true")
    assert Signature.model_validate_json(signature.model_dump_json()) == signature
