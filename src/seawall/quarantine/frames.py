"""Rows of DataFrames (pandas, polars): set aside one by one, and made a DataFrame again.

A row is a dict of plain Python values that knows its columns' types, so that a processor can work
with it as it is, and ``frame_of`` gets the same dtypes back. Neither library is ever imported for
a user who has not imported it.

What a Python value can't hold stays a number: a moment with nanoseconds, or beyond the years 1 to
9999, is the count of its column's unit since 1970 (UTC).
"""

import sys
from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

from seawall.errors import InvalidConfigError

# Characters of a category column's categories that each row may carry. Above it, each row carries
# its own category and its place alone, and those that no row has are gone.
LONGEST_CATEGORIES = 2_000


class Column(NamedTuple):
    """A column (or a level of the index): its name, its type as JSON values, a row's value.

    The type starts with its name; ``frame_of`` finds the rest in the module of its library.
    """

    name: Any
    dtype: list[Any]
    value: Any


class FrameRow(dict[Any, Any]):
    """One row: values by column, equal to a dict of them.

    Attributes:
        library: ``pandas`` or ``polars``.
        dtypes: each column's type, in the order of the columns.
        index: pandas' index where it says something: a column for each of its levels.
    """

    __slots__ = ("dtypes", "index", "library")

    def __init__(
        self,
        library: str,
        values: dict[Any, Any],
        dtypes: Sequence[list[Any]],
        index: Sequence[Column] = (),
    ) -> None:
        super().__init__(values)
        self.library, self.dtypes, self.index = library, list(dtypes), list(index)

    def columns(self) -> list[Column]:
        """The values with their names and types."""
        return [
            Column(name, dtype, value)
            for (name, value), dtype in zip(self.items(), self.dtypes, strict=True)
        ]


def rows_of(data: Any) -> list[FrameRow] | None:
    """A DataFrame's rows; None where it is none.

    Raises:
        InvalidConfigError: two columns have the same name.
        CodecError: a column's type can't be kept.
    """
    pandas = sys.modules.get("pandas")
    if pandas is not None and isinstance(data, pandas.DataFrame):
        from seawall.quarantine import pandas_frame

        return pandas_frame.rows(data)
    polars = sys.modules.get("polars")
    if polars is not None and isinstance(data, polars.DataFrame):
        from seawall.quarantine import polars_frame

        return polars_frame.rows(data)
    return None


def frame_of(records: Iterable[Any]) -> Any:
    """The DataFrame that quarantined rows came from, or a part of it: same columns, same dtypes.

    Give it the records of one set (or of several DataFrames of the same columns), in any order.
    The library that they came from must be installed.

    Raises:
        InvalidConfigError: there are no records, some are no rows of a DataFrame, or their columns
            differ.
    """
    rows = list(records)
    if not rows:
        raise InvalidConfigError("records=[]: must be one row at least; its types are kept with it")
    for place, row in enumerate(rows):
        if not isinstance(row, FrameRow):
            kind = type(row).__name__
            raise InvalidConfigError(
                f"records[{place}] is a {kind}: must be a row that came from a DataFrame"
            )
        if _shape(row) != _shape(rows[0]):
            raise InvalidConfigError(
                f"records[{place}] has other columns than records[0]: {_shown(row)}, not "
                f"{_shown(rows[0])}; make a DataFrame of each kind"
            )
    if rows[0].library == "polars":
        from seawall.quarantine import polars_frame

        return polars_frame.frame(rows)
    from seawall.quarantine import pandas_frame

    return pandas_frame.frame(rows)


def transposed(columns: Sequence[Sequence[Column]]) -> Iterable[tuple[Column, ...]]:
    """From columns to rows or back; all of one length."""
    return zip(*columns, strict=True)


def kept(categories: Sequence[Any]) -> bool:
    """Whether each row is to carry all categories of its column."""
    return sum(len(str(each)) + 3 for each in categories) <= LONGEST_CATEGORIES


def seen(cells: Sequence[Column]) -> list[Any]:
    """The categories that rows have, where each carries its own alone, in their order."""
    found: dict[Any, int] = {}
    for cell in cells:
        if cell.value is not None:
            found.setdefault(cell.value, cell.dtype[-1])
    return sorted(found, key=found.__getitem__)


def _shape(row: FrameRow) -> Any:
    """What rows of one frame have in common; the place of its own category is the row's."""
    columns = [*row.columns(), *row.index]
    return row.library, len(row), [(each.name, _common(each.dtype)) for each in columns]


def _common(dtype: list[Any]) -> list[Any]:
    return dtype[:-1] if dtype[0] in ("seen categories", "seen enum") else dtype


def _shown(row: FrameRow) -> str:
    names = [f"{each.name} {each.dtype[0]}" for each in row.columns()]
    return ", ".join(names[:8]) + ("…" if len(names) > 8 else "")
