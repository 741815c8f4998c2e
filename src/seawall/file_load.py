"""Files into a table: what they are, where they go, and that they are still the same."""

import functools
import hashlib
import os
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, get_args

import anyio.to_thread
import msgspec

from seawall.checkpoint import Step, StreamReport
from seawall.checkpoint.batch import Batch
from seawall.checkpoint.options import CheckpointOptions
from seawall.checkpoint.strategy import CheckpointStrategy
from seawall.config import Range
from seawall.conflict import OnConflictOption, check_on_conflict
from seawall.errors import (
    InvalidConfigError,
    RecordRefusedError,
    SourceChangedError,
    SourceError,
)
from seawall.postgres import file_table
from seawall.postgres.database import Database
from seawall.quarantine.processor import TextTable
from seawall.records import BlockRecords
from seawall.source.block_file import CsvBlocks, JsonBlocks
from seawall.source.file_block import TEXT_FORM, LinesBlock, Split, escaped_line
from seawall.source.file_set import FileSet
from seawall.source.inference import infer, type_of_texts, type_of_values
from seawall.source.parquet_blocks import ParquetBlocks
from seawall.source.texts import texts_of

Kind = Literal["infer", "csv", "jsonl", "parquet"]
AnyBlocks = CsvBlocks | JsonBlocks | ParquetBlocks

_KINDS: dict[str, Kind] = {
    ".csv": "csv", ".tsv": "csv", ".txt": "csv", ".jsonl": "jsonl", ".ndjson": "jsonl",
    ".json": "jsonl", ".parquet": "parquet", ".pq": "parquet",
}  # fmt: skip
_GZIP = (".gz", ".gzip")
_SAMPLE = 10_000  # records that types are inferred from
_WITNESS_BYTES = 65_536
_STATE = "seawall.file"
_RANGE = Range(int, 1)

STEP = "load"


@dataclass(frozen=True, slots=True, kw_only=True)
class FileFormat:
    """How files are to be read.

    Attributes:
        kind: ``"csv"``, ``"jsonl"`` (a JSON object a line) or ``"parquet"``; ``"infer"``: by the
            name, ``.gz`` left off.
        columns: CSV: the table's columns in the file's order, in place of the header's names. JSON
            and Parquet: what to load, and nothing else.
        header: CSV: the first row holds names; without one ``columns`` are needed.
        delimiter: CSV: one ASCII character; None: a comma, and a tab for ``.tsv``.
        quote: CSV: one ASCII character.
        null: CSV: what stands for NULL where it isn't in quotes.
        encoding: CSV: any with ASCII's line ends; JSON is UTF-8.
        rows: records a batch, at the most.

    Raises:
        InvalidConfigError: an option is out of range.
    """

    kind: Kind = "infer"
    columns: Sequence[str] | None = None
    header: bool = True
    delimiter: str | None = None
    quote: str = '"'
    null: str = ""
    encoding: str = "utf-8"
    rows: int = 50_000

    def __post_init__(self) -> None:
        if self.kind not in get_args(Kind):
            raise InvalidConfigError(
                f"kind={self.kind!r}: must be one of {', '.join(map(repr, get_args(Kind)))}"
            )
        _RANGE.check("rows", self.rows)
        if not self.header and self.columns is None:
            raise InvalidConfigError("header=False: the file names no columns; give columns=[…]")

    def source(self, path: Path, name: str) -> AnyBlocks:
        """The file as a source of blocks.

        Raises:
            InvalidConfigError: its name doesn't tell its kind.
        """
        suffixes = [suffix.lower() for suffix in path.suffixes]
        if suffixes and suffixes[-1] in _GZIP:
            suffixes.pop()
        suffix = suffixes[-1] if suffixes else ""
        kind = _KINDS.get(suffix) if self.kind == "infer" else self.kind
        if kind == "csv":
            return CsvBlocks(
                path,
                name=name,
                rows=self.rows,
                names=self.columns,
                header=self.header,
                delimiter=self.delimiter or ("\t" if suffix == ".tsv" else ","),
                quote=self.quote,
                null=self.null,
                encoding=self.encoding,
            )
        if kind == "jsonl":
            return JsonBlocks(path, name=name, rows=self.rows, names=self.columns)
        if kind == "parquet":
            return ParquetBlocks(path, name=name, rows=self.rows, names=self.columns)
        raise InvalidConfigError(
            f"{path}: its name doesn't tell what it is; say csv, jsonl or parquet"
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class FileLoadReport:
    """What a load did, over all of its restarts.

    Attributes:
        stream: its records, counted, and what this process did of it.
        table: the table.
        created: the columns and types of the table, where it was made by this call.
    """

    stream: StreamReport
    table: str
    created: Mapping[str, str] | None


class FileLoad:
    """Files, and the table that they are loaded into.

    Args:
        files: their paths, in the order in which they are loaded.
        table: as SQL names it.
        form: how the files are to be read.

    Raises:
        InvalidConfigError: there is no file, one is named twice, or its kind isn't known.
    """

    def __init__(
        self,
        files: "Sequence[str | os.PathLike[str]]",
        table: str,
        form: FileFormat | None = None,
    ) -> None:
        self.table, self._form = table, form or FileFormat()
        if isinstance(files, str | os.PathLike):
            files = [files]
        paths = [Path(each).absolute() for each in files]
        if not paths:
            raise InvalidConfigError("files: name one at least")
        if not table:
            raise InvalidConfigError("table='': must name a table")
        bare = [path.name for path in paths]
        self._sources = [
            self._form.source(path, path.name if bare.count(path.name) == 1 else str(path))
            for path in paths
        ]
        self._set = FileSet(self._sources)
        self.run_id = _run_id(paths, table)

    def options(self, given: CheckpointOptions) -> CheckpointOptions:
        """The step's options: its batches are the blocks that the files are cut into."""
        for name in ("strategy", "database"):
            if given.get(name) is not None:
                raise InvalidConfigError(f"{name}=…: a load of files has its own")
        chosen: CheckpointOptions = {**given, "strategy": CheckpointStrategy.every_batch()}
        if chosen.get("size") is None:
            chosen["size"] = self._form.rows
        return chosen

    async def run(
        self,
        database: Database,
        step: Step,
        *,
        create: bool = False,
        on_conflict: OnConflictOption | None = None,
    ) -> FileLoadReport:
        """Load what isn't loaded yet.

        Args:
            database: where the table is.
            step: not opened yet, with ``options``.
            create: make the table where there is none, its types inferred from the first records.
            on_conflict: see ``tx.load``.

        Raises:
            MissingTableError: there is no such table, or it lacks a column.
            SourceError, SourceChangedError: a file can't be read, or isn't what it was.
            TooManyBadRecordsError: more are bad than is tolerated.
        """
        check_on_conflict(on_conflict)
        created = await self._prepare(database, create=create)
        async with step:
            async with step.transaction() as tx:
                await self._check_same(tx.saved_state(_STATE), step.key.run_id)

            async def into_table(tx: Any, batch: Batch) -> None:
                await tx.load(self.table, batch.records, on_conflict=on_conflict)
                saved, name = tx.saved_state(_STATE), batch.last_position[0]
                if saved is None or saved["name"] != name:
                    tx.save_state(_STATE, await self._witness(name, _WITNESS_BYTES))

            report = await step.for_each(self._set, into_table)
        return FileLoadReport(stream=report, table=self.table, created=created)

    async def _prepare(self, database: Database, *, create: bool) -> dict[str, str] | None:
        columns = {}
        for source in self._sources:
            names = await source.columns()
            if names is not None:
                columns[source.name] = _checked(names, source)
        created = None
        if create and columns and not await file_table.exists(database, self.table):
            first = next(each for each in self._sources if each.name in columns)
            created = await _types_of(first, columns[first.name])
            await file_table.create(database, self.table, created)
        await file_table.check(database, self.table, columns)
        return created

    # -- whether a file is what it was ----------------------------------------------------------

    async def _witness(self, name: str, size: int) -> dict[str, Any]:
        """What tells a file from another of its name: its first bytes, at most ``size``."""
        path = next(each.path for each in self._sources if each.name == name)

        def first_bytes() -> bytes:
            with path.open("rb") as file:
                return file.read(size)

        data = await anyio.to_thread.run_sync(first_bytes)
        digest = hashlib.blake2b(data, digest_size=16).hexdigest()
        return {"name": name, "bytes": len(data), "digest": digest}

    async def _check_same(self, saved: dict[str, Any] | None, run_id: str) -> None:
        if saved is None or all(each.name != saved["name"] for each in self._sources):
            return
        if await self._witness(saved["name"], saved["bytes"]) != saved:
            raise SourceChangedError(
                f"{saved['name']}: it begins otherwise than what run {run_id!r} has loaded under "
                "this name; it was replaced. Give another run id to load it as a new file"
            )

    # -- records that were set aside ---------------------------------------------------------------

    async def processor(self, on_conflict: OnConflictOption | None = None) -> TextTable:
        """What loads this load's quarantined records, edited or not, as the load itself does."""
        readers = []
        for each in self._sources:
            names = await each.columns()
            if names is not None and not isinstance(each, ParquetBlocks):
                readers.append(functools.partial(each.row_of, columns=names))
        return TextTable(
            table=self.table,
            row_of=functools.partial(_row_of, readers=readers, encoding=self._form.encoding),
            block_of=_block_of,
            on_conflict=on_conflict,
        )


def _row_of(record: Any, readers: Sequence[Callable[..., Any]], encoding: str) -> dict[str, Any]:
    """A record as a dict; of one that could not be read, its line as the files' readers have it."""
    if isinstance(record, dict):
        return record
    if not isinstance(record, str | bytes):
        raise RecordRefusedError(
            f"a record must be a mapping or a line of the file, got {type(record).__name__}"
        )
    line = record if isinstance(record, bytes) else record.encode(encoding)
    reason = "there is no file with lines to read it as"
    for read in readers:
        row = read(line)
        if isinstance(row, dict):
            return row
        reason = row.reason
    raise RecordRefusedError(reason)


def _run_id(paths: Sequence[Path], table: str) -> str:
    """The same for the same files and table: so that the same command goes on."""
    text = msgspec.json.encode([[str(path) for path in paths], table])
    digest = hashlib.blake2b(text, digest_size=6).hexdigest()
    return f"load-{re.sub(r'[^0-9A-Za-z_]+', '-', table).strip('-')}-{digest}"


def _checked(names: Sequence[str], source: AnyBlocks) -> Sequence[str]:
    if "" in names:
        raise SourceError(
            f"{source.path}: column {list(names).index('') + 1} of its header has no name; give "
            "the columns' names"
        )
    return names


async def _types_of(source: AnyBlocks, columns: Sequence[str]) -> dict[str, str]:
    if isinstance(source, ParquetBlocks):
        return await source.types()
    if isinstance(source, JsonBlocks):
        return infer(columns, await source.objects(_SAMPLE), type_of_values)
    return infer(columns, await source.sample(_SAMPLE), type_of_texts)


def _block_of(rows: Sequence[dict[str, Any]]) -> BlockRecords:
    """Rows of the same keys as a block."""
    columns = tuple(rows[0])
    lines = [escaped_line(texts_of([row[name] for name in columns])) for row in rows]
    places = [(place,) for place in range(1, len(rows) + 1)]
    return LinesBlock(columns, TEXT_FORM, (), Split(lines, places)).records
