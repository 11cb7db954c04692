"""Reads the target column: class indices, or numbers for regression."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from service.bundle.packing.table import Table
from service.bundle.signature import Signature
from service.errors import PackError

MAX_TARGET = 1e100
"""The square of a larger number may be infinite, and with it every measure of spread."""


def refuse_single_class(table: Table, target: str, signature: Signature, targets: NDArray[Any]) -> None:
    """Raise if all training rows are of one class."""
    if signature.classes is not None and len(set(targets.tolist())) < 2:
        single = signature.classes[int(targets[0])]
        raise PackError(f"{table.path}: the target {target!r} has a single class, {single!r}")


def read_targets(table: Table, target: str, signature: Signature) -> NDArray[Any]:
    """Give the target of each of n rows: positions in the signature's classes, or finite numbers; shape (n,).

    Raises:
        PackError: a value is missing, not finite, or no class of the model.
    """
    table.require(target)
    column = table.frame[target]
    if column.isna().any():
        line = int(np.flatnonzero(column.isna().to_numpy())[0]) + 2
        raise PackError(f"{table.path}: the target {target!r} is missing in line {line}")
    if signature.classes is None:
        try:
            numbers = column.to_numpy(dtype=np.float64)
        except (TypeError, ValueError) as error:
            raise PackError(f"{table.path}: the target {target!r} is not a number in every row") from error
        if not np.isfinite(numbers).all():
            line = int(np.flatnonzero(~np.isfinite(numbers))[0]) + 2
            raise PackError(f"{table.path}: the target {target!r} is not finite in line {line}")
        if np.abs(numbers).max() > MAX_TARGET:
            line = int(np.argmax(np.abs(numbers))) + 2
            raise PackError(f"{table.path}: the target {target!r} is beyond {MAX_TARGET:g} in line {line}")
        return numbers
    positions = {label: index for index, label in enumerate(signature.classes)}
    values = column.tolist()
    for line, value in enumerate(values, start=2):
        if value not in positions:
            known = ", ".join(repr(label) for label in signature.classes[:10])
            raise PackError(
                f"{table.path}: the target {target!r} is {value!r} in line {line}; "
                f"the classes of the model are {known}"
            )
    return np.array([positions[value] for value in values], dtype=np.intp)
