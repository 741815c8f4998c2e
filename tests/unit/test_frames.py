"""DataFrames row by row: what comes back has the same values and the same dtypes."""

import subprocess
import sys
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from uuid import UUID
from zoneinfo import ZoneInfo

import numpy as np
import pandas as pd
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pandas.testing import assert_frame_equal as assert_pandas
from polars.testing import assert_frame_equal as assert_polars

from seawall.errors import CodecError, InvalidConfigError
from seawall.masking import Masker
from seawall.quarantine import frames
from seawall.quarantine.bulk import records_of
from seawall.quarantine.codec import decode, encode
from seawall.quarantine.frames import FrameRow, frame_of

NAN, NA = float("nan"), pd.NA
BERLIN = ZoneInfo("Europe/Berlin")


def back(frame):
    return frame_of([decode(encode(row)) for row in records_of(frame)])


def moments(dtype, *counts):
    return np.array(counts, dtype="int64").view(dtype)


NAT = np.iinfo(np.int64).min
PANDAS = {
    "int64": pd.Series([1, -(2**63), 2**63 - 1]),
    "uint64": pd.Series([0, 1, 2**64 - 1], dtype="uint64"),
    "int8": pd.Series([-128, 0, 127], dtype="int8"),
    "bool": pd.Series([True, False, True]),
    "float64": pd.Series([0.1, NAN, -np.inf]),
    "float32": pd.Series([0.1, NAN, -0.0], dtype="float32"),
    "Int64": pd.Series([1, NA, 2**62], dtype="Int64"),
    "UInt8": pd.Series([1, NA, 255], dtype="UInt8"),
    "Float64": pd.Series(
        pd.arrays.FloatingArray(np.array([0.5, NAN, 0.0]), np.array([False, False, True]))
    ),
    "boolean": pd.Series([True, NA, False], dtype="boolean"),
    "str": pd.Series(["a", None, "\x00"], dtype="str"),  # with pyarrow it holds no surrogate
    "string": pd.Series(["a", NA, ""], dtype="string[python]"),
    "objects": pd.Series([None, NAN, "x"], dtype=object),
    "nested": pd.Series([[1, 2], [3, 4], {"a": [None, {"b": (1,)}]}], dtype=object),
    "lists": pd.Series([[1, 2], [3, 4], [5, 6]], dtype=object),
    "decimal": pd.Series([Decimal("1.10"), None, Decimal("NaN")], dtype=object),
    "dates": pd.Series([date(2013, 1, 1), None, UUID(int=7)], dtype=object),
    "naive ns": pd.Series(moments("M8[ns]", 1, NAT, 1_000)),
    "naive us": pd.Series(moments("M8[us]", 10**18, NAT, -1)),
    "naive s": pd.Series(moments("M8[s]", 10**12, NAT, 1)),
    "berlin": pd.Series(moments("M8[ns]", 1_700_000_000_123_456_789, NAT, 10**18))
    .dt.tz_localize("UTC")
    .dt.tz_convert("Europe/Berlin"),
    "utc ms": pd.Series(moments("M8[ms]", 1, NAT, 3)).dt.tz_localize("UTC"),
    "fixed offset": pd.Series(moments("M8[us]", 1, NAT, 3))
    .dt.tz_localize("UTC")
    .dt.tz_convert("+05:30"),
    "timedelta ns": pd.Series(moments("m8[ns]", 1, NAT, -(10**15))),
    "timedelta s": pd.Series(moments("m8[s]", 10**15, NAT, 5)),
    "category": pd.Series(["b", None, "a"], dtype=pd.CategoricalDtype(["z", "b", "a"])),
    "ordered": pd.Series([3, 1, None], dtype=pd.CategoricalDtype([3, 2, 1], ordered=True)),
    "categories of moments": pd.Series(
        pd.Categorical([pd.Timestamp("2013-01-01"), None, pd.Timestamp("2012-01-01")])
    ),
    "no category": pd.Series([None, None, None], dtype=pd.CategoricalDtype([])),
    "period": pd.Series(pd.PeriodIndex(["2013-01", None, "2014-12"], freq="M")),
}


@pytest.mark.parametrize("name", PANDAS)
def test_pandas_column_comes_back_with_its_dtype(name):
    frame = pd.DataFrame({name: PANDAS[name]})
    again = back(frame)
    assert_pandas(again, frame)
    assert [type(each) for each in again[name]] == [type(each) for each in frame[name]]


def test_pandas_columns_together_come_back():
    frame = pd.DataFrame(PANDAS)
    assert_pandas(back(frame), frame)


def test_pandas_nullable_float_keeps_nan_and_na_apart():
    again = back(pd.DataFrame({"x": PANDAS["Float64"]}))["x"].array
    assert again._mask.tolist() == [False, False, True]
    assert np.isnan(again._data[1])


@pytest.mark.parametrize(
    "index",
    [
        pd.Index([5, 7, 9], name="n"),
        pd.Index(["a", None, "c"]),
        pd.DatetimeIndex(moments("M8[ns]", 1, 2, 3), name="at"),
        pd.CategoricalIndex(["a", "b", "a"]),
        pd.MultiIndex.from_tuples([("a", 1), ("b", 2), ("a", 3)], names=["x", None]),
    ],
    ids=["int", "str", "moments", "category", "levels"],
)
def test_pandas_index_comes_back(index):
    frame = pd.DataFrame({"v": [1.0, 2.0, NAN]}, index=index)
    assert_pandas(back(frame), frame)
    assert_pandas(back(frame[[]]), frame[[]], check_column_type=False)


def test_pandas_index_that_counts_is_new_again():
    frame = pd.DataFrame({"v": [1, 2, 3]}, index=pd.RangeIndex(10, 13))
    assert back(frame).index.tolist() == [0, 1, 2]


def test_pandas_columns_of_odd_names_come_back():
    frame = pd.DataFrame([[1, "x", 2.5]], columns=[0, ("a", 1), "$tuple"])
    again = back(frame)
    assert again.columns.tolist() == [0, ("a", 1), "$tuple"]
    assert again.iloc[0].tolist() == [1, "x", 2.5]


def test_pandas_columns_of_one_name_are_refused():
    with pytest.raises(InvalidConfigError, match=r"\['a'\].*twice"):
        records_of(pd.DataFrame([[1, 2]], columns=["a", "a"]))


@pytest.mark.parametrize(
    "series",
    [pd.arrays.IntervalArray.from_tuples([(0, 1)]), pd.arrays.SparseArray([1])],
    ids=["interval", "sparse"],
)
def test_pandas_column_of_a_type_that_cannot_be_kept_is_refused_by_name(series):
    with pytest.raises(CodecError, match=r"column 'odd' is of type .*\.astype\(\)"):
        records_of(pd.DataFrame({"odd": series}))


def test_pandas_rows_are_dicts_of_plain_values():
    """What a processor gets works without pandas."""
    row = records_of(pd.DataFrame(PANDAS))[0]
    assert row["int64"] == 1
    assert type(row["int64"]) is int
    assert row["berlin"] == 1_700_000_000_123_456_789
    assert row["fixed offset"] == datetime(1970, 1, 1, 0, 0, 0, 1, tzinfo=UTC)
    assert row["category"] == "b"
    third = records_of(pd.DataFrame(PANDAS))[2]
    assert third["berlin"] == datetime(2001, 9, 9, 3, 46, 40, tzinfo=BERLIN)
    assert third["naive ns"] == datetime(1970, 1, 1, 0, 0, 0, 1)
    assert third == dict(third)


POLARS = {
    "Int64": pl.Series([1, None, -(2**63)], dtype=pl.Int64),
    "Int128": pl.Series([1, None, 2**100], dtype=pl.Int128),
    "UInt8": pl.Series([1, None, 255], dtype=pl.UInt8),
    "Float64": pl.Series([0.1, None, NAN], dtype=pl.Float64),
    "Float32": pl.Series([0.1, None, NAN], dtype=pl.Float32),
    "Boolean": pl.Series([True, None, False]),
    "String": pl.Series(["a", None, "\x00"]),
    "Binary": pl.Series([b"\x00", None, b""]),
    "Date": pl.Series([0, None, 10**7], dtype=pl.Int32).cast(pl.Date),
    "Time": pl.Series([1, None, 86_399_999_999_000], dtype=pl.Int64).cast(pl.Time),
    "ns": pl.Series([1, None, 1_000], dtype=pl.Int64).cast(pl.Datetime("ns")),
    "us berlin": pl.Series([1, None, 10**18], dtype=pl.Int64).cast(
        pl.Datetime("us", "Europe/Berlin")
    ),
    "duration": pl.Series([1, None, -5_000], dtype=pl.Int64).cast(pl.Duration("ns")),
    "Decimal": pl.Series([Decimal("1.10"), None, Decimal("-0.05")], dtype=pl.Decimal(10, 2)),
    "List": pl.Series([[1, None], None, []], dtype=pl.List(pl.Int16)),
    "Array": pl.Series([[[1, 2], [3, 4]], None, [[5, 6], [7, 8]]], dtype=pl.Array(pl.Int8, (2, 2))),
    "Struct": pl.Series(
        [{"a": 1, "b": [{"c": timedelta(seconds=1)}]}, None, {"a": None, "b": None}],
        dtype=pl.Struct({"a": pl.Int8, "b": pl.List(pl.Struct({"c": pl.Duration("us")}))}),
    ),
    "Categorical": pl.Series(["b", None, "a"], dtype=pl.Categorical),
    "Enum": pl.Series(["b", None, "a"], dtype=pl.Enum(["z", "b", "a"])),
    "Null": pl.Series([None, None, None], dtype=pl.Null),
}


@pytest.mark.parametrize("name", POLARS)
def test_polars_column_comes_back_with_its_dtype(name):
    frame = pl.DataFrame({name: POLARS[name]})
    assert_polars(back(frame), frame)


def test_polars_columns_together_come_back():
    frame = pl.DataFrame(POLARS)
    assert_polars(back(frame), frame)
    row = records_of(frame)[2]
    assert row["Time"] == time(23, 59, 59, 999_999)
    assert row["Date"] == 10**7
    assert row["ns"] == datetime(1970, 1, 1, 0, 0, 0, 1)


@pytest.mark.parametrize(
    "series",
    [
        pl.Series([[1]], dtype=pl.List(pl.Int64)).cast(pl.List(pl.Datetime("ns"))),
        pl.Series([object()], dtype=pl.Object),
    ],
    ids=["nested ns", "object"],
)
def test_polars_column_of_a_type_that_cannot_be_kept_is_refused_by_name(series):
    with pytest.raises(CodecError, match="column 'odd'"):
        records_of(pl.DataFrame({"odd": series}))


@pytest.mark.parametrize("library", [pd, pl])
def test_frame_without_rows_sets_nothing_aside(library):
    assert records_of(library.DataFrame({"a": []})) == []


def test_large_categories_come_back_in_order_where_a_row_has_them(monkeypatch):
    """Each row carries its own alone: a thousand categories on a thousand rows are not a million."""
    monkeypatch.setattr(frames, "LONGEST_CATEGORIES", 10)
    kinds = pd.CategoricalDtype(["low", "middle", "high", "highest"], ordered=True)
    frame = pd.DataFrame({"c": pd.Series(["high", None, "low", "high"], dtype=kinds)})
    assert "middle" not in encode(records_of(frame)[0])
    want = frame.assign(c=frame["c"].cat.remove_unused_categories())
    assert_pandas(back(frame), want)
    enum = pl.Enum(["low", "middle", "high", "highest"])
    frame = pl.DataFrame({"c": pl.Series(["high", None, "low", "high"], dtype=enum)})
    assert_polars(back(frame), frame.cast(pl.Enum(["low", "high"])))


def test_rows_of_a_part_and_in_any_order_come_back():
    rows = records_of(pd.DataFrame(PANDAS))
    assert_pandas(
        frame_of([rows[2], rows[0]]), pd.DataFrame(PANDAS).iloc[[2, 0]].reset_index(drop=True)
    )


def test_frame_of_what_is_no_frame_says_so():
    with pytest.raises(InvalidConfigError, match="one row at least"):
        frame_of([])
    with pytest.raises(InvalidConfigError, match=r"records\[1\] is a dict"):
        frame_of([*records_of(pd.DataFrame({"a": [1]})), {"a": 1}])
    mixed = records_of(pd.DataFrame({"a": [1]})) + records_of(pd.DataFrame({"a": [1.5]}))
    with pytest.raises(InvalidConfigError, match=r"a float64, not a int64"):
        frame_of(mixed)
    both = records_of(pd.DataFrame({"a": [1]})) + records_of(pl.DataFrame({"a": [1]}))
    with pytest.raises(InvalidConfigError, match="other columns"):
        frame_of(both)


def test_type_of_a_newer_version_is_refused():
    with pytest.raises(CodecError, match="'DataFrame' is unknown here"):
        frame_of([FrameRow("polars", {"a": 1}, [["DataFrame"]])])


def test_row_is_masked_by_the_names_of_its_columns():
    (row,) = records_of(pd.DataFrame({"user": ["a"], "password": ["hunter2"], "email": ["a@b"]}))
    masked = Masker(extra_keys=["email"]).mask_value(row)
    assert masked == {"user": "a", "password": "***", "email": "***"}


INTS = st.none() | st.integers(-(2**63), 2**63 - 1)
CELLS = {
    "Int64": INTS.map(lambda value: NA if value is None else value),
    "float64": st.floats(),
    "float32": st.floats(width=32),
    "boolean": st.sampled_from([True, False, NA]),
    "str": st.none() | st.text(max_size=5),  # with pyarrow it holds no surrogates
    "object": st.none()
    | st.booleans()
    | st.floats()
    | st.binary(max_size=3)
    | st.lists(st.integers()),
    "datetime64[ns]": INTS.map(lambda value: np.datetime64(value or NAT, "ns")),
    "datetime64[us]": INTS.map(lambda value: np.datetime64(value or NAT, "us")),
    "timedelta64[ms]": INTS.map(lambda value: np.timedelta64((value or 0) // 1000, "ms")),
}


@settings(deadline=None, max_examples=200)
@given(
    st.data(), st.lists(st.sampled_from(sorted(CELLS)), min_size=1, max_size=4), st.integers(1, 5)
)
def test_pandas_frame_of_any_values_comes_back(data, kinds, height):
    columns = {}
    for place, kind in enumerate(kinds):
        cells = data.draw(st.lists(CELLS[kind], min_size=height, max_size=height))
        if kind.startswith(("datetime", "timedelta")):
            columns[place] = pd.Series(np.array(cells, dtype=kind))
        elif kind == "object":
            columns[place] = pd.Series(cells, dtype=object, index=range(height))
        else:
            columns[place] = pd.Series(cells, dtype=kind)
    frame = pd.DataFrame(columns)
    again = back(frame)
    assert_pandas(again, frame, check_column_type=False)
    for name in frame:
        assert [repr(each) for each in again[name]] == [repr(each) for each in frame[name]]


POLARS_CELLS = {
    "Int64": (pl.Int64, st.integers(-(2**63), 2**63 - 1)),
    "Float64": (pl.Float64, st.floats()),
    "String": (pl.String, st.text(max_size=5)),
    "List": (pl.List(pl.String), st.lists(st.none() | st.text(max_size=3), max_size=3)),
    "Binary": (pl.Binary, st.binary(max_size=3)),
}
PHYSICAL = {
    "Datetime": (pl.Datetime("ns"), st.integers(-(2**63), 2**63 - 1)),
    "Micros": (pl.Datetime("us", "Europe/Berlin"), st.integers(-(2**59), 2**59)),
    "Duration": (pl.Duration("ms"), st.integers(-(2**50), 2**50)),
    "Time": (pl.Time, st.integers(0, 86_400 * 10**9 - 1)),
}


@settings(deadline=None, max_examples=200)
@given(
    st.data(),
    st.lists(st.sampled_from(sorted(POLARS_CELLS | PHYSICAL)), min_size=1, max_size=4, unique=True),
    st.integers(1, 5),
)
def test_polars_frame_of_any_values_comes_back(data, kinds, height):
    columns = []
    for kind in kinds:
        dtype, cells = (POLARS_CELLS | PHYSICAL)[kind]
        values = data.draw(st.lists(st.none() | cells, min_size=height, max_size=height))
        made = pl.Series(kind, values, dtype=pl.Int64 if kind in PHYSICAL else dtype)
        columns.append(made.cast(dtype))
    frame = pl.DataFrame(columns)
    again = back(frame)
    assert again.schema == frame.schema
    assert_polars(again, frame, check_exact=True)


def test_neither_library_is_imported_for_who_does_not_use_it():
    code = (
        "import sys; from seawall.quarantine.bulk import records_of; import seawall.services; "
        "assert records_of([1, {}]) == [1, {}]; "
        "assert not {'pandas', 'polars', 'numpy', 'cryptography'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=20)
