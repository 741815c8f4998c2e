"""Files of ``export`` brought back: new records added, edited ones edited, the rest left alone."""

import csv
import itertools
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, TextIO
from uuid import UUID

import aiofiles
import anyio.to_thread

from seawall.errors import CodecError, QuarantineError
from seawall.quarantine import codec
from seawall.quarantine.record import OPEN
from seawall.quarantine.transfer.cells import edited, unescaped
from seawall.quarantine.transfer.exporting import ABOUT, FIELD, WHOLE, format_of
from seawall.quarantine.transfer.line import Line, digest_of, read, text_of
from seawall.quarantine.transfer.store import Edited, Held, ImportBatch, TransferStore

_BATCH = 500  # lines a transaction
_CHUNK = 1 << 20  # bytes of a file read at once
_LONGEST_CELL = 1 << 27


@dataclass(frozen=True, slots=True, kw_only=True)
class ImportReport:
    """What an import did.

    Attributes:
        read: records in the file.
        added: those that were new.
        edited: those whose payload was changed in the file; they are pending now.
        unchanged: those that stand in the database as they do in the file.
        conflicts: edited in the file, but in the database too since the export: left alone.
        settled: edited in the file, but reprocessed or discarded by now: left alone.
        unknown: rows of a CSV file, which holds too little to add a record, that are not there.
    """

    read: int = 0
    added: int = 0
    edited: int = 0
    unchanged: int = 0
    conflicts: int = 0
    settled: int = 0
    unknown: int = 0

    def plus(self, other: "ImportReport") -> "ImportReport":
        return ImportReport(
            **{
                each.name: getattr(self, each.name) + getattr(other, each.name)
                for each in fields(self)
            }
        )


async def import_from(
    store: TransferStore,
    path: Path,
    *,
    actor: str,
    why: str | None = None,
    file_format: str | None = None,
) -> ImportReport:
    """Bring the records of a file in, some hundred a transaction. Doing it again changes nothing.

    Raises:
        QuarantineError: a line can't be read, with its number; those of earlier transactions stand.
        InvalidConfigError: the format is neither jsonl nor csv.
        OSError: the file can't be read.
    """
    why = why or f"edited in {path.name}"
    report = ImportReport()
    if format_of(path, file_format) == "jsonl":
        async for numbered in _json_lines(path):
            lines = [read(text, number) for number, text in numbered]
            async with store.writing() as batch:
                part = await _bring_lines(batch, lines, actor, why)
            report = report.plus(part)
    else:
        async with _csv_rows(path) as chunks:
            async for rows in chunks:
                async with store.writing() as batch:
                    part = await _bring_rows(batch, rows, actor, why)
                report = report.plus(part)
    return report


# -- JSONL -----------------------------------------------------------------------------------------


async def _json_lines(path: Path) -> AsyncIterator[list[tuple[int, bytes]]]:
    number = 0
    async with aiofiles.open(path, "rb") as file:
        while texts := await file.readlines(_CHUNK):
            numbered = [(n, text) for n, text in enumerate(texts, number + 1) if text.strip()]
            number += len(texts)
            for start in range(0, len(numbered), _BATCH):
                yield numbered[start : start + _BATCH]


async def _bring_lines(
    batch: ImportBatch, lines: Sequence[Line], actor: str, why: str
) -> ImportReport:
    held = await batch.held([line.record_id for line in lines])
    added = await batch.add([line for line in lines if line.record_id not in held])
    tally = _Tally()
    for line in lines:
        stored = held.get(line.record_id)
        if stored is not None:
            tally.compare(line.record_id, stored, text_of(line.payload), line.digest)
    await batch.edit(tally.edits, actor, why)
    # A record that stands twice in the file, or was added by somebody else meanwhile, is one.
    unchanged = len(lines) - added - len(tally.edits) - tally.conflicts - tally.settled
    return ImportReport(
        read=len(lines), added=added, edited=len(tally.edits), unchanged=unchanged,
        conflicts=tally.conflicts, settled=tally.settled,
    )  # fmt: skip


class _Tally:
    """What is to be edited, and what can't be."""

    def __init__(self) -> None:
        self.edits: list[Edited] = []
        self.conflicts = self.settled = 0

    def compare(self, record_id: UUID, held: Held, payload: str, exported: str) -> None:
        """Look at one record: what the file says of it, and what it was when it was exported."""
        wanted = digest_of(payload)
        current = digest_of(held.text)
        if wanted in (exported, current):
            return
        if current != exported:
            self.conflicts += 1
        elif held.status not in OPEN:
            self.settled += 1
        else:
            try:
                codec.decode(payload)
            except CodecError as error:
                raise QuarantineError(f"record {record_id}: its payload: {error}") from None
            self.edits.append(Edited(record_id, payload))


# -- CSV -------------------------------------------------------------------------------------------


@asynccontextmanager
async def _csv_rows(path: Path) -> AsyncIterator[AsyncIterator[list[dict[str, str]]]]:
    # The limit is the process's: raised for as long as the file is read.
    before = csv.field_size_limit()
    csv.field_size_limit(max(_LONGEST_CELL, before))
    file = await anyio.to_thread.run_sync(_opened, path)
    try:
        yield _chunks(csv.DictReader(file, restkey="", restval=""), path)
    finally:
        csv.field_size_limit(before)
        file.close()


def _opened(path: Path) -> TextIO:
    return path.open(encoding="utf-8-sig", newline="")


async def _chunks(reader: "csv.DictReader[str]", path: Path) -> AsyncIterator[list[dict[str, str]]]:
    def some() -> list[dict[str, str]]:
        return list(itertools.islice(_rows(reader), _BATCH))

    while rows := await anyio.to_thread.run_sync(some):
        lacking = [name for name in ("record_id", "digest") if rows[0].get(name) is None]
        if lacking:
            raise QuarantineError(f"{path.name} lacks the column {', '.join(lacking)}")
        yield rows


def _rows(reader: "csv.DictReader[str]") -> Iterator[dict[str, str]]:
    try:
        yield from reader
    except (csv.Error, UnicodeDecodeError) as error:
        raise QuarantineError(f"line {reader.line_num}: {error}") from None


async def _bring_rows(
    batch: ImportBatch,
    rows: Sequence[Mapping[str, Any]],
    actor: str,
    why: str,
) -> ImportReport:
    ids = [_record_id(row) for row in rows]
    held = await batch.held(ids)
    tally = _Tally()
    unknown = 0
    for record_id, row in zip(ids, rows, strict=True):
        stored = held.get(record_id)
        if stored is None:
            unknown += 1
            continue
        try:
            payload = _payload(row, stored)
        except (QuarantineError, CodecError) as error:
            raise QuarantineError(f"record {record_id}: {error}") from None
        tally.compare(record_id, stored, payload, row["digest"])
    await batch.edit(tally.edits, actor, why)
    unchanged = len(rows) - unknown - len(tally.edits) - tally.conflicts - tally.settled
    return ImportReport(
        read=len(rows), edited=len(tally.edits), unchanged=unchanged, unknown=unknown,
        conflicts=tally.conflicts, settled=tally.settled,
    )  # fmt: skip


def _record_id(row: Mapping[str, Any]) -> UUID:
    try:
        record_id = UUID(row["record_id"])
    except (ValueError, TypeError):
        raise QuarantineError(f"record_id {row['record_id']!r:.60} is none") from None
    if not row["digest"]:
        raise QuarantineError(
            f"record {record_id} was exported masked, or its digest was taken out: it would put "
            "*** in the place of what it hides"
        )
    return record_id


def _payload(row: Mapping[str, Any], held: Held) -> str:
    """The payload that a row asks for, in the codec's form."""
    whole = row.get(WHOLE)
    if whole:
        return unescaped(whole)
    current = codec.decode(held.text)
    if not isinstance(current, dict):
        return held.text
    cells = {
        name[len(FIELD) :]: cell
        for name, cell in row.items()
        if name not in ABOUT and name.startswith(FIELD) and cell is not None
    }
    return codec.encode(edited(current, cells))
