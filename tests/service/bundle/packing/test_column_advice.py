"""Columns whose drift says nothing about the model are named."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from service.bundle.packing.column_advice import advise
from service.bundle.packing.features import infer_feature
from service.bundle.packing.table import FieldOptions

NOISE = np.random.default_rng(11)


@pytest.mark.parametrize(
    ("name", "values", "word"),
    [
        ("month", NOISE.integers(1, 13, 100), "calendar"),
        ("pickup_hour", NOISE.integers(0, 24, 100), "calendar"),
        ("opened", ["2024-01-05"] * 100, "calendar"),
        ("customer", NOISE.permutation(10_000)[:100], "identifier: 100%"),
        ("shop_id", NOISE.integers(0, 7, 100), "identifier by its name"),
        ("price_index", np.linspace(100, 117, 100) + NOISE.normal(0, 0.5, 100), "slow index"),
    ],
)
def test_column_that_should_not_be_monitored(name: str, values: object, word: str) -> None:
    """The advice says what the column looks like."""
    column = pd.Series(values, name=name)
    advice = advise(infer_feature(column, FieldOptions(), is_text=False), column)
    assert advice is not None
    assert word in advice


@pytest.mark.parametrize(
    ("name", "values"),
    [
        ("height", NOISE.normal(size=100)),
        ("visits", NOISE.poisson(3, 100)),
        ("colour", NOISE.choice(["red", "blue"], 100)),
        ("monthly_fee", NOISE.normal(size=100)),
        ("constant", np.full(100, 3.5)),
        ("few", [1, 2, 3]),
    ],
)
def test_ordinary_column(name: str, values: object) -> None:
    """Most columns get no advice."""
    column = pd.Series(values, name=name)
    assert advise(infer_feature(column, FieldOptions(), is_text=False), column) is None
