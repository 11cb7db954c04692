"""The served form of a row gives the table's predictions, or packing says that it does not."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest
from sklearn.linear_model import LinearRegression
from sklearn.svm import SVC

from service.bundle.packing.features import infer_feature
from service.bundle.packing.serving_form import (
    choose_container,
    choose_output,
    complete_rows,
    estimator_input,
)
from service.bundle.packing.table import FieldOptions
from service.bundle.signature import Signature
from service.errors import PackError
from tests import builders


def signature_of(frame: pd.DataFrame, *, task: str = "regression", text: bool = False) -> Signature:
    """Infer a signature from all columns."""
    features = tuple(infer_feature(frame[name], FieldOptions(), is_text=text) for name in frame.columns)
    classes = (
        None if task == "regression" else ("no", "yes") if task == "binary" else ("ash", "birch", "cedar")
    )
    return Signature(task=task, input="text" if text else "tabular", features=features, classes=classes)


def choose(estimator: Any, frame: pd.DataFrame, **kind: Any) -> str:
    """Choose the container for a table."""
    signature = signature_of(frame, **kind)
    return choose_container(estimator, signature, *complete_rows(signature, frame))


class ByName:
    """Takes its columns by name, as a ColumnTransformer does."""

    feature_names_in_ = np.array(["a", "b"])

    def predict(self, frame: pd.DataFrame) -> Any:
        """Add two columns."""
        return (frame["a"] + 10 * frame["b"]).to_numpy()


class ByType:
    """Predicts something else on an array than on a table."""

    feature_names_in_ = np.array(["a", "b"])

    def predict(self, inputs: Any) -> Any:
        """Tell a table from an array."""
        return np.full(len(inputs), float(isinstance(inputs, pd.DataFrame)))


class ByColumnType:
    """Predicts by a column's type, which rows from JSON do not have."""

    feature_names_in_ = np.array(["a"])

    def predict(self, frame: pd.DataFrame) -> Any:
        """Tell the special type from others."""
        return np.full(len(frame), float(frame["a"].dtype == "category"))


TABLE = pd.DataFrame({"a": [1.5, 2.5, 7.0], "b": [2.0, 4.0, 8.0]})


def test_numbers_are_served_as_an_array() -> None:
    """The cheapest form, if the estimator agrees."""
    estimator, training, _ = builders.numbers_model()
    assert choose(estimator, training.drop(columns="target"), task="multiclass") == "array"


@pytest.mark.parametrize("estimator", [ByName(), ByType()], ids=["raises", "differs"])
def test_array_that_does_not_do_gives_a_frame(estimator: Any) -> None:
    """Whether it raises or predicts something else."""
    assert choose(estimator, TABLE) == "frame"


def test_categories_need_a_frame() -> None:
    """An array of floats cannot hold them."""
    estimator, training, _ = builders.mixed_model()
    assert choose(estimator, training.drop(columns="target"), task="binary") == "frame"


def test_text_is_a_list() -> None:
    """A vectorizer takes strings."""
    estimator, training, _ = builders.texts_model()
    frame = training[["text"]]
    assert choose(estimator, frame, task="multiclass", text=True) == "text"


def test_form_that_never_agrees_is_refused() -> None:
    """Better now than wrong in service."""
    frame = pd.DataFrame({"a": pd.Categorical(["x", "y"])})
    with pytest.raises(PackError, match="do not give the table's predictions: other predictions"):
        choose(ByColumnType(), frame)


def test_table_that_the_estimator_refuses_is_named() -> None:
    """The estimator's own words are in the line."""
    with pytest.raises(PackError, match="cannot predict on the table: KeyError"):
        choose(ByName(), TABLE.rename(columns={"b": "c"}))


def test_several_targets_at_once_are_refused() -> None:
    """One model predicts one number."""
    estimator = LinearRegression().fit(TABLE, np.eye(3))
    with pytest.raises(PackError, match="several targets at once"):
        choose(estimator, TABLE)


def test_complete_rows_leave_out_missing_values() -> None:
    """The forms are compared where both can hold the row."""
    frame = TABLE.assign(b=[2.0, np.nan, 8.0])
    sample, rows = complete_rows(signature_of(frame), frame)
    assert rows == [(1.5, 2.0), (7.0, 8.0)]
    assert len(sample) == 2


def test_without_a_complete_row_the_examples_stand_in() -> None:
    """Each column has a value somewhere."""
    frame = pd.DataFrame({"a": [1.5, np.nan], "b": [np.nan, 8.0]})
    assert complete_rows(signature_of(frame), frame)[1] == [(1.5, 8.0)]


def test_input_is_what_the_user_calls_with() -> None:
    """An array for an estimator that was fitted on one."""
    signature = signature_of(TABLE)
    assert isinstance(estimator_input(ByName(), TABLE, signature), pd.DataFrame)
    fitted = LinearRegression().fit(TABLE.to_numpy(), [1, 2, 3])
    assert isinstance(estimator_input(fitted, TABLE, signature), np.ndarray)


class Thresholded:
    """Predicts by another threshold than one half."""

    def __init__(self, threshold: float) -> None:
        self.threshold = threshold

    def predict_proba(self, inputs: Any) -> Any:
        """Take the first column as the probability of yes."""
        return np.column_stack([1 - inputs[:, 0], inputs[:, 0]])

    def predict(self, inputs: Any) -> Any:
        """Compare with the threshold."""
        return np.where(inputs[:, 0] > self.threshold, "yes", "no")


@pytest.mark.parametrize(
    ("estimator", "output"),
    [
        (Thresholded(0.5), "argmax"),
        (Thresholded(0.9), "predict_and_probability"),
        (SVC().fit([[0.1], [0.9]], ["no", "yes"]), "predict"),
    ],
    ids=["half", "nine tenths", "no probability"],
)
def test_output_is_argmax_only_if_it_is_the_prediction(estimator: Any, output: str) -> None:
    """One call of predict_proba must give the very label that predict gives."""
    frame = pd.DataFrame({"p": [0.2, 0.7, 0.95]})
    signature = signature_of(frame, task="binary")
    assert choose_output(estimator, signature, "array", [(0.2,), (0.7,), (0.95,)]) == output
