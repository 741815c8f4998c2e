"""Records as one array a column: for a batch that is expected to be good, the quickest upsert.

One round trip, and no temporary table to make. Only for columns and values that are certain to
stay one element each: an array in an array would be laid flat, and give other rows.
"""

import datetime as dt
import decimal
import uuid
from collections.abc import Sequence
from types import NoneType
from typing import Any

from seawall.postgres.loading.target import Column, Target
from seawall.postgres.names import quote

SLICE = 5_000  # records a statement: arrays much longer than this cost more a record
_MOST_COLUMNS = 100
_SCALARS = frozenset(
    {
        NoneType, bool, int, float, str, bytes, decimal.Decimal, uuid.UUID,
        dt.date, dt.datetime, dt.time, dt.timedelta,
    }
)  # fmt: skip


def columnwise(
    columns: Sequence[Column], rows: Sequence[Sequence[Any]]
) -> list[tuple[Any, ...]] | None:
    """Each column's values; None where some might not stay one element each."""
    if len(columns) > _MOST_COLUMNS or any(column.array_sql is None for column in columns):
        return None
    values: list[tuple[Any, ...]] = list(zip(*rows, strict=True))
    if all(_SCALARS.issuperset(map(type, each)) for each in values):
        return values
    return None


def statement(target: Target, columns: Sequence[Column], clause: str) -> str:
    """The INSERT that takes one array a column."""
    names = ", ".join(quote(column.name) for column in columns)
    arrays = ", ".join(f"${place}::{column.array_sql}" for place, column in enumerate(columns, 1))
    return (
        f"INSERT INTO {target.sql} ({names}) OVERRIDING SYSTEM VALUE "
        f"SELECT * FROM unnest({arrays}) {clause}"
    )
