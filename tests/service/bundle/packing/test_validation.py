"""Validation: rows that the estimator had not seen, judged by the code that serves."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest
from sklearn.linear_model import LinearRegression, LogisticRegression

from service.bundle.packing.features import infer_feature
from service.bundle.packing.table import FieldOptions
from service.bundle.packing.validation import Model, Validation, hold_out, out_of_fold
from service.bundle.signature import Signature
from service.errors import PackError
from tests import builders

TARGET = builders.TARGET
FIELDS = {"plan": FieldOptions(closed=True)}


def model_of(
    estimator: Any, training: pd.DataFrame, classes: tuple[str, ...] | None, container: Any
) -> Model:
    """Infer a model from a training table."""
    is_text = container == "text"
    features = tuple(
        infer_feature(training[name], FIELDS.get(name, FieldOptions()), is_text=is_text)
        for name in training.columns
        if name != TARGET
    )
    task = "regression" if classes is None else "binary" if len(classes) == 2 else "multiclass"
    kind = "text" if is_text else "tabular"
    signature = Signature(task=task, input=kind, features=features, classes=classes)
    return Model(estimator, signature, container, "predict" if classes is None else "argmax")


def indices(frame: pd.DataFrame, classes: tuple[str, ...]) -> np.ndarray:
    """Give the target as positions in the classes."""
    return np.array([classes.index(label) for label in frame[TARGET]])


def run(name: str, classes: tuple[str, ...], container: str, *, folds: bool) -> tuple[Validation, list[str]]:
    """Validate one of the test models."""
    estimator, training, held_out = builders.MODELS[name]()
    lines: list[str] = []
    model = model_of(estimator, training, classes, container)
    if folds:
        return out_of_fold(model, training, indices(training, classes), lines.append), lines
    return hold_out(model, training, held_out, indices(held_out, classes), lines.append), lines


TREES, TOPICS, ANSWERS = ("ash", "birch", "cedar"), ("garden", "kitchen", "workshop"), ("no", "yes")


@pytest.mark.parametrize("folds", [False, True])
def test_every_row_is_scored_once_and_mostly_right(folds: bool) -> None:
    """Held out or out of fold, the model is good on this data."""
    validation, lines = run(builders.NUMBERS, TREES, "array", folds=folds)
    assert (
        len(validation.rows)
        == len(validation.targets)
        == len(validation.predictions)
        == (263 if folds else 130)
    )
    assert (validation.predictions == validation.targets).mean() > 0.95
    assert validation.confidences is not None
    assert 0.33 < validation.confidences.min() <= validation.confidences.max() <= 1.0
    assert sum("fold" in line for line in lines) == (5 if folds else 0)


def test_rows_and_targets_of_folds_stay_together() -> None:
    """Folds change the order of rows, and of everything about them alike."""
    validation, _ = run(builders.NUMBERS, TREES, "array", folds=True)
    _, training, _ = builders.numbers_model()
    known = {tuple(row[:3]): row[3] for row in training.itertuples(index=False)}
    assert all(
        known[row] == TREES[target] for row, target in zip(validation.rows, validation.targets, strict=True)
    )


def test_fold_never_sees_its_own_rows() -> None:
    """A model that learns by heart is right on what it saw and at chance out of fold."""
    generator = np.random.default_rng(37)
    frame = pd.DataFrame(generator.normal(size=(200, 30)), columns=[f"x{i}" for i in range(30)])
    frame[TARGET] = generator.choice(ANSWERS, 200)
    features = frame.drop(columns=TARGET)
    estimator = LogisticRegression(C=1e6, max_iter=5000).fit(features, frame[TARGET])
    validation = out_of_fold(
        model_of(estimator, frame, ANSWERS, "array"), frame, indices(frame, ANSWERS), print
    )
    assert (validation.predictions == validation.targets).mean() < 0.6


def test_range_is_that_of_the_training_rows() -> None:
    """What lies outside is out of distribution; in folds, outside the range of the others."""
    frame = pd.DataFrame({"x": [float(i) for i in range(100)], TARGET: [float(i) for i in range(100)]})
    estimator = LinearRegression().fit(frame[["x"]], frame[TARGET])
    model = model_of(estimator, frame, None, "array")
    held_out = pd.DataFrame({"x": [-1.0, 5.0, 99.0, 99.5], TARGET: [0.0, 5.0, 99.0, 99.5]})
    found = hold_out(model, frame, held_out, held_out[TARGET].to_numpy(), print)
    assert found.is_out.tolist() == [True, False, False, True]
    folded = out_of_fold(model, frame, frame[TARGET].to_numpy(), print)
    outside = {row[0] for row, is_out in zip(folded.rows, folded.is_out, strict=True) if is_out}
    assert {0.0, 99.0} <= outside < {0.0, 1.0, 2.0, 97.0, 98.0, 99.0}


@pytest.mark.parametrize("folds", [False, True])
def test_five_percent_of_texts_are_novel(folds: bool) -> None:
    """The threshold is a quantile of validation, and the flag is the one that serves."""
    validation, _ = run(builders.TEXTS, TOPICS, "text", folds=folds)
    assert validation.text_novelty is not None
    assert validation.is_out.mean() == pytest.approx(0.05, abs=0.02)
    assert validation.text_novelty.vocabulary[:3] == ("0", "1", "2")
    assert "hammer" in validation.text_novelty.vocabulary


def test_rows_that_the_service_refuses_are_left_out() -> None:
    """They could not be validated as they are served; the output says how many and why."""
    estimator, training, held_out = builders.mixed_model()
    model = model_of(estimator, training, ANSWERS, "frame")
    broken = held_out.assign(plan=["golden"] * 3 + held_out["plan"].tolist()[3:])
    lines: list[str] = []
    validation = hold_out(model, training, broken, indices(broken, ANSWERS), lines.append)
    assert len(validation.rows) == len(validation.targets) == len(held_out) - 3
    assert lines == [
        (
            "3 of 134 validation rows left out: the service refuses them "
            "(first: features.plan is not one of the known categories)"
        )
    ]
    with pytest.raises(PackError, match="would refuse every validation row"):
        hold_out(model, training, held_out.assign(plan="golden"), indices(held_out, ANSWERS), print)


def test_too_few_rows_for_folds_are_refused() -> None:
    """Each fold needs a row of each class."""
    frame = pd.DataFrame({"x": [1.0, 2.0, 3.0, 4.0, 5.0, 6.0], TARGET: ["yes"] * 3 + ["no"] * 3})
    estimator = LogisticRegression().fit(frame[["x"]], frame[TARGET])
    with pytest.raises(
        PackError, match="the rarest class has 3 rows, too few for 5 folds; give --validation"
    ):
        out_of_fold(model_of(estimator, frame, ANSWERS, "array"), frame, indices(frame, ANSWERS), print)


class Overflowing(LinearRegression):
    """Gives a number that is not finite."""

    def predict(self, X: Any) -> Any:
        """Answer infinity."""
        return np.full(len(X), np.inf)


class Uncloneable(LinearRegression):
    """Cannot be fitted again."""

    def fit(self, X: Any, y: Any, sample_weight: Any = None) -> Any:
        """Refuse."""
        raise RuntimeError("the data are gone")


def test_output_that_is_not_finite_is_refused() -> None:
    """Such a model would answer nothing."""
    frame = pd.DataFrame({"x": [1.0, 2.0, 3.0], TARGET: [1.0, 2.0, 3.0]})
    estimator = Overflowing().fit(frame[["x"]], frame[TARGET])
    with pytest.raises(PackError, match="not finite or out of bounds on validation rows"):
        hold_out(model_of(estimator, frame, None, "array"), frame, frame, frame[TARGET].to_numpy(), print)


def test_clone_that_cannot_be_fitted_is_refused() -> None:
    """The line shows the way out."""
    frame = pd.DataFrame({"x": np.arange(10.0), TARGET: np.arange(10.0)})
    with pytest.raises(PackError, match=r"RuntimeError: the data are gone\); give --validation"):
        out_of_fold(model_of(Uncloneable(), frame, None, "array"), frame, frame[TARGET].to_numpy(), print)
