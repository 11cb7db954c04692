"""Tables and fields: what a user packs with is read exactly or refused with one line."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from service.bundle.packing.table import FieldOptions, read_fields, read_table, rows_of
from service.bundle.signature import Feature
from service.errors import PackError


def test_numbers_survive_the_file_to_the_last_bit(tmp_path: Path) -> None:
    """The estimator was fitted on these very floats."""
    generator = np.random.default_rng(3)
    values = generator.normal(size=5000) * 10.0 ** generator.integers(-12, 12, 5000)
    pd.DataFrame({"x": values}).to_csv(tmp_path / "t.csv", index=False)
    assert (read_table(tmp_path / "t.csv").frame["x"].to_numpy() == values).all()


def test_fingerprint_is_that_of_the_file(tmp_path: Path) -> None:
    """Anybody can check it with sha256sum."""
    (tmp_path / "t.csv").write_bytes(b"a,b\n1,2\n")
    assert read_table(tmp_path / "t.csv").sha256 == hashlib.sha256(b"a,b\n1,2\n").hexdigest()


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "is not a CSV file with a header"),
        (b"a,b\n", "has no rows"),
        (b"a,b,a\n1,2,3\n", "has the column 'a' more than once"),
        (b"a,b\n1,2\n1,2,3,4\n", "is not a CSV file"),
        (b"a,b\n\xff\xfe,2\n", "is not UTF-8"),
    ],
)
def test_bad_table_is_refused(tmp_path: Path, content: bytes, message: str) -> None:
    """The line names the file and what is wrong."""
    path = tmp_path / "train.csv"
    path.write_bytes(content)
    with pytest.raises(PackError, match=message) as caught:
        read_table(path)
    assert str(caught.value).startswith(f"{path}: ")
    assert "\n" not in str(caught.value)


def test_missing_table_is_refused(tmp_path: Path) -> None:
    """A mistyped path is named."""
    with pytest.raises(PackError, match=r"none\.csv: cannot be read: No such file"):
        read_table(tmp_path / "none.csv")


def test_missing_column_is_named_with_those_there_are(tmp_path: Path) -> None:
    """A mistyped column is easily seen."""
    (tmp_path / "t.csv").write_text("height,girth\n1,2\n")
    with pytest.raises(PackError, match="has no column 'heigth'; it has height, girth"):
        read_table(tmp_path / "t.csv").require("heigth")


def test_fields_are_read(tmp_path: Path) -> None:
    """Each key is optional."""
    path = tmp_path / "fields.toml"
    path.write_text('[age]\nunit = "years"\nminimum = 0\nsensitive = true\n["blood group"]\nclosed = true\n')
    assert read_fields(path) == {
        "age": FieldOptions(unit="years", minimum=0.0, sensitive=True),
        "blood group": FieldOptions(closed=True),
    }


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[age", "is not TOML"),
        ("[age]\ncolour = 1", "age.colour: Extra inputs are not permitted"),
        ('[age]\nminimum = "low"', "age.minimum: Input should be a valid number"),
        ("age = 3", "age: Input should be"),
    ],
)
def test_bad_fields_are_refused(tmp_path: Path, text: str, message: str) -> None:
    """The line names the entry."""
    (tmp_path / "fields.toml").write_text(text)
    with pytest.raises(PackError, match=message):
        read_fields(tmp_path / "fields.toml")


def test_rows_hold_plain_values(tmp_path: Path) -> None:
    """No numpy value and no NaN gets into JSON."""
    (tmp_path / "t.csv").write_text("a,b,c,d\n1.5,2,True,red\n,3,False,\n")
    features = (
        Feature(name="d", type="category", categories=("red",)),
        Feature(name="a", type="number"),
        Feature(name="b", type="integer"),
        Feature(name="c", type="boolean"),
    )
    rows = rows_of(read_table(tmp_path / "t.csv").frame, features)
    assert rows == [("red", 1.5, 2, True), (None, None, 3, False)]
    assert [type(value) for value in rows[0]] == [str, float, int, bool]


@pytest.mark.parametrize(("values", "kind"), [(["tall", "small"], "number"), ([3.0, 2.5], "integer")])
def test_column_of_another_type_is_refused(values: list[Any], kind: Any) -> None:
    """A validation file with words in a column of numbers is named."""
    frame = pd.DataFrame({"a": values})
    with pytest.raises(PackError, match=f"column 'a' does not hold values of type {kind}"):
        rows_of(frame, (Feature(name="a", type=kind),))


def test_codes_stay_strings(tmp_path: Path) -> None:
    """A postal code keeps its leading zero if the column is read as text."""
    (tmp_path / "t.csv").write_text("code,size\n01067,1\n,2\n")
    frame = read_table(tmp_path / "t.csv", {"code", "elsewhere"}).frame
    features = (
        Feature(name="code", type="category", categories=("01067",)),
        Feature(name="size", type="integer"),
    )
    assert rows_of(frame, features) == [("01067", 1), (None, 2)]
