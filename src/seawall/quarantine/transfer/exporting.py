"""Filtered records into a file, page by page: what is in memory is one page."""

import csv
import io
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import Any

import msgspec

from seawall.errors import CodecError, InvalidConfigError
from seawall.masking import MASK, Masker, default_masker
from seawall.quarantine import codec
from seawall.quarantine.record import RecordFilter
from seawall.quarantine.transfer.atomic_file import atomic_file
from seawall.quarantine.transfer.cells import cell_of, escaped, is_writable
from seawall.quarantine.transfer.line import AttemptLine, EditLine, Line, raw, text_of, written
from seawall.quarantine.transfer.store import ExportSession, TransferStore

# What a person may want to see of a record, before its own fields.
ABOUT = (
    "record_id", "digest", "status", "attempts", "reason", "error_type", "sqlstate",
    "constraint_name", "run_id", "step", "partition", "position", "quarantined_at", "redacted",
)  # fmt: skip
WHOLE = "payload"  # the column of records that are no mappings
FIELD = "record."  # what the columns of a record's own fields begin with
BOM = "\ufeff"  # without it Excel takes the file for its own old encoding
_FORMATS = ("jsonl", "csv")
_MOST_FIELDS = 1_000


async def export(
    store: TransferStore,
    path: Path,
    which: RecordFilter,
    *,
    file_format: str | None = None,
    masked: bool = False,
    masker: Masker = default_masker,
) -> int:
    """Write records to ``path``, whole or not at all; how many.

    They are all as they were at one moment.

    Raises:
        InvalidConfigError: the format is neither jsonl nor csv.
        OSError: the file can't be written.
    """
    kind = format_of(path, file_format)
    count = 0
    async with store.reading() as session, atomic_file(path) as file:
        parts = _jsonl if kind == "jsonl" else _csv
        async for text, lines in parts(session, which, masker if masked else None):
            await file.write(text)
            count += lines
    return count


def format_of(path: Path, given: str | None) -> str:
    """``jsonl`` or ``csv``: as given, else by the file's ending.

    Raises:
        InvalidConfigError: it is neither.
    """
    kind = given or {".jsonl": "jsonl", ".ndjson": "jsonl", ".csv": "csv"}.get(path.suffix.lower())
    if kind not in _FORMATS:
        raise InvalidConfigError(
            f"file_format={given!r} for {path.name!r}: must be jsonl or csv; without it the "
            "file's name must end so"
        )
    return kind


async def _jsonl(
    session: ExportSession, which: RecordFilter, masker: Masker | None
) -> AsyncIterator[tuple[bytes, int]]:
    async for lines in session.pages(which):
        shown = lines if masker is None else [_masked(line, masker) for line in lines]
        yield b"".join([written(line) for line in shown]), len(lines)


def _masked(line: Line, masker: Masker) -> Line:
    return msgspec.structs.replace(
        line,
        masked=True,
        payload=_masked_part(line.payload, masker),
        position=_masked_part(line.position, masker),
        reason=masker.mask_text(line.reason),
        reasons=None if line.reasons is None else [masker.mask_text(e) for e in line.reasons],
        # Whoever gave a record up or edited it may have quoted it.
        history=[_masked_attempt(attempt, masker) for attempt in line.history],
        edits=[_masked_edit(edit, masker) for edit in line.edits],
    )


def _masked_edit(edit: EditLine, masker: Masker) -> EditLine:
    payload, why = _masked_part(edit.payload, masker), masker.mask_text(edit.why)
    return msgspec.structs.replace(edit, payload=payload, why=why)


def _masked_attempt(attempt: AttemptLine, masker: Masker) -> AttemptLine:
    if attempt.message is None:
        return attempt
    return msgspec.structs.replace(attempt, message=masker.mask_text(attempt.message))


def _masked_part(part: msgspec.Raw, masker: Masker) -> msgspec.Raw:
    try:
        return raw(codec.encode(masker.mask_value(codec.decode(text_of(part)))))
    except CodecError:  # what can't be read can't be searched for secrets
        return raw(codec.encode(MASK))


# -- CSV -------------------------------------------------------------------------------------------


async def _csv(
    session: ExportSession, which: RecordFilter, masker: Masker | None
) -> AsyncIterator[tuple[bytes, int]]:
    names = await _field_names(session, which, masker)
    yield _csv_text([[*ABOUT, *(FIELD + name for name in names), WHOLE]], BOM), 0
    async for lines in session.pages(which):
        shown = lines if masker is None else [_masked(line, masker) for line in lines]
        yield _csv_text([_cells(line, names) for line in shown]), len(lines)


async def _field_names(
    session: ExportSession, which: RecordFilter, masker: Masker | None
) -> tuple[str, ...]:
    """The fields of all records that are mappings: their columns must be known before the first."""
    names: dict[str, None] = {}
    async for lines in session.pages(which):
        for line in lines if masker is None else [_masked(line, masker) for line in lines]:
            for name in fields_of(line) or ():
                if len(names) < _MOST_FIELDS:
                    names.setdefault(name)
    return tuple(names)


def fields_of(line: Line) -> dict[str, Any] | None:
    """The record, where it is a mapping with texts for keys that a file can hold."""
    try:
        record = codec.decode(text_of(line.payload))
    except CodecError:
        return None
    if type(record) is not dict or not all(map(is_writable, record)):
        return None
    return record


def _cells(line: Line, names: Sequence[str]) -> list[str]:
    about = [_about(line, name) for name in ABOUT]
    record = fields_of(line)
    known = set(names)
    if record is None or any(name not in known for name in record):
        return [*about, *("" for _ in names), escaped(text_of(line.payload))]
    return [*about, *(cell_of(record.get(name)) for name in names), ""]


def _about(line: Line, name: str) -> str:
    if name == "digest" and line.masked:
        return ""  # so that it can't be imported
    value = getattr(line, name)
    if name == "position":
        return "" if text_of(value) == "null" else escaped(text_of(value))
    return cell_of(value)


def _csv_text(rows: list[list[str]], start: str = "") -> bytes:
    text = io.StringIO(newline="")
    text.write(start)
    csv.writer(text).writerows(rows)
    return text.getvalue().encode("utf-8", "backslashreplace")
