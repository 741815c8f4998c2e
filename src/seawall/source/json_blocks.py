"""JSON lines as lines that COPY takes: one conversion a record, none of its numbers touched."""

from collections.abc import Mapping, Sequence
from decimal import Decimal
from operator import itemgetter
from typing import Any

import msgspec

from seawall.records import Malformed
from seawall.source.file_block import (
    TEXT_FORM,
    FileBlock,
    LinesBlock,
    Place,
    Split,
    escaped_line,
)
from seawall.source.json_lines import FAULTS, fault_of

_LF = b"\n"


# Numbers stay as they are written: made floats they would lose digits.
_decode = msgspec.json.Decoder(dict[str, Any], float_hook=str).decode
_decode_raw = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode
_decode_exactly = msgspec.json.Decoder(float_hook=Decimal).decode


class JsonCutter:
    """Cuts the blocks of one reading.

    Args:
        columns: the keys to be loaded, in order; a key that is missing is NULL.
        prefix: the file's name, for positions.
        rows: lines a block.
        others_ok: keys beyond the columns are left out; else such a record is refused.
    """

    def __init__(
        self, columns: tuple[str, ...], prefix: Place, rows: int, *, others_ok: bool
    ) -> None:
        self._columns, self._prefix, self._rows = columns, prefix, rows
        self._known = None if others_ok else frozenset(columns)
        self._get = itemgetter(*columns)

    def cut(
        self, data: bytes, start: int, line: int, *, final: bool
    ) -> tuple[FileBlock | None, int]:
        """The next block of ``data``, if there is one, and the bytes it or blank lines took."""
        end = len(data) if final else data.rfind(_LF) + 1
        lines = data[:end].split(_LF, self._rows)
        rest = lines.pop() if len(lines) > self._rows or not lines[-1] else None
        found: list[bytes | Malformed] = []
        places: list[Place] = []
        sources: list[bytes] = []
        offset = start
        for number, each in enumerate(lines, line + 1):
            offset += len(each) + 1
            if converted := self.converted(each):
                found.append(converted)
                places.append((min(offset, start + end), number))
                sources.append(each)
        used = end - len(rest or b"")
        if not found:
            return None, used
        origin = lambda place: _decode_exactly(sources[place])  # noqa: E731
        return LinesBlock(
            self._columns, TEXT_FORM, self._prefix, Split(found, places), origin
        ), used

    def converted(self, line: bytes) -> bytes | Malformed | None:
        """One line as COPY takes it; None for a blank one."""
        try:
            record = _decode(line)
            values = self._values(record)
            if values is None:
                return self._unknown(line, record)
            is_bare = b"\\" not in line  # then there is nothing to be escaped
            null = r"\N" if is_bare else None
            texts = [
                each
                if (kind := type(each)) is str
                else null
                if each is None
                else str(each)
                if kind is int
                else _text_of(each, record, line)
                for each in values
            ]
            if is_bare:
                return ("\t".join(texts) + "\n").encode()  # type: ignore[arg-type]  # none is None
            if b"\\u0000" in line and any(text and "\0" in text for text in texts):
                return Malformed(line, "a NUL character, which no text can hold")
            return escaped_line(texts)
        except FAULTS as error:
            if not line.strip(b" \t\r"):
                return None
            return Malformed(line, *fault_of(error))

    def _values(self, record: Mapping[str, Any]) -> Sequence[Any] | None:
        """The columns' values; None where the record has a key too many."""
        if len(record) == len(self._columns) > 1:
            try:
                values: Sequence[Any] = self._get(record)
            except KeyError:
                pass
            else:
                return values
        if self._known is not None and not self._known.issuperset(record):
            return None
        return [record.get(name) for name in self._columns]

    def _unknown(self, line: bytes, record: Mapping[str, Any]) -> Malformed:
        known = self._known or frozenset()
        names = ", ".join(map(repr, sorted(record.keys() - known)))
        return Malformed(line, f"the record has {names}, which the load has no column for")


def _text_of(value: Any, record: Mapping[str, Any], line: bytes) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    # An array or an object is passed on as it is written.
    name = next(name for name, each in record.items() if each is value)
    return bytes(_decode_raw(line)[name]).decode()
