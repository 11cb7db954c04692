"""The target column: class indices or finite numbers, errors by line."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from service.bundle.packing.table import read_table
from service.bundle.packing.targets import read_targets, refuse_single_class
from service.bundle.signature import ClassLabel, Feature, Signature
from service.errors import PackError


def signature(*classes: ClassLabel) -> Signature:
    """A signature with these classes; none for regression."""
    task = "regression" if not classes else "binary" if len(classes) == 2 else "multiclass"
    features = (Feature(name="x", type="number"),)
    return Signature(task=task, input="tabular", features=features, classes=classes or None)


def targets(folder: Path, column: str, *classes: ClassLabel) -> list[float]:
    """Read a target column."""
    (folder / "t.csv").write_text("x,y\n" + "".join(f"1,{value}\n" for value in column.split()))
    return list(read_targets(read_table(folder / "t.csv"), "y", signature(*classes)).tolist())


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


def test_single_class_of_training_rows_is_refused(tmp_path: Path) -> None:
    """There is nothing to predict; a regression has no classes."""
    (tmp_path / "t.csv").write_text("x,y\n1,2\n")
    table = read_table(tmp_path / "t.csv")
    refuse_single_class(table, "y", signature(), np.array([1.5, 1.5]))
    refuse_single_class(table, "y", signature("a", "b"), np.array([1, 0]))
    with pytest.raises(PackError, match="has a single class, 'b'"):
        refuse_single_class(table, "y", signature("a", "b"), np.array([1, 1]))
