"""Parquet files in blocks: row groups written as CSV by pyarrow, which COPY reads."""

import io
import os
from collections.abc import AsyncIterator, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import anyio.to_thread

from seawall.errors import InvalidConfigError, SourceChangedError, SourceError
from seawall.records import CopyForm, Malformed
from seawall.source.csv_blocks import CsvCutter
from seawall.source.file_block import (
    TEXT_FORM,
    FileBlock,
    LinesBlock,
    Place,
    Split,
    escaped_line,
)
from seawall.source.texts import texts_of

if TYPE_CHECKING:
    import pyarrow as pa
    import pyarrow.parquet as pq

_CSV = CopyForm()
_RECORD_BYTES = 1 << 30  # a bound of the csv module's, which memory has met already

# Types by their arrow names; what is none of these is text.
_TYPES = {
    "bool": "boolean", "int8": "smallint", "uint8": "smallint", "int16": "smallint",
    "uint16": "integer", "int32": "integer", "uint32": "bigint", "int64": "bigint",
    "uint64": "numeric", "halffloat": "real", "float": "real", "double": "double precision",
    "date32[day]": "date", "date64[ms]": "date",
}  # fmt: skip


class ParquetBlocks:
    """A Parquet file in blocks: a ``RecordSource``. Needs pyarrow (the extra ``parquet``).

    A position is ``[name, row group, row]``, both from 0 and 1; resuming reads its row group again
    up to the row. Lists, structs and maps are JSON, binary is ``bytea``'s text.

    Args:
        path: the file.
        name: what positions call it; its path without it.
        names: the columns to be loaded; all without it.
        rows: records a block at the most.

    Raises:
        InvalidConfigError: pyarrow is not installed.
    """

    def __init__(
        self,
        path: "str | os.PathLike[str]",
        *,
        name: str | None = None,
        names: Sequence[str] | None = None,
        rows: int = 50_000,
    ) -> None:
        self.path = Path(path)
        self.name, self._rows = name or str(self.path), rows
        self._names = None if names is None else tuple(names)
        self._group_ends: list[int] = []
        try:
            import pyarrow.parquet
        except ModuleNotFoundError:
            raise InvalidConfigError(
                f"{self.path}: Parquet needs pyarrow: pip install 'seawall[parquet]'"
            ) from None
        self._parquet = pyarrow.parquet

    def _opened(self) -> "pq.ParquetFile":
        try:
            file = self._parquet.ParquetFile(self.path)
        except ValueError as error:  # pyarrow's own are ValueErrors
            raise SourceError(f"{self.path}: can't be read as Parquet: {error}") from None
        metadata = file.metadata
        ends, total = [], 0
        for group in range(metadata.num_row_groups):
            total += metadata.row_group(group).num_rows
            ends.append(total)
        self._group_ends = ends
        return file

    async def columns(self) -> tuple[str, ...]:
        """The columns' names.

        Raises:
            SourceError: it is no Parquet file, or lacks one of ``names``.
            OSError: the file can't be read.
        """
        return tuple((await self.types()).keys())

    async def types(self) -> dict[str, str]:
        """The columns' names, with the type of PostgreSQL's that fits each."""
        file = await anyio.to_thread.run_sync(self._opened)
        with file:
            return {field.name: _type_of(field.type) for field in self._fields(file)}

    def _fields(self, file: "pq.ParquetFile") -> "list[pa.Field]":
        schema = file.schema_arrow
        lacking = sorted(set(self._names or ()) - set(schema.names))
        if lacking:
            raise SourceError(
                f"{self.path} has no column {', '.join(map(repr, lacking))}; it has: "
                f"{', '.join(schema.names)}"
            )
        return [schema.field(name) for name in self._names or schema.names]

    async def chunks(self, after: Any) -> AsyncIterator[FileBlock]:
        """The blocks behind ``after`` (None: all).

        Raises:
            InvalidConfigError: ``after`` is no position of the file.
            SourceChangedError: the file has no such row.
            SourceError: it is no Parquet file, or damaged.
            OSError: the file can't be read.
        """
        group, row = self._place(after)
        file = await anyio.to_thread.run_sync(self._opened)
        with file:
            names = tuple(field.name for field in self._fields(file))
            if after is not None and (
                group >= file.metadata.num_row_groups
                or row > file.metadata.row_group(group).num_rows
            ):
                raise SourceChangedError(
                    f"{self.path}: it has no row {row} in row group {group}, up to which it was "
                    "read already; it was replaced. Bring the file back, or begin a new run"
                )
            blocks = self._blocks(file, names, group, row)
            while (block := await anyio.to_thread.run_sync(next, blocks, None)) is not None:
                yield block

    def _blocks(
        self, file: "pq.ParquetFile", names: tuple[str, ...], group: int, row: int
    ) -> Iterator[FileBlock]:
        for number in range(group, file.metadata.num_row_groups):
            done = 0
            skip = row if number == group else 0
            try:
                for batch in file.iter_batches(
                    batch_size=self._rows, row_groups=[number], columns=list(names)
                ):
                    start = max(skip - done, 0)
                    if start < len(batch):
                        rest = batch.select(list(names)).slice(start)
                        yield _block(rest, names, self.name, number, done + start)
                    done += len(batch)
            except ValueError as error:
                raise SourceError(f"{self.path}: row group {number} is damaged: {error}") from None

    def _place(self, after: Any) -> tuple[int, int]:
        if after is None:
            return 0, 0
        if isinstance(after, list | tuple) and len(after) == 3 and after[0] == self.name:
            _, group, row = after
            if isinstance(group, int) and isinstance(row, int):
                return group, row
        raise InvalidConfigError(
            f"position {after!r} of {self.path}: must be [{self.name!r}, row group, row]"
        )

    def fraction(self, position: Any) -> float | None:
        """The share of the file's rows up to ``position``."""
        ends = self._group_ends
        if not ends:
            return None
        group, row = self._place(position)
        before = ends[group - 1] if group else 0
        return min(1.0, (before + row) / ends[-1]) if ends[-1] else 1.0


def _block(
    batch: "pa.RecordBatch", names: tuple[str, ...], name: str, group: int, row: int
) -> FileBlock:
    if len(names) == 1:  # CSV can't tell a NULL of one column from a blank line
        column = batch.to_pydict()[names[0]]
        lines = [_escaped([value]) for value in column]
        places = [(group, row + place) for place in range(1, len(lines) + 1)]
        return LinesBlock(names, TEXT_FORM, (name,), Split(lines, places), _Origin(batch))
    return _RowsBlock(batch, names, name, group, row)


def _escaped(values: Sequence[Any]) -> bytes | Malformed:
    line = escaped_line(texts_of(values))
    return Malformed(line, "a NUL character, which no text can hold") if b"\0" in line else line


class _Origin:
    """A record as the file has it."""

    def __init__(self, batch: "pa.RecordBatch") -> None:
        self._batch = batch

    def __call__(self, index: int) -> Any:
        (record,) = self._batch.slice(index, 1).to_pylist()
        return record


class _RowsBlock(FileBlock):
    """Rows of a row group, as CSV."""

    def __init__(
        self, batch: "pa.RecordBatch", names: tuple[str, ...], name: str, group: int, row: int
    ) -> None:
        last = row + len(batch)
        super().__init__(names, _CSV, (name,), (group, row + 1), (group, last), is_plain=True)
        self._origin, self._group, self._row = _Origin(batch), group, row
        self._count = len(batch)
        self._data = _as_csv(batch)

    @property
    def data(self) -> bytes:
        return self._data

    def _made(self) -> Split:
        cutter = CsvCutter(self.form, "utf-8", self.columns, (), _RECORD_BYTES, len(self._data) + 1)
        found, _ = cutter.split(self._data, 0, 0, final=True)
        places: list[Place] = [
            (self._group, self._row + place) for place in range(1, len(found.lines) + 1)
        ]
        return Split(found.lines, places)

    def record(self, index: int) -> Any:
        line = self.lines[index]
        return line if isinstance(line, Malformed) else self._origin(index)


def _as_csv(batch: "pa.RecordBatch") -> bytes:
    import pyarrow as pa
    from pyarrow import csv

    columns = []
    for column in batch.columns:
        if _is_foreign(column.type):
            columns.append(pa.array(texts_of(column.to_pylist()), pa.string()))
        else:
            columns.append(column)
    out = io.BytesIO()
    table = pa.RecordBatch.from_arrays(columns, names=batch.schema.names)
    csv.write_csv(table, out, csv.WriteOptions(include_header=False, quoting_style="needed"))
    return out.getvalue()


def _is_foreign(kind: "pa.DataType") -> bool:
    """Whether pyarrow has no CSV for it that PostgreSQL reads."""
    from pyarrow import types

    return any(
        test(kind)
        for test in (
            types.is_nested,
            types.is_binary,
            types.is_large_binary,
            types.is_fixed_size_binary,
            types.is_duration,
        )
    )


def _type_of(kind: "pa.DataType") -> str:
    from pyarrow import types

    if types.is_dictionary(kind):
        return _type_of(kind.value_type)
    if types.is_timestamp(kind):
        return "timestamp" if kind.tz is None else "timestamptz"
    if types.is_time(kind):
        return "time"
    if types.is_duration(kind):
        return "interval"
    if types.is_decimal(kind):
        return f"numeric({kind.precision}, {kind.scale})" if kind.scale >= 0 else "numeric"
    if types.is_nested(kind):
        return "jsonb"
    if _is_foreign(kind):
        return "bytea"
    return _TYPES.get(str(kind), "text")
