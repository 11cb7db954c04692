"""The signature's features: types from data, permissions from what the estimator takes."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest

from service.bundle.packing.features import UNKNOWN_CATEGORY, example_row, fit_to_estimator, infer_feature
from service.bundle.packing.table import FieldOptions
from service.bundle.signature import Feature
from service.errors import PackError


def infer(values: object, *, is_text: bool = False, **options: Any) -> Feature:
    """Infer a feature called x."""
    return infer_feature(pd.Series(values, name="x"), FieldOptions(**options), is_text=is_text)


@pytest.mark.parametrize(
    ("values", "kind", "nullable", "example"),
    [
        ([1.5, 2.5, 9.5], "number", False, 2.5),
        ([1.5, np.nan, 9.5], "number", True, 1.5),
        ([3, 7, 5], "integer", False, 5),
        ([True, False, True], "boolean", False, True),
        ([True, None, False, False], "boolean", True, False),
        (["red", "blue", "red", None], "category", True, "red"),
    ],
)
def test_type_is_inferred(values: list[Any], kind: str, nullable: bool, example: Any) -> None:
    """With missing values, and a typical example."""
    feature = infer(values)
    assert (feature.type, feature.nullable, feature.example) == (kind, nullable, example)
    assert type(feature.example) is type(example)


def test_categories_are_ordered_by_frequency_then_name() -> None:
    """So the bins of the reference are those of the frequent ones, and packing twice gives the same."""
    assert infer(["b", "c", "a", "c"]).categories == ("c", "a", "b")


def test_text_keeps_room_for_long_ones() -> None:
    """A text of the training data is never too long."""
    assert infer(["short", "x" * 12_000], is_text=True).max_length == 12_000
    assert infer(["short"], is_text=True).max_length is None


def test_options_are_taken_over() -> None:
    """What the user says stands."""
    feature = infer([1.0, 2.0], unit="m", minimum=0.0, maximum=9.0, sensitive=True, example=1.75, fill=1.0)
    assert (feature.unit, feature.minimum, feature.maximum) == ("m", 0.0, 9.0)
    assert (feature.sensitive, feature.example, feature.fill) == (True, 1.75, 1.0)


def test_declared_type_stands() -> None:
    """Whole numbers may be declared numbers, so that fractions are taken later."""
    assert infer([1, 2], type="number").type == "number"
    assert infer(["01067", "04103"], type="category").type == "category"
    assert infer(["404", "503"], type="text", is_text=True).type == "text"


@pytest.mark.parametrize(
    ("values", "options", "message"),
    [
        ([1.5, 2.5], {"type": "category"}, "holds values of type number, declared is category"),
        (["a", "b"], {"type": "number"}, "holds values of type category, declared is number"),
        (["a", "b"], {"type": "text"}, "holds values of type category, declared is text"),
        ([None, None], {}, "column 'x' has no values"),
        ([1.0, np.inf], {}, "not finite"),
        ([1.0, 5.0], {"minimum": 2.0}, "has 1, below its minimum 2"),
        ([1.0, 5.0], {"maximum": 2.0}, "has 5, above its maximum 2"),
    ],
)
def test_data_that_contradict_are_refused(values: list[Any], options: dict[str, Any], message: str) -> None:
    """The line names the column and the value."""
    with pytest.raises(PackError, match=message):
        infer(values, **options)


def test_sensitive_text_needs_an_example() -> None:
    """Else a real text would be shown as the example."""
    with pytest.raises(PackError, match="give an example"):
        infer(["a secret"], is_text=True, sensitive=True)


COLOUR = Feature(name="colour", type="category", categories=("red",), nullable=True, example="red")
HEIGHT = Feature(name="height", type="number", nullable=True, example=1.5)


def settle(refused: object, **fields: FieldOptions) -> tuple[tuple[Feature, ...], list[str]]:
    """Settle two features for an estimator that refuses one value."""
    lines: list[str] = []
    features = fit_to_estimator((COLOUR, HEIGHT), fields, lambda rows: refused not in rows[0], lines.append)
    return features, lines


def test_estimator_that_takes_everything_changes_nothing() -> None:
    """Nullable stays nullable, open stays open."""
    assert settle("nothing") == ((COLOUR, HEIGHT), [])


def test_missing_value_that_is_refused_makes_a_feature_required() -> None:
    """And the output says so."""
    (colour, height), lines = settle(None)
    assert (colour.nullable, height.nullable) == (False, False)
    assert len(lines) == 2
    assert "not nullable" in lines[0]


def test_unknown_category_that_is_refused_makes_a_feature_closed() -> None:
    """And the output says so."""
    (colour, _), lines = settle(UNKNOWN_CATEGORY)
    assert colour.closed
    assert lines == ["colour: the estimator refuses an unknown category: closed"]


def test_fill_stands_in_for_a_missing_value() -> None:
    """An estimator without imputer takes a filled value."""
    filled = HEIGHT.model_copy(update={"fill": 1.7})
    (settled,) = fit_to_estimator((filled,), {}, lambda rows: rows == [(1.7,)], lambda line: None)
    assert settled.nullable


@pytest.mark.parametrize(
    ("refused", "fields", "message"),
    [
        (None, {"colour": FieldOptions(nullable=True)}, "'colour' is declared nullable"),
        (UNKNOWN_CATEGORY, {"colour": FieldOptions(closed=False)}, "'colour' is declared open"),
    ],
)
def test_what_the_estimator_refuses_cannot_be_declared(
    refused: object, fields: dict[str, FieldOptions], message: str
) -> None:
    """The user is told rather than overruled."""
    with pytest.raises(PackError, match=message):
        settle(refused, **fields)


def test_example_row_is_in_order() -> None:
    """A typical input."""
    assert example_row((COLOUR, HEIGHT)) == ("red", 1.5)
