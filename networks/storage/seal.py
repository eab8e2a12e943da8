"""Checksums of rows: a row that differs from what was written is an error."""

from __future__ import annotations

import zlib
from collections.abc import Iterable, Mapping
from typing import Any

import sqlalchemy as sa

CHECK = "check"
"""The column of the checksum, the last one of every table."""

Row = dict[str, Any]


class Blob(sa.types.UserDefinedType[bytes]):
    """Bytes, unchanged: SQLAlchemy's own type converts any value to bytes."""

    cache_ok = True

    def get_col_spec(self, **_: object) -> str:
        """The name of the type in SQL."""
        return "BLOB"

    @property
    def python_type(self) -> type[bytes]:
        """The type in Python."""
        return bytes


def check_column() -> sa.Column[int]:
    """The column that every table ends with."""
    return sa.Column(CHECK, sa.Integer, nullable=False)


def sealed(table: sa.Table, row: Mapping[str, Any]) -> Row:
    """The row to store: all columns, and their checksum."""
    full = {
        column.name: _stored(column.type.python_type, row.get(column.name))
        for column in table.columns
        if column.name != CHECK
    }
    return {**full, CHECK: _checksum(full.values())}


def is_intact(row: sa.Row[Any]) -> bool:
    """Whether the checksum of a row, with all columns of its table, is right."""
    values, check = row[:-1], row[-1]
    return bool(_checksum(values) == check)


def _stored(kind: type, value: Any) -> Any:
    """The value as SQLite will return it."""
    if value is None:
        return None
    if kind is str:  # what programs say may be no UTF-8
        return str(value).encode(errors="backslashreplace").decode()
    # SQLite knows no negative zero.
    return float(value) + 0.0 if kind is float else kind(value)


def _checksum(values: Iterable[object]) -> int:
    """CRC-32 of the values, whose types count, too."""
    check = 0
    plain: list[object] = []
    for value in values:
        if isinstance(value, bytes):
            check = zlib.crc32(value, check)
            plain.append(len(value))
        else:
            plain.append(value)
    return zlib.crc32(repr(plain).encode(), check)
