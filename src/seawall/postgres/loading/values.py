"""Values that asyncpg can't send or the server can't take, found in Python before they are sent.

Each test turns down only what is certain to fail: a value it lets through wrongly is still found
by the server's own error, a good value turned down would be lost to its table.
"""

import datetime as dt
import decimal
import uuid
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

from seawall.postgres.loading.target import Column


class Fault(NamedTuple):
    """Why a value can't be loaded; without ``sqlstate`` it can't even be sent."""

    message: str
    sqlstate: str | None = None


Test = Callable[[Any], Fault | None]


def _integer(bits: int) -> Test:
    low, high = -(1 << bits - 1), (1 << bits - 1) - 1

    def test(value: Any) -> Fault | None:
        if type(value) is int:
            return None if low <= value <= high else Fault(f"value out of int{bits} range", "22003")
        if not hasattr(value, "__int__") and not hasattr(value, "__index__"):
            return Fault(f"an integer is required, got {type(value).__name__}")
        return None

    return test


def _float(value: Any) -> Fault | None:
    if type(value) is float or hasattr(value, "__float__") or hasattr(value, "__index__"):
        return None
    return Fault(f"a number is required, got {type(value).__name__}")


def _text(value: Any) -> Fault | None:
    if not isinstance(value, str):
        return Fault(f"expected str, got {type(value).__name__}")
    if "\x00" in value:
        return Fault('invalid byte sequence for encoding "UTF8": 0x00', "22021")
    if not value.isascii():
        try:
            value.encode()
        except UnicodeEncodeError:
            return Fault("a lone surrogate can't be encoded in UTF-8", "22021")
    return None


def _limited_text(limit: int, type_sql: str) -> Test:
    def test(value: Any) -> Fault | None:
        fault = _text(value)
        # Trailing spaces beyond the limit are cut off by the server, not refused.
        if fault is None and len(value) > limit and value[limit:].strip(" "):
            return Fault(f"value too long for type {type_sql}", "22001")
        return fault

    return test


def _decimal(value: Any) -> Fault | None:
    if isinstance(value, decimal.Decimal | int):
        return None
    try:
        decimal.Decimal(value)
    except (decimal.InvalidOperation, TypeError, ValueError):
        return Fault("a number is required, got a text that is none")
    return None


def _limited_decimal(typmod: int) -> Test:
    precision, scale = (typmod - 4) >> 16 & 0xFFFF, (typmod - 4) & 0x7FF
    if scale >= 1024:  # a negative scale, kept in eleven bits
        scale -= 2048
    # The server rounds half away from zero before it compares.
    limit = decimal.Decimal(10) ** (precision - scale) - decimal.Decimal(5).scaleb(-scale - 1)

    def test(value: Any) -> Fault | None:
        fault = _decimal(value)
        if fault is not None:
            return fault
        number = decimal.Decimal(value)
        if number.is_nan() or (number.is_finite() and abs(number) < limit):
            return None
        return Fault(f"numeric field overflow: precision {precision}, scale {scale}", "22003")

    return test


def _boolean(value: Any) -> Fault | None:
    if isinstance(value, bool):
        return None
    return Fault(f"a boolean is required, got {type(value).__name__}")


def _bytes(value: Any) -> Fault | None:
    try:
        memoryview(value)
    except TypeError:
        return Fault(f"a bytes-like object is required, got {type(value).__name__}")
    return None


def _date(value: Any) -> Fault | None:
    if isinstance(value, dt.date) or hasattr(value, "toordinal"):
        return None
    return Fault(f"expected a date, got {type(value).__name__}")


def _timestamp(value: Any) -> Fault | None:
    if not isinstance(value, dt.date):
        return Fault(f"expected a date or datetime, got {type(value).__name__}")
    if isinstance(value, dt.datetime) and value.tzinfo is not None:
        return Fault("a datetime with a time zone can't go into a timestamp without one")
    return None


def _timestamptz(value: Any) -> Fault | None:
    if isinstance(value, dt.date):
        return None
    return Fault(f"expected a datetime, got {type(value).__name__}")


def _uuid(value: Any) -> Fault | None:
    if isinstance(value, uuid.UUID):
        return None
    if isinstance(value, str):
        try:
            uuid.UUID(value)
        except ValueError:
            return Fault("invalid UUID", "22P02")
        return None
    return Fault(f"expected a UUID, got {type(value).__name__}")


def _labels(labels: frozenset[str], type_sql: str) -> Test:
    def test(value: Any) -> Fault | None:
        if not isinstance(value, str):
            return Fault(f"expected str, got {type(value).__name__}")
        if value in labels:
            return None
        return Fault(f"invalid input value for enum {type_sql}", "22P02")

    return test


_TESTS: dict[str, Test] = {
    "int2": _integer(16), "int4": _integer(32), "int8": _integer(64),
    "float4": _float, "float8": _float, "numeric": _decimal, "bool": _boolean,
    "text": _text, "varchar": _text, "bpchar": _text, "json": _text, "jsonb": _text,
    "bytea": _bytes, "date": _date, "timestamp": _timestamp, "timestamptz": _timestamptz,
    "uuid": _uuid,
}  # fmt: skip


def test_for(column: Column) -> Test | None:
    """The column's test, or None where only asyncpg and the server know."""
    if column.labels is not None:
        return _labels(column.labels, column.type_sql)
    if column.typmod > 4:  # typmods count a header of four bytes
        if column.type_name in ("varchar", "bpchar"):
            return _limited_text(column.typmod - 4, column.type_sql)
        if column.type_name == "numeric":
            return _limited_decimal(column.typmod)
    return _TESTS.get(column.type_name)


def faults(
    columns: Sequence[Column], rows: Sequence[Sequence[Any]]
) -> Iterator[tuple[int, int, Fault]]:
    """(row, place of the column, fault) for each value that can't be loaded, row by row."""
    tests = [
        (place, test)
        for place, column in enumerate(columns)
        if (test := test_for(column)) is not None
    ]
    for index, row in enumerate(rows):
        for place, test in tests:
            value = row[place]
            if value is not None and (fault := test(value)) is not None:
                yield index, place, fault
