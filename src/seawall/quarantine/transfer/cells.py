"""Values as cells of a CSV file, for people and their spreadsheet programs, and back.

A cell that is left alone means its old value, whatever its text lost; a cell that was changed is
read as the type of the old value. Text that a spreadsheet program would take for a formula gets a
``'`` in front, which reading takes off again.
"""

import re
from collections.abc import Mapping
from datetime import date, datetime, time
from decimal import Decimal, InvalidOperation
from typing import Any
from uuid import UUID

from seawall.errors import CodecError, QuarantineError
from seawall.quarantine import codec

# What Excel, LibreOffice and Google Sheets may take for a formula, wide forms included.
_FORMULA = re.compile(r"'*[=+\-@\t\r\n＝＋－＠]")
_UNPRINTABLE = re.compile("[\x00\ud800-\udfff]")
_INT = re.compile(r"-?(?:0|[1-9]\d*)\Z")
_NUMBER = re.compile(r"-?\d+(?:\.\d+)?(?:[eE][+-]?\d+)?\Z")
_FLOAT = re.compile(r"-?\d+\.\d+(?:[eE][+-]?\d+)?\Z")
_BOOLS = {"true": True, "false": False, "1": True, "0": False}


def escaped(text: str) -> str:
    """Text that no spreadsheet program runs."""
    return "'" + text if _FORMULA.match(text) else text


def unescaped(cell: str) -> str:
    return cell[1:] if cell[:1] == "'" and _FORMULA.match(cell) else cell


def is_writable(name: object) -> bool:
    """Whether it is a text that can name a column, and be read back as it was."""
    return isinstance(name, str) and _UNPRINTABLE.search(name) is None


def cell_of(value: object) -> str:
    """A value's cell: text as it is, None empty, numbers and times plainly, the rest as JSON."""
    if value is None:
        return ""
    if isinstance(value, str):
        return escaped(value) if _UNPRINTABLE.search(value) is None else codec.encode(value)
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int | float | Decimal | UUID):
        text = _digits(value) if isinstance(value, int) else str(value)
        return text if _NUMBER.match(text) else escaped(text)  # -5 is no formula, -inf may be
    if isinstance(value, datetime | date | time):
        return value.isoformat()
    return escaped(codec.encode(value))


def _digits(value: int) -> str:
    # Past Python's limit of decimal digits only hexadecimal still works.
    return str(value) if value.bit_length() < 10_000 else hex(value)


def value_of(cell: str, old: object) -> Any:
    """The value of a cell that was changed, of the type that the old one had.

    Where there was none, numbers, ``true`` and ``false`` are taken for what they look like.

    Raises:
        QuarantineError: it can't be read as that type.
    """
    text = unescaped(cell)
    if isinstance(old, str):
        return text
    if text == "":
        return None
    if old is None:
        return _guessed(text)
    try:
        return _READERS.get(type(old), codec.decode)(text)
    except (ValueError, KeyError, InvalidOperation, CodecError):
        raise QuarantineError(f"{text!r:.60} can't be read as {type(old).__name__}") from None


def _guessed(text: str) -> Any:
    if _INT.match(text):
        return int(text) if len(text) < 4_000 else text
    if _FLOAT.match(text):
        return float(text)
    return {"true": True, "false": False}.get(text, text)


_READERS: dict[type, Any] = {
    bool: lambda text: _BOOLS[text.lower()],
    int: lambda text: int(text, 0) if text[:2] in ("0x", "-0") and len(text) > 2 else int(text),
    float: float,
    Decimal: Decimal,
    UUID: UUID,
    datetime: datetime.fromisoformat,
    date: date.fromisoformat,
    time: time.fromisoformat,
}


def edited(record: Mapping[str, Any], cells: Mapping[str, str]) -> dict[str, Any]:
    """The record with what was changed in its cells; an emptied cell of a missing field is none.

    Raises:
        QuarantineError: a cell can't be read; its column is named.
    """
    changed = dict(record)
    for name, cell in cells.items():
        old = record.get(name)
        if (name not in record and cell == "") or (name in record and cell == cell_of(old)):
            continue
        try:
            changed[name] = value_of(cell, old)
        except QuarantineError as error:
            raise QuarantineError(f"column {name!r}: {error}") from None
    return changed
