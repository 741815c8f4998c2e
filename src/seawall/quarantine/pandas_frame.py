"""pandas' DataFrames to rows and back; imported only where pandas is.

Types are kept: numpy's, the nullable ones, strings, moments and spans of any unit and zone,
categories, periods. Not kept: an index that merely counts (it is new again), its frequency, and
in columns of Python objects the kind of array, the nanoseconds, and whether nothing was None or
``pandas.NA``.
"""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pandas as pd

from seawall.errors import CodecError, InvalidConfigError
from seawall.quarantine import frames, ticks
from seawall.quarantine.frames import Column, FrameRow

_NOT_A_TIME = np.iinfo(np.int64).min


def rows(frame: pd.DataFrame) -> list[FrameRow]:
    """The frame's rows.

    Raises:
        InvalidConfigError: two columns have the same name.
        CodecError: a column's type can't be kept.
    """
    if not frame.columns.is_unique:
        twice = frame.columns[frame.columns.duplicated()].tolist()
        raise InvalidConfigError(f"columns {twice!r}: stand there twice; give each its own name")
    names = frame.columns.tolist()
    cells = [_cells(name, frame[name]) for name in names]
    levels = [] if isinstance(frame.index, pd.RangeIndex) else _levels(frame.index)
    indexes = list(frames.transposed(levels)) if levels else [()] * len(frame)
    if not cells:
        return [FrameRow("pandas", {}, [], index) for index in indexes]
    return [
        FrameRow("pandas", {each.name: each.value for each in row}, [e.dtype for e in row], index)
        for row, index in zip(frames.transposed(cells), indexes, strict=True)
    ]


def frame(rows: Sequence[FrameRow]) -> pd.DataFrame:
    """The DataFrame of rows that have the same columns."""
    columns = list(frames.transposed([row.columns() for row in rows])) if rows[0] else []
    levels = list(frames.transposed([row.index for row in rows])) if rows[0].index else []
    made = pd.DataFrame(
        {place: _series(cells) for place, cells in enumerate(columns)}, index=range(len(rows))
    )
    made.columns = pd.Index([cells[0].name for cells in columns], tupleize_cols=False)
    if len(levels) == 1:
        made.index = pd.Index(_series(levels[0]), name=levels[0][0].name)
    elif levels:
        made.index = pd.MultiIndex.from_arrays(
            [_series(each) for each in levels], names=[each[0].name for each in levels]
        )
    return made


def _levels(index: pd.Index) -> list[list[Column]]:
    return [
        _cells(name, pd.Series(index.get_level_values(place)))
        for place, name in enumerate(index.names)
    ]


# -- from a column ----------------------------------------------------------------------


def _cells(name: Any, series: pd.Series) -> list[Column]:
    dtype = series.dtype
    if isinstance(dtype, pd.CategoricalDtype):
        return _category_cells(name, series)
    told = str(dtype)
    if isinstance(dtype, pd.StringDtype) and told == "string":
        told = f"string[{dtype.storage}]"  # its name alone means what this machine has installed
    _check(name, dtype, told)
    return [Column(name, [told], value) for value in _values(series)]


def _check(name: Any, dtype: Any, told: str) -> None:
    try:
        same = pd.api.types.pandas_dtype(told) == dtype
    except (TypeError, ValueError):
        same = False
    if not same or isinstance(dtype, pd.SparseDtype | pd.IntervalDtype):
        raise CodecError(
            f"column {name!r} is of type {told}, which can't be kept; convert it with .astype()"
        )


def _values(series: pd.Series) -> list[Any]:
    dtype = series.dtype
    if isinstance(dtype, np.dtype) and dtype.kind in "biuf":
        plain: list[Any] = series.to_numpy().tolist()
        return plain
    if isinstance(dtype, pd.DatetimeTZDtype) or dtype.kind == "M":
        unit, zone = _unit(dtype), getattr(dtype, "tz", None)
        return _ticks(pd.DatetimeIndex(series).asi8, lambda n: ticks.moment(n, unit, zone))
    if dtype.kind == "m":
        unit = _unit(dtype)
        return _ticks(pd.TimedeltaIndex(series).asi8, lambda n: ticks.span(n, unit))
    if isinstance(dtype, pd.PeriodDtype):
        return [None if each is pd.NaT else str(each) for each in series.array]
    if isinstance(dtype, pd.StringDtype):
        return [each if isinstance(each, str) else None for each in series.array]
    return [_plain(each) for each in series.array]


def _category_cells(name: Any, series: pd.Series) -> list[Column]:
    inner = _cells(name, pd.Series(series.cat.categories))
    inner_dtype = inner[0].dtype if inner else [str(series.cat.categories.dtype)]
    categories = [each.value for each in inner]
    ordered, codes = bool(series.cat.ordered), series.cat.codes.tolist()
    values = [None if code < 0 else categories[code] for code in codes]
    if frames.kept(categories):
        dtype = ["categories", ordered, inner_dtype, categories]
        return [Column(name, dtype, value) for value in values]
    return [
        Column(name, ["seen categories", ordered, inner_dtype, code], value)
        for value, code in zip(values, codes, strict=True)
    ]


def _unit(dtype: Any) -> str:
    unit: str = dtype.unit if isinstance(dtype, pd.DatetimeTZDtype) else np.datetime_data(dtype)[0]
    return unit


def _ticks(counts: Any, told: Callable[[int], Any]) -> list[Any]:
    return [None if each == _NOT_A_TIME else told(each) for each in counts.tolist()]


def _plain(value: Any) -> Any:
    """A value of a column of objects as what the codec knows."""
    if value is pd.NA or value is pd.NaT:
        return None
    if isinstance(value, pd.Timestamp):
        return value.to_pydatetime(warn=False)
    if isinstance(value, pd.Timedelta):
        return value.to_pytimedelta()
    if isinstance(value, np.generic):
        return value.item()
    if isinstance(value, np.ndarray):
        return [_plain(each) for each in value.tolist()]
    if type(value) is list or type(value) is tuple:
        return type(value)(_plain(each) for each in value)
    if type(value) is dict:
        return {_plain(key): _plain(each) for key, each in value.items()}
    return value


# -- to a column ----------------------------------------------------------------------


def _series(cells: Sequence[Column]) -> pd.Series:
    kind, values = cells[0].dtype[0], [each.value for each in cells]
    if kind == "categories":
        return _categorical(cells[0].dtype, cells[0].dtype[3], values)
    if kind == "seen categories":
        return _categorical(cells[0].dtype, frames.seen(cells), values)
    return _typed(kind, values)


def _typed(told: str, values: list[Any]) -> pd.Series:
    dtype: Any = pd.api.types.pandas_dtype(told)
    if isinstance(dtype, pd.DatetimeTZDtype) or dtype.kind == "M":
        unit = _unit(dtype)
        moments = _counted(values, f"M8[{unit}]", lambda value: ticks.count_of(value, unit))
        if isinstance(dtype, pd.DatetimeTZDtype):
            return moments.dt.tz_localize("UTC").dt.tz_convert(dtype.tz)
        return moments
    if dtype.kind == "m":
        unit = _unit(dtype)
        return _counted(values, f"m8[{unit}]", lambda value: ticks.span_count(value, unit))
    if dtype.kind == "O" and isinstance(dtype, np.dtype):
        # One by one: numpy would take lists of one length for an array of two dimensions.
        objects = np.empty(len(values), dtype=object)
        for place, value in enumerate(values):
            objects[place] = value
        return pd.Series(objects, dtype=object)
    if isinstance(dtype, np.dtype):
        return pd.Series(np.array(values, dtype=dtype))
    if hasattr(dtype, "numpy_dtype") and hasattr(dtype.construct_array_type(), "_from_sequence"):
        return _nullable(dtype, values)
    return pd.Series(pd.array(values, dtype=dtype))


def _nullable(dtype: Any, values: list[Any]) -> pd.Series:
    """By hand: pandas would take a NaN among the values for one that is missing."""
    if dtype.numpy_dtype.kind == "O":
        return pd.Series(pd.array(values, dtype=dtype))
    mask = np.array([value is None for value in values], dtype=bool)
    data = np.array([0 if value is None else value for value in values], dtype=dtype.numpy_dtype)
    return pd.Series(dtype.construct_array_type()(data, mask))


def _counted(values: list[Any], dtype: str, count: Callable[[Any], int]) -> pd.Series:
    counts = [_NOT_A_TIME if value is None else count(value) for value in values]
    return pd.Series(np.array(counts, dtype=np.int64).view(dtype))


def _categorical(dtype: list[Any], categories: list[Any], values: list[Any]) -> pd.Series:
    _, ordered, inner, *_ = dtype
    places = {value: place for place, value in enumerate(categories)}
    codes = [-1 if value is None else places[value] for value in values]
    kinds = pd.CategoricalDtype(pd.Index(_typed(inner[0], categories)), ordered)
    return pd.Series(pd.Categorical.from_codes(codes, dtype=kinds))
