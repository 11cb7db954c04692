"""What a user packs is looked at before anything is computed."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import joblib
import numpy as np
import pandas as pd
import pytest
import sklearn
from sklearn.cluster import KMeans
from sklearn.dummy import DummyClassifier
from sklearn.ensemble import RandomForestClassifier
from sklearn.linear_model import LinearRegression, LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.tree import DecisionTreeClassifier

from service.bundle.packing.estimator import (
    class_labels,
    feature_columns,
    library_versions,
    open_estimator,
    parallel_parts,
    takes_texts,
    task_of,
    unpackaged_modules,
)
from service.bundle.packing.table import Table
from service.errors import PackError
from tests import builders

X = np.arange(12.0).reshape(6, 2)


def classifier(*labels: Any) -> DecisionTreeClassifier:
    """Fit a classifier on these labels."""
    return DecisionTreeClassifier().fit(np.arange(len(labels)).reshape(-1, 1), np.array(labels))


def table(**columns: Any) -> Table:
    """Make a table with one row."""
    return Table(Path("train.csv"), pd.DataFrame({name: [value] for name, value in columns.items()}), "")


def test_estimator_and_its_bytes_are_read(tmp_path: Path) -> None:
    """The bundle holds the user's own bytes."""
    path = tmp_path / "m.joblib"
    joblib.dump(builders.regression_model()[0], path, compress=3)
    estimator, content = open_estimator(path)
    assert isinstance(estimator, LinearRegression)
    assert content == path.read_bytes()


@pytest.mark.parametrize(
    ("thing", "message"),
    [
        (LogisticRegression(), "holds a LogisticRegression that is not fitted"),
        (StandardScaler().fit(X), "holds a StandardScaler, which cannot predict"),
        ([1, 2], "holds a list, which cannot predict"),
    ],
)
def test_what_cannot_predict_is_refused(tmp_path: Path, thing: object, message: str) -> None:
    """The line names the file and what it holds."""
    joblib.dump(thing, tmp_path / "m.joblib")
    with pytest.raises(PackError, match=message):
        open_estimator(tmp_path / "m.joblib")


def test_files_that_are_no_model_are_refused(tmp_path: Path) -> None:
    """Missing, or not written by joblib."""
    with pytest.raises(PackError, match="cannot be read: No such file"):
        open_estimator(tmp_path / "m.joblib")
    (tmp_path / "m.joblib").write_text("a,b\n1,2\n")
    with pytest.raises(PackError, match="cannot be unpickled"):
        open_estimator(tmp_path / "m.joblib")


@pytest.mark.parametrize(
    ("estimator", "task"),
    [
        (classifier("a", "b"), "binary"),
        (classifier(1, 2, 3), "multiclass"),
        (LinearRegression().fit(X, X[:, 0]), "regression"),
    ],
)
def test_task_is_told(estimator: Any, task: str) -> None:
    """Two classes are binary."""
    assert task_of(estimator) == task


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: KMeans(2, n_init=1).fit(X), "a KMeans is neither a classifier nor a regressor"),
        (lambda: DummyClassifier().fit(X, ["a"] * 6), "knows a single class, .*'a'"),
        (lambda: DecisionTreeClassifier().fit(X, X.astype(int) % 2), "several targets at once"),
    ],
)
def test_other_tasks_are_refused(make: Callable[[], Any], message: str) -> None:
    """One model predicts one class or one number."""
    with pytest.raises(PackError, match=message):
        task_of(make())


@pytest.mark.parametrize(
    ("labels", "expected"),
    [(("b", "a"), ("a", "b")), ((3, 1), (1, 3)), ((True, False), (False, True)), ((1.0, 0.0), (0, 1))],
)
def test_classes_are_plain_values(labels: tuple[Any, ...], expected: tuple[Any, ...]) -> None:
    """As JSON knows them; whole floats become integers."""
    found = class_labels(classifier(*labels))
    assert found == expected
    assert [type(label) for label in found] == [type(label) for label in expected]


def test_class_that_is_no_label_is_refused() -> None:
    """A fraction is no class."""

    class Fractions:
        classes_ = np.array([0.5, 1.5])

    with pytest.raises(PackError, match=r"the class 0\.5 is neither"):
        class_labels(Fractions())


def test_columns_follow_the_names_of_the_estimator() -> None:
    """Not the order of the file."""
    estimator = builders.numbers_model()[0]
    columns = table(slope=1, target="ash", girth=2, height=3)
    assert feature_columns(estimator, columns, "target", ()) == ["height", "girth", "slope"]


def test_columns_of_an_estimator_without_names_are_those_of_the_file() -> None:
    """In its order, without target and ignored ones."""
    estimator = LinearRegression().fit(X, X[:, 0])
    assert feature_columns(estimator, table(b=1, id=2, y=3, a=4), "y", ("id",)) == ["b", "a"]


@pytest.mark.parametrize(
    ("columns", "ignore", "message"),
    [
        ({"height": 1, "girth": 2, "target": 3}, (), "has no column 'slope'"),
        ({"height": 1, "girth": 2, "slope": 4, "id": 5, "target": 3}, (), "does not take .*--ignore id"),
        ({"height": 1, "girth": 2, "slope": 4, "target": 3}, ("slope",), "fitted on the column 'slope'"),
        ({"height": 1, "girth": 2, "slope": 4}, (), "has no column 'target'"),
        ({"height": 1, "girth": 2, "slope": 4, "target": 3}, ("age",), "has no column 'age'"),
    ],
)
def test_columns_that_do_not_fit_are_refused(
    columns: dict[str, Any], ignore: tuple[str, ...], message: str
) -> None:
    """The line names the column and the way out."""
    with pytest.raises(PackError, match=message):
        feature_columns(builders.numbers_model()[0], table(**columns), "target", ignore)


def test_count_of_columns_must_fit() -> None:
    """An estimator without names knows their number only."""
    with pytest.raises(PackError, match="has 3 feature columns, the estimator takes 2"):
        feature_columns(LinearRegression().fit(X, X[:, 0]), table(a=1, b=2, c=3, y=4), "y", ())


def test_text_model_is_recognised() -> None:
    """One column of strings, and a vectorizer first."""
    estimator, training, _ = builders.texts_model()
    assert takes_texts(estimator, training, ["text"])
    assert not takes_texts(builders.numbers_model()[0], builders.numbers_model()[1], ["height"])
    assert not takes_texts(builders.mixed_model()[0], builders.mixed_model()[1], ["colour"])


def test_libraries_are_those_that_unpickling_needs() -> None:
    """A DataFrame needs pandas."""
    estimator = builders.numbers_model()[0]
    assert set(library_versions(estimator, "array")) == {"numpy", "scikit-learn"}
    assert set(library_versions(estimator, "frame")) == {"numpy", "pandas", "scikit-learn"}


def test_class_of_a_script_is_refused() -> None:
    """The service could never import it."""
    stray = type("Stray", (LinearRegression,), {"__module__": "__main__"})
    import __main__  # noqa: PLC0415 - pickling looks the class up there

    __main__.Stray = stray
    try:
        with pytest.raises(PackError, match="defined in a script or notebook"):
            library_versions(stray().fit(X, X[:, 0]), "array")
    finally:
        del __main__.Stray


def test_what_cannot_be_pickled_is_refused() -> None:
    """A lambda in an estimator."""
    estimator = LinearRegression().fit(X, X[:, 0])
    estimator.hook = lambda: None
    with pytest.raises(PackError, match="cannot be pickled"):
        library_versions(estimator, "array")


def test_module_of_no_library_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """It must be importable where the model serves, so the user is warned."""
    assert unpackaged_modules(builders.numbers_model()[0]) == []
    monkeypatch.setattr(
        "service.bundle.packing.estimator.packages_of",
        lambda _: {"numpy", "os", "my_features", "_cython_3_2_4"},
    )
    assert unpackaged_modules(object()) == ["my_features"]


def test_parallel_estimators_are_found() -> None:
    """Also deep inside; a worker has one thread for predictions."""
    forest = RandomForestClassifier(n_jobs=-1)
    assert parallel_parts(make_pipeline(StandardScaler(), forest)) == ["randomforestclassifier__n_jobs=-1"]
    assert parallel_parts(RandomForestClassifier(n_jobs=1)) == []
    assert parallel_parts(object()) == []


def test_model_of_another_scikit_learn_is_refused_with_advice(tmp_path: Path) -> None:
    """The line names both versions and what to do."""
    path = tmp_path / "model.joblib"
    joblib.dump(classifier("a", "b"), path)
    ours = sklearn.__version__.encode()
    path.write_bytes(path.read_bytes().replace(ours, b"0" * len(ours)))
    with pytest.raises(PackError) as caught:
        open_estimator(path)
    message = str(caught.value)
    assert f"scikit-learn {'0' * len(ours)}, here is {sklearn.__version__}: fit it again" in message
    assert "\n" not in message
