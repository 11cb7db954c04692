"""Reads the target column, and a model's own predictions: class indices, or numbers for regression."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from service.bundle.packing.table import Table
from service.bundle.signature import ClassLabel, Signature, Task
from service.errors import PackError

MAX_TARGET = 1e100
"""The square of a larger number may be infinite, and with it every measure of spread."""
MAX_GUESSED_CLASSES = 50
"""With more distinct whole numbers a target is as likely an amount as a class; the user must say which."""


def infer_task(table: Table, target: str, given: Task | None) -> tuple[Task, tuple[ClassLabel, ...] | None]:
    """Tell task and classes from the values of the target, where no estimator does.

    Fractions are a regression; strings, whole numbers and booleans are classes, in sorted order.

    Args:
        table: holds the target.
        target: its column.
        given: what the user says; it is checked, not overruled.

    Raises:
        PackError: the values do not fit the task, or leave it open.
    """
    _refuse_missing(table, target, "target")
    column = table.frame[target]
    is_fraction = pd.api.types.is_float_dtype(column)
    if given == "regression" or (given is None and is_fraction):
        return "regression", None
    values = column.drop_duplicates()
    if is_fraction:
        if not (np.isfinite(values) & (values == values.round())).all():
            raise PackError(f"{table.path}: the target {target!r} holds fractions, which are no classes")
        values = values.astype(np.int64)
    classes = tuple(sorted(values.tolist()))
    if len(classes) < 2:
        raise _constant(table, target)
    if given is None and len(classes) > MAX_GUESSED_CLASSES and pd.api.types.is_integer_dtype(values):
        raise PackError(
            f"{table.path}: the target {target!r} holds {len(classes)} distinct whole numbers: "
            "say --task regression, or --task multiclass if they are classes"
        )
    task: Task = "binary" if len(classes) == 2 else "multiclass"
    if given not in {None, task}:
        raise PackError(f"{table.path}: the target {target!r} has {len(classes)} classes, that is no {given}")
    return task, classes


def refuse_constant_target(table: Table, target: str, targets: NDArray[Any]) -> None:
    """Raise if all training rows have one target: there is nothing to predict, nor a unit of errors."""
    if (targets == targets[0]).all():
        raise _constant(table, target)


def read_targets(table: Table, target: str, signature: Signature, role: str = "target") -> NDArray[Any]:
    """Give the target of each of n rows: positions in the signature's classes, or finite numbers; shape (n,).

    Args:
        table: holds the target.
        target: its column.
        signature: has the classes.
        role: what the column is, for messages; a model's predictions are read in the same way.

    Raises:
        PackError: a value is missing, not finite, or no class of the model.
    """
    _refuse_missing(table, target, role)
    column = table.frame[target]
    if signature.classes is None:
        return _read_numbers(table, target, role)
    positions = {label: index for index, label in enumerate(signature.classes)}
    values = column.tolist()
    for line, value in enumerate(values, start=2):
        if value not in positions:
            known = ", ".join(repr(label) for label in signature.classes[:10])
            raise PackError(
                f"{table.path}: the {role} {target!r} is {value!r} in line {line}; "
                f"the classes of the model are {known}"
            )
    return np.array([positions[value] for value in values], dtype=np.intp)


def read_confidences(table: Table, column: str) -> NDArray[np.float64]:
    """Give the model's own probability of its predicted class in each of n rows, 0..1, shape (n,).

    Raises:
        PackError: one is missing or no share.
    """
    _refuse_missing(table, column, "confidence")
    numbers = _read_numbers(table, column, "confidence")
    is_outside = (numbers < 0) | (numbers > 1)
    if is_outside.any():
        line = int(np.flatnonzero(is_outside)[0]) + 2
        raise PackError(f"{table.path}: the confidence {column!r} is not between 0 and 1 in line {line}")
    return numbers


def _constant(table: Table, target: str) -> PackError:
    value = table.frame[target].tolist()[0]
    return PackError(f"{table.path}: the target {target!r} is {value!r} in every row")


def _refuse_missing(table: Table, column: str, role: str) -> None:
    table.require(column)
    missing = table.frame[column].isna().to_numpy()
    if missing.any():
        line = int(np.flatnonzero(missing)[0]) + 2
        raise PackError(f"{table.path}: the {role} {column!r} is missing in line {line}")


def _read_numbers(table: Table, column: str, role: str) -> NDArray[np.float64]:
    try:
        numbers = table.frame[column].to_numpy(dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise PackError(f"{table.path}: the {role} {column!r} is not a number in every row") from error
    if not np.isfinite(numbers).all():
        line = int(np.flatnonzero(~np.isfinite(numbers))[0]) + 2
        raise PackError(f"{table.path}: the {role} {column!r} is not finite in line {line}")
    if np.abs(numbers).max() > MAX_TARGET:
        line = int(np.argmax(np.abs(numbers))) + 2
        raise PackError(f"{table.path}: the {role} {column!r} is beyond {MAX_TARGET:g} in line {line}")
    return numbers
