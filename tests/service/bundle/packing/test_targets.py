"""The target column: class indices or finite numbers, errors by line."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from service.bundle.packing.table import Table, read_table
from service.bundle.packing.targets import (
    infer_task,
    read_confidences,
    read_targets,
    refuse_constant_target,
)
from service.bundle.signature import ClassLabel, Feature, Signature, Task
from service.errors import PackError


def signature(*classes: ClassLabel) -> Signature:
    """A signature with these classes; none for regression."""
    task = "regression" if not classes else "binary" if len(classes) == 2 else "multiclass"
    features = (Feature(name="x", type="number"),)
    return Signature(task=task, input="tabular", features=features, classes=classes or None)


def written(folder: Path, column: str) -> Table:
    """Write a column `y` and read it."""
    (folder / "t.csv").write_text("x,y\n" + "".join(f"1,{value}\n" for value in column.split()))
    return read_table(folder / "t.csv")


def targets(folder: Path, column: str, *classes: ClassLabel) -> list[float]:
    """Read a target column."""
    return list(read_targets(written(folder, column), "y", signature(*classes)).tolist())


@pytest.mark.parametrize(
    ("column", "classes", "expected"),
    [
        ("b a b", ("a", "b", "c"), [1, 0, 1]),
        ("0 1 1", (0, 1), [0, 1, 1]),
        ("0.0 1.0", (0, 1), [0, 1]),
        ("True False", (False, True), [1, 0]),
        ("1.5 2 -3", (), [1.5, 2.0, -3.0]),
    ],
)
def test_targets_are_read(
    tmp_path: Path, column: str, classes: tuple[ClassLabel, ...], expected: object
) -> None:
    """Classes become positions, numbers stay."""
    assert targets(tmp_path, column, *classes) == expected


@pytest.mark.parametrize(
    ("column", "classes", "message"),
    [
        ("a b NaN", ("a", "b"), "the target 'y' is missing in line 4"),
        ("a d", ("a", "b", "c"), "is 'd' in line 3; the classes of the model are 'a', 'b', 'c'"),
        ("1 two", (), "is not a number in every row"),
        ("1 inf", (), "is not finite in line 3"),
        ("1 2 -1e101", (), r"is beyond 1e\+100 in line 4"),
    ],
)
def test_bad_targets_are_refused(
    tmp_path: Path, column: str, classes: tuple[ClassLabel, ...], message: str
) -> None:
    """The line of the file is named."""
    with pytest.raises(PackError, match=message):
        targets(tmp_path, column, *classes)


@pytest.mark.parametrize(("column", "text"), [("b b", "'b'"), ("1.5 1.5 1.5", "1.5")])
def test_constant_target_is_refused(tmp_path: Path, column: str, text: str) -> None:
    """There is nothing to predict, and a spread of 0 is no unit for errors."""
    table = written(tmp_path, column)
    classes = ("a", "b") if "b" in column else ()
    numbers = read_targets(table, "y", signature(*classes))
    with pytest.raises(PackError, match=f"the target 'y' is {text} in every row"):
        refuse_constant_target(table, "y", numbers)
    refuse_constant_target(table, "y", np.array([1, 0]))


@pytest.mark.parametrize(
    ("column", "given", "task", "classes"),
    [
        ("no yes no", None, "binary", ("no", "yes")),
        ("c a b", None, "multiclass", ("a", "b", "c")),
        ("10 9 10", None, "binary", (9, 10)),
        ("True False", None, "binary", (False, True)),
        ("true false", None, "binary", (False, True)),
        ("true false maybe", None, "multiclass", ("false", "maybe", "true")),
        ("1.0 0.0", "binary", "binary", (0, 1)),
        ("1.0 0.0", None, "regression", None),
        ("1.5 2", None, "regression", None),
        ("1 2 3", "regression", "regression", None),
        (" ".join(map(str, range(51))), "multiclass", "multiclass", tuple(range(51))),
    ],
)
def test_task_and_classes_are_told_by_the_values(
    tmp_path: Path, column: str, given: Task | None, task: Task, classes: tuple[ClassLabel, ...] | None
) -> None:
    """Sorted, and of the type in which a client writes them in JSON."""
    found = infer_task(written(tmp_path, column), "y", given)
    assert found == (task, classes)
    assert [type(label) for label in found[1] or ()] == [type(label) for label in classes or ()]


@pytest.mark.parametrize(
    ("column", "given", "message"),
    [
        ("a NaN", None, "the target 'y' is missing in line 3"),
        ("b b", None, "the target 'y' is 'b' in every row"),
        ("0.5 1.5", "binary", "holds fractions, which are no classes"),
        ("0 inf", "binary", "holds fractions, which are no classes"),
        ("a b c", "binary", "has 3 classes, that is no binary"),
        ("a b", "multiclass", "has 2 classes, that is no multiclass"),
        (" ".join(map(str, range(51))), None, "51 distinct whole numbers: say --task regression, or"),
    ],
)
def test_target_that_leaves_the_task_open_is_refused(
    tmp_path: Path, column: str, given: Task | None, message: str
) -> None:
    """Rather than guessed."""
    with pytest.raises(PackError, match=message):
        infer_task(written(tmp_path, column), "y", given)


def test_predictions_are_read_like_targets(tmp_path: Path) -> None:
    """With their own name in the message."""
    table = written(tmp_path, "a 0.7")
    with pytest.raises(PackError, match=r"the prediction 'y' is '0\.7' in line 3; the classes of the model"):
        read_targets(table, "y", signature("a", "b"), "prediction")


def test_confidences_are_read(tmp_path: Path) -> None:
    """Both ends belong to them, and whole numbers may stand for them."""
    assert read_confidences(written(tmp_path, "0.5 1 0"), "y").tolist() == [0.5, 1.0, 0.0]


@pytest.mark.parametrize(
    ("column", "message"),
    [
        ("0.5 NaN", "the confidence 'y' is missing in line 3"),
        ("0.5 1.01", "the confidence 'y' is not between 0 and 1 in line 3"),
        ("-0.01", "the confidence 'y' is not between 0 and 1 in line 2"),
        ("0.5 high", "the confidence 'y' is not a number in every row"),
    ],
)
def test_bad_confidences_are_refused(tmp_path: Path, column: str, message: str) -> None:
    """A percentage, for example."""
    with pytest.raises(PackError, match=message):
        read_confidences(written(tmp_path, column), "y")
