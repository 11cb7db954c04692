"""Reads what a user packs with: tables of training data, and options by feature."""

from __future__ import annotations

import csv
import hashlib
import tomllib
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import pandas as pd
from pydantic import BaseModel, ConfigDict, ValidationError

from service.bundle.signature import Feature, Scalar
from service.errors import PackError

Row = tuple[Scalar, ...]


@dataclass(frozen=True)
class Table:
    """A CSV file in memory.

    Args:
        path: where it came from, for messages.
        frame: its columns as pandas reads them; empty cells, `NA`, `NaN` and `null` are missing values.
        sha256: hash of the file's bytes.
    """

    path: Path
    frame: pd.DataFrame
    sha256: str

    def require(self, column: str) -> None:
        """Raise unless the table has the column."""
        if column not in self.frame.columns:
            raise PackError(f"{self.path}: has no column {column!r}; it has {_listed(self.frame.columns)}")


class FieldOptions(BaseModel):
    """What the user says of one feature; whatever stays out is inferred from the data."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    type: Literal["number", "category", "text"] | None = None
    """`number`: whole so far, but fractions may come. `category`: digits, but a code (a postal code).

    `text`: free text, in the only column of features.
    """
    unit: str = ""
    description: str = ""
    minimum: float | None = None
    maximum: float | None = None
    closed: bool | None = None
    nullable: bool | None = None
    fill: bool | int | float | str | None = None
    sensitive: bool = False
    example: bool | int | float | str | None = None


def read_table(path: Path, as_text: Collection[str] = ()) -> Table:
    """Read a CSV file with a header line.

    Args:
        path: the file.
        as_text: columns whose values stay strings, though they look like numbers or booleans.

    Raises:
        PackError: it is missing, empty, no CSV, or has two columns of one name.
    """
    try:
        with path.open(newline="", encoding="utf-8") as file:
            header = next(csv.reader(file), [])
        types = {name: str for name in as_text if name in header}
        frame = pd.read_csv(path, low_memory=False, encoding="utf-8", dtype=types)
        digest = hashlib.sha256(path.read_bytes()).hexdigest()
    except OSError as error:
        raise PackError(f"{path}: cannot be read: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise PackError(f"{path}: is not UTF-8 text") from error
    except (pd.errors.EmptyDataError, pd.errors.ParserError, csv.Error) as error:
        raise PackError(f"{path}: is not a CSV file with a header: {str(error).strip()}") from error
    if twice := sorted({name for name in header if header.count(name) > 1}):
        raise PackError(f"{path}: has the column {twice[0]!r} more than once")
    if frame.empty:
        raise PackError(f"{path}: has no rows")
    return Table(path, frame, digest)


def read_fields(path: Path) -> dict[str, FieldOptions]:
    """Read options by feature from a TOML file: a table per feature.

    Raises:
        PackError: it cannot be read, or holds something that is no option.
    """
    try:
        content = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise PackError(f"{path}: cannot be read: {error.strerror}") from error
    except ValueError as error:
        raise PackError(f"{path}: is not TOML: {error}") from error
    fields = {}
    for name, options in content.items():
        try:
            fields[name] = FieldOptions.model_validate(options)
        except ValidationError as error:
            first = error.errors(include_url=False, include_input=False)[0]
            place = ".".join(str(step) for step in (name, *first["loc"]))
            raise PackError(f"{path}: {place}: {first['msg']}") from error
    return fields


def string_columns(fields: Mapping[str, FieldOptions]) -> set[str]:
    """List the columns whose values are strings though they may look like numbers: codes and texts."""
    return {name for name, options in fields.items() if options.type in {"category", "text"}}


def rows_of(frame: pd.DataFrame, features: tuple[Feature, ...]) -> list[Row]:
    """Write a table as rows of plain values in signature order; None is a missing value.

    Raises:
        PackError: a column does not hold what the feature's type says.
    """
    columns = [_values(frame[feature.name], feature) for feature in features]
    return list(zip(*columns, strict=True))


def _values(column: pd.Series, feature: Feature) -> list[Scalar]:
    missing = column.isna().to_numpy()
    try:
        if feature.type == "number":
            numbers = column.to_numpy(dtype=np.float64)
            values: list[Scalar] = numbers.tolist()
        elif feature.type == "integer":
            values = [None if gone else _whole(value) for value, gone in zip(column, missing, strict=True)]
        elif feature.type == "boolean":
            values = [None if gone else bool(value) for value, gone in zip(column, missing, strict=True)]
        else:
            values = [None if gone else str(value) for value, gone in zip(column, missing, strict=True)]
    except (TypeError, ValueError) as error:
        raise PackError(f"column {feature.name!r} does not hold values of type {feature.type}") from error
    return [None if gone else value for value, gone in zip(values, missing, strict=True)]


def _whole(value: float) -> int:
    if value != int(value):
        raise ValueError("not a whole number")
    return int(value)


def _listed(columns: pd.Index) -> str:
    names = [str(name) for name in columns]
    return ", ".join(names[:10]) + (", ..." if len(names) > 10 else "")
