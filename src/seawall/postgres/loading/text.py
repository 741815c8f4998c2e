"""Blocks of a file on their way into a table: as they are, and line by line where that fails.

The server's COPY reads the values in both cases, so that a record fares the same in a block with
bad ones and in one without.
"""

from collections.abc import AsyncIterator, Iterable, Iterator, Sequence
from typing import Any, overload

from seawall.errors import MissingTableError
from seawall.postgres.loading.faults import is_about_a_record
from seawall.postgres.loading.rejection import Violation
from seawall.postgres.loading.shape import Shaped
from seawall.postgres.loading.stage import Attempts, Expectations
from seawall.postgres.loading.target import Column, Target
from seawall.records import CopyForm, Malformed, TextBlock

_PIECE = 1 << 18  # bytes sent at a time
# Data exceptions, but for those that are about a line and not about a value.
_VALUE_CLASS, _LINE_FAULTS = "22", ("22P04", "22021")


class TextRow(Sequence[str | None]):
    """One record of a block: its line, and its values where they are asked for."""

    __slots__ = ("block", "number")

    def __init__(self, block: TextBlock, number: int) -> None:
        self.block, self.number = block, number

    @property
    def line(self) -> bytes:
        return _sound(self.block.lines[self.number])

    def __len__(self) -> int:
        return len(self.block.columns)

    @overload
    def __getitem__(self, place: int) -> str | None: ...
    @overload
    def __getitem__(self, place: slice) -> Sequence[str | None]: ...
    def __getitem__(self, place: Any) -> Any:
        return self.block.texts(self.number)[place]


class TextRows(Sequence[TextRow]):
    """The records of a block."""

    __slots__ = ("block",)

    def __init__(self, block: TextBlock) -> None:
        self.block = block

    def __len__(self) -> int:
        return len(self.block)

    @overload
    def __getitem__(self, number: int) -> TextRow: ...
    @overload
    def __getitem__(self, number: slice) -> Sequence[TextRow]: ...
    def __getitem__(self, number: Any) -> Any:
        if isinstance(number, slice):
            return [TextRow(self.block, n) for n in range(*number.indices(len(self)))]
        return TextRow(self.block, number)


def columns_of(block: TextBlock, target: Target, names: Sequence[str] | None) -> tuple[Column, ...]:
    """The target's columns for the block's, in its order.

    Raises:
        MissingTableError: the table lacks one, or ``names`` are of another number.
    """
    if names is not None and len(names) != len(block.columns):
        raise MissingTableError(
            f"columns={list(names)}: {len(names)} names for the {len(block.columns)} columns of "
            f"the file: {', '.join(block.columns)}"
        )
    return target.choose(names or block.columns)


def shape_block(block: TextBlock, target: Target, names: Sequence[str] | None) -> Shaped:
    """The block line by line; its malformed records are misfits.

    Raises:
        MissingTableError: the table lacks a column.
    """
    columns = columns_of(block, target, names)
    misfits = {
        number: Violation(-1, line.reason, exception_type=line.exception_type)
        for number, line in enumerate(block.lines)
        if isinstance(line, Malformed)
    }
    return Shaped(columns, TextRows(block), misfits, is_text=True)


async def block_copied(
    unit: Attempts, expected: Expectations, block: TextBlock, names: Sequence[str] | None
) -> bool:
    """Whether one COPY took the whole block as it is; it is undone if not.

    Raises:
        MissingTableError: the table lacks a column.
    """
    columns = columns_of(block, expected.target, names)
    if not block.is_plain:
        return False
    data = block.data

    async def copy() -> str:
        target = expected.target
        return await copy_bytes(
            unit.connection, target.name, columns, block.form, data, schema=target.schema
        )

    try:
        status: str = await unit.attempt(copy)
    except Exception as error:
        if not is_about_a_record(error):
            raise
        sqlstate = getattr(error, "sqlstate", None) or ""
        expected.bad_values |= sqlstate[:2] == _VALUE_CLASS and sqlstate not in _LINE_FAULTS
        return False
    block.counted(int(status.rpartition(" ")[2]))
    return True


def _sound(line: bytes | Malformed) -> bytes:
    """The line of a record that is not malformed: those were left out."""
    if isinstance(line, Malformed):
        raise TypeError(f"a malformed record: {line.reason}")
    return line


async def copy_lines(
    connection: Any, target: Target, columns: Sequence[Column], rows: Iterable[Any]
) -> None:
    """Copy ``TextRow`` s of one block into the target."""
    chosen: list[TextRow] = list(rows)
    if not chosen:
        return
    data = b"".join([row.line for row in chosen])
    await copy_bytes(
        connection, target.name, columns, chosen[0].block.form, data, schema=target.schema
    )


async def copy_numbered(
    connection: Any, table: str, names: Sequence[str], block: TextBlock, numbers: Iterable[int]
) -> None:
    """Copy lines into a table of ours, each with its number in front: ``names``' first column."""
    form = block.form
    lines = block.lines
    # In quotes: a number of ours is never what stands for NULL.
    shape = f"{form.quote}%d{form.quote}" if form.csv else "%d"
    front = f"{shape}{form.delimiter}".encode() + b"%b"
    data = b"".join([front % (number, _sound(lines[number])) for number in numbers])
    await copy_bytes(connection, table, names, form, data)


async def copy_bytes(
    connection: Any,
    table: str,
    columns: Sequence[Column] | Sequence[str],
    form: CopyForm,
    data: bytes,
    *,
    schema: str | None = None,
) -> str:
    """COPY ``data`` into a table; the server's status."""
    options: dict[str, Any] = {"format": "csv", "quote": form.quote} if form.csv else {}
    status: str = await connection.copy_to_table(
        table,
        schema_name=schema,
        columns=[column if isinstance(column, str) else column.name for column in columns],
        source=_pieces(data),
        delimiter=form.delimiter,
        null=form.null,
        encoding="utf-8",
        **options,
    )
    return status


async def _pieces(data: bytes) -> AsyncIterator[memoryview]:
    for piece in _cut(memoryview(data)):
        yield piece


def _cut(view: memoryview) -> Iterator[memoryview]:
    for start in range(0, len(view), _PIECE):
        yield view[start : start + _PIECE]
