"""SQL that the two databases write differently."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any

import orjson
from sqlalchemy import (
    ARRAY,
    BigInteger,
    ColumnElement,
    Connection,
    Double,
    LargeBinary,
    Table,
    Text,
    any_,
    cast,
    func,
    literal,
    select,
)


def insert_new(connection: Connection, table: Table, rows: Sequence[tuple[Any, ...]]) -> set[str]:
    """Insert rows whose key is not there yet; return the keys that were inserted.

    Args:
        connection: in a transaction.
        table: its first column is the key, a text.
        rows: values in the order of the columns, sorted by key, no key twice.
    """
    if not rows:
        return set()
    names = ", ".join(column.name for column in table.columns)
    if connection.dialect.name == "sqlite":
        # There is no other writer: what is not there now will not be there in a moment.
        key = table.columns[0]
        there = set(connection.scalars(select(key).where(among(connection, key, [row[0] for row in rows]))))
        new = [tuple(row) for row in rows if row[0] not in there]
        marks = ", ".join("?" * len(table.columns))
        if new:
            connection.exec_driver_sql(f"INSERT INTO {table.name} ({names}) VALUES ({marks})", new)  # noqa: S608 - names of ours
        return {row[0] for row in new}
    # Binary arrays, one for each column: as fast as COPY into a temporary table, without one.
    arrays = ", ".join(f"%b::{_array_type(column.type)}" for column in table.columns)
    result = connection.exec_driver_sql(
        f"INSERT INTO {table.name} ({names}) SELECT * FROM unnest({arrays}) "  # noqa: S608 - names of ours
        f"ON CONFLICT DO NOTHING RETURNING {table.columns[0].name}",
        tuple(
            _array(column.type, values)
            for column, values in zip(table.columns, zip(*rows, strict=True), strict=True)
        ),
    )
    return set(result.scalars())


def among(connection: Connection, column: ColumnElement[str], values: Collection[str]) -> ColumnElement[bool]:
    """Write that a column is one of any number of texts, as one parameter."""
    if connection.dialect.name == "sqlite":
        each = func.json_each(orjson.dumps(list(values)).decode()).table_valued("value")
        return column.in_(select(each.c.value))
    return column == any_(cast(literal(list(values), ARRAY(Text)), ARRAY(Text)))


def byte_length(connection: Connection, column: ColumnElement[str | None]) -> ColumnElement[int]:
    """Write the bytes of a text in UTF-8, 0 for NULL."""
    if connection.dialect.name == "sqlite":
        return func.coalesce(func.length(cast(column, LargeBinary)), 0)
    return func.coalesce(func.octet_length(column), 0)


def text_bytes(*texts: str | None) -> int:
    """Count the bytes of texts in UTF-8, as `byte_length` does."""
    return sum(len(text) if text.isascii() else len(text.encode()) for text in texts if text is not None)


def _array(type_: Any, values: Sequence[Any]) -> list[Any]:
    # An array holds values of one type: a whole number among the others would be another one.
    if isinstance(type_, Double):
        return [None if value is None else float(value) for value in values]
    return list(values)


def _array_type(type_: Any) -> str:
    if isinstance(type_, Double):
        return "float8[]"
    return "bigint[]" if isinstance(type_, BigInteger) else "text[]"
