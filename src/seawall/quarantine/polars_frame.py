"""polars' DataFrames to rows and back; imported only where polars is."""

from collections.abc import Callable, Sequence
from datetime import time
from typing import Any
from zoneinfo import ZoneInfo

import polars as pl

from seawall.errors import CodecError
from seawall.quarantine import frames, ticks
from seawall.quarantine.frames import Column, FrameRow

# By name, and by nothing else: a stored name must never reach another attribute.
_SIMPLE: dict[str, Any] = {
    name: getattr(pl, name)
    for name in (
        "Int8", "Int16", "Int32", "Int64", "Int128", "UInt8", "UInt16", "UInt32", "UInt64",
        "Float32", "Float64", "Boolean", "String", "Binary", "Date", "Time", "Null", "Categorical",
    )
}  # fmt: skip


def rows(frame: pl.DataFrame) -> list[FrameRow]:
    """The frame's rows.

    Raises:
        CodecError: a column's type can't be kept.
    """
    cells = [_cells(series) for series in frame.get_columns()]
    return [
        FrameRow("polars", {each.name: each.value for each in row}, [each.dtype for each in row])
        for row in frames.transposed(cells)
    ]


def frame(rows: Sequence[FrameRow]) -> pl.DataFrame:
    """The DataFrame of rows that have the same columns."""
    return pl.DataFrame(
        [_series(cells) for cells in frames.transposed([row.columns() for row in rows])]
    )


# -- from a column ----------------------------------------------------------------------


def _cells(series: pl.Series) -> list[Column]:
    name, dtype = series.name, series.dtype
    if isinstance(dtype, pl.Enum):
        categories = dtype.categories.to_list()
        if not frames.kept(categories):
            codes = series.to_physical().to_list()
            return [
                Column(name, ["seen enum", code], value)
                for value, code in zip(series.to_list(), codes, strict=True)
            ]
    told = _told(name, dtype)
    return [Column(name, told, value) for value in _values(series)]


def _told(name: str, dtype: Any, *, inside: bool = False) -> list[Any]:
    """The type as JSON values."""
    kind = type(dtype).__name__
    if inside:
        _check_inside(name, dtype)
    if isinstance(dtype, pl.Datetime):
        return [kind, dtype.time_unit, dtype.time_zone]
    if isinstance(dtype, pl.Duration):
        return [kind, dtype.time_unit]
    if isinstance(dtype, pl.Decimal):
        return [kind, dtype.precision, dtype.scale]
    if isinstance(dtype, pl.Enum):
        return [kind, dtype.categories.to_list()]
    if dtype.is_nested():
        return _told_nested(name, dtype)
    if kind in _SIMPLE:
        return [kind]
    raise CodecError(f"column {name!r} is of type {dtype}, which can't be kept; cast it first")


def _told_nested(name: str, dtype: Any) -> list[Any]:
    kind = type(dtype).__name__
    if isinstance(dtype, pl.List):
        return [kind, _told(name, dtype.inner, inside=True)]
    if isinstance(dtype, pl.Array):
        inner: Any = dtype
        while isinstance(inner, pl.Array):
            inner = inner.inner
        return [kind, _told(name, inner, inside=True), list(dtype.shape)]
    return [kind, [[each.name, _told(name, each.dtype, inside=True)] for each in dtype.fields]]


def _check_inside(name: str, dtype: Any) -> None:
    if dtype == pl.Time or getattr(dtype, "time_unit", None) == "ns":
        raise CodecError(
            f"column {name!r} holds {dtype} inside of others, whose nanoseconds Python has no value"
            " for; cast it to microseconds or to Int64"
        )


def _values(series: pl.Series) -> list[Any]:
    dtype = series.dtype
    told: Callable[[int], Any]
    if isinstance(dtype, pl.Datetime):
        unit, zone = dtype.time_unit, dtype.time_zone
        place = None if zone is None else ZoneInfo(zone)
        told = lambda count: ticks.moment(count, unit, place)  # noqa: E731
    elif isinstance(dtype, pl.Duration):
        unit = dtype.time_unit
        told = lambda count: ticks.span(count, unit)  # noqa: E731
    elif dtype == pl.Date:
        told = ticks.day
    elif dtype == pl.Time:
        told = _clock
    else:
        values: list[Any] = series.to_list()
        return _lists(values) if isinstance(dtype, pl.List | pl.Array | pl.Struct) else values
    return [None if each is None else told(each) for each in series.to_physical().to_list()]


def _lists(value: Any) -> Any:
    """Nested values as lists and dicts: polars gives Series inside of some."""
    if isinstance(value, pl.Series):
        value = value.to_list()
    if isinstance(value, list):
        return [_lists(each) for each in value]
    if isinstance(value, dict):
        return {key: _lists(each) for key, each in value.items()}
    return value


def _clock(nanoseconds: int) -> time | int:
    seconds, rest = divmod(nanoseconds, 1_000_000_000)
    if rest % 1_000:
        return nanoseconds
    return time(seconds // 3600, seconds // 60 % 60, seconds % 60, rest // 1_000)


def _clock_count(value: time | int) -> int:
    if isinstance(value, int):
        return value
    seconds = value.hour * 3600 + value.minute * 60 + value.second
    return seconds * 1_000_000_000 + value.microsecond * 1_000


# -- to a column ----------------------------------------------------------------------


def _series(cells: Sequence[Column]) -> pl.Series:
    name, told = cells[0].name, cells[0].dtype
    values = [each.value for each in cells]
    if told[0] == "seen enum":
        return pl.Series(name, values, dtype=pl.Enum(frames.seen(cells)))
    dtype = _dtype(told)
    count: Callable[[Any], int]
    if told[0] == "Datetime":
        count = lambda value: ticks.count_of(value, told[1])  # noqa: E731
    elif told[0] == "Duration":
        count = lambda value: ticks.span_count(value, told[1])  # noqa: E731
    elif told[0] == "Date":
        count = ticks.day_count
    elif told[0] == "Time":
        count = _clock_count
    else:
        return pl.Series(name, values, dtype=dtype, strict=True)
    counts = [None if value is None else count(value) for value in values]
    physical = pl.Int32 if told[0] == "Date" else pl.Int64
    return pl.Series(name, counts, dtype=physical).cast(dtype)


def _dtype(told: list[Any]) -> Any:
    kind, *rest = told
    made: dict[str, Callable[..., Any]] = {
        "Datetime": pl.Datetime,
        "Duration": pl.Duration,
        "Decimal": pl.Decimal,
        "Enum": pl.Enum,
        "List": lambda inner: pl.List(_dtype(inner)),
        "Array": lambda inner, shape: pl.Array(_dtype(inner), tuple(shape)),
        "Struct": lambda fields: pl.Struct([pl.Field(name, _dtype(each)) for name, each in fields]),
    }
    if kind in made:
        return made[kind](*rest)
    if kind in _SIMPLE and not rest:
        return _SIMPLE[kind]
    raise CodecError(f"polars type {kind!r} is unknown here: stored by a newer version of seawall")
