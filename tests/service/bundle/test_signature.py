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


@pytest.mark.parametrize(
    ("classes", "label", "index"),
    [
        (("no", "yes"), "yes", 1),
        (("no", "yes"), "Yes", None),
        (("no", "yes"), None, None),
        (("no", "yes"), 1, None),
        ((False, True), True, 1),
        ((False, True), False, 0),
        ((False, True), 1, None),
        ((False, True), 0.0, None),
        ((0, 1), 1, 1),
        ((0, 1), True, None),
        ((0, 1), 1.0, None),
        ((0, 1), "1", None),
        ((1, 0), 0, 1),
        (("1", "0"), "0", 1),
        (("1", "0"), 0, None),
        ((0, 1), [1], None),
        ((0, 1), float("nan"), None),
    ],
)
def test_label_has_its_position_by_value_and_type(
    classes: tuple[Any, ...], label: object, index: int | None
) -> None:
    """What JSON tells apart is told apart: true, 1, 1.0 and "1" are four labels."""
    signature = Signature(task="binary", input="tabular", classes=classes, features=(X,))
    assert signature.class_index(label) == index
    read = Signature.model_validate_json(signature.model_dump_json())
    assert read.class_index(label) == index


def test_regression_has_no_classes_to_find() -> None:
    """No label has a position there."""
    signature = Signature(task="regression", input="tabular", features=(X,))
    assert [signature.class_index(label) for label in (0, "x", None, True)] == [None] * 4
