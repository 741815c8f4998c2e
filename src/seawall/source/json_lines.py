"""JSON Lines files as a source."""

import os
import re
from itertools import accumulate
from typing import Any

import msgspec

from seawall.records import Malformed
from seawall.source.file_source import Compression, FileSource, Parser, Positioned, Window

_PLACE = re.compile(r" \(byte \d+\)")
# What reading a line raises. UnicodeDecodeError and what a type's own __post_init__ raises are
# ValueErrors.
FAULTS = (msgspec.MsgspecError, ValueError, RecursionError)


class JsonLinesSource(FileSource):
    """A file with a JSON value a line: a ``RecordSource``.

    Positions are byte offsets: that of a record's end, its line end included. Resuming seeks there.
    Blank lines are skipped, a UTF-8 byte order mark at the start too. A line that is no JSON, or
    not of ``type``, is given as ``Malformed`` with its bytes. Lines end in LF or CRLF; the last may
    do without.

    JSON is read as msgspec reads it: of a key that comes twice the last value holds; ``NaN`` and
    ``Infinity`` are no JSON, and ``1e400`` is out of range: such lines are malformed. Whole numbers
    of up to 4,300 digits stay whole.

    Args:
        path: the file. Ending in ``.gz`` it is taken for gzip, of one or many members, unless
            ``compression`` says otherwise. A gzip file is resumed by decompressing it again from
            its start, which is logged.
        type: what each line is decoded to: anything that msgspec takes (a dataclass, a Struct, a
            TypedDict, …); by default whatever the line holds, objects as dicts.
        strict: whether the types must be exact; else ``"1"`` may become 1, where ``type`` says int.
        complete_lines_only: leave a last line without its line end to a later reading: for a file
            that is still being written.
        chunk_bytes: bytes read and parsed at a time; the event loop is held while one is parsed.
        max_record_bytes: bytes that a line may have, which bounds memory; a longer one stops the
            reading with an error that names its offset. (It can't be given in pieces, since a
            position between them would not tell that it lies within a line.)

    Raises:
        InvalidConfigError: an option is out of range.

    May be read from many times, and by several tasks at once.
    """

    def __init__(
        self,
        path: "str | os.PathLike[str]",
        *,
        type: Any = Any,  # noqa: A002 - msgspec's word for it
        strict: bool = True,
        compression: Compression = "infer",
        complete_lines_only: bool = False,
        chunk_bytes: int = 32 * 1024,
        max_record_bytes: int = 64 * 1024 * 1024,
    ) -> None:
        super().__init__(
            path,
            compression=compression,
            complete_lines_only=complete_lines_only,
            chunk_bytes=chunk_bytes,
            max_record_bytes=max_record_bytes,
        )
        self._decoder = msgspec.json.Decoder(type, strict=strict)

    async def _begin(self, window: Window) -> Parser:
        await window.skip_bom()
        return JsonLinesParser(self._decoder)


class JsonLinesParser:
    """Lines to values."""

    def __init__(self, decoder: "msgspec.json.Decoder[Any]") -> None:
        self._decode = decoder.decode

    def parse(self, data: bytes, start: int, *, final: bool) -> tuple[list[Positioned], int]:
        used = len(data) if final else data.rfind(b"\n") + 1
        lines = data[:used].split(b"\n")
        ends = list(accumulate([len(line) + 1 for line in lines], initial=start))[1:]
        ends[-1] -= 1  # no line end behind the last piece
        if not lines[-1]:
            lines.pop()
        try:
            return list(zip(ends, map(self._decode, lines), strict=False)), used
        except FAULTS:
            return self._one_by_one(data, start, lines, ends), used

    def _one_by_one(
        self, data: bytes, start: int, lines: list[bytes], ends: list[int]
    ) -> list[Positioned]:
        records: list[Positioned] = []
        before = start
        for line, end in zip(lines, ends, strict=False):
            try:
                records.append((end, self._decode(line)))
            except FAULTS as error:
                if line.strip(b" \t\r"):
                    raw = data[before - start : end - start]
                    records.append((end, Malformed(raw, *fault_of(error))))
            before = end
        return records


def fault_of(error: Exception) -> tuple[str, str]:
    """Why a line can't be read, and the exception's type with its module."""
    return _reason(error), _type_name(error)


def _reason(error: Exception) -> str:
    if isinstance(error, UnicodeDecodeError):
        return f"not valid UTF-8: {error.reason}"
    if isinstance(error, RecursionError):
        return "JSON is nested too deep"
    return _PLACE.sub("", str(error))  # the same text for the same fault


def _type_name(error: Exception) -> str:
    kind = type(error)
    return f"{kind.__module__}.{kind.__qualname__}"
