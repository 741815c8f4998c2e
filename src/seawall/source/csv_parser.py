"""Bytes of a CSV file to records with the offsets of their ends."""

from bisect import bisect_left
from collections.abc import Callable, Mapping, Sequence
from itertools import accumulate
from typing import Any

from seawall.records import Malformed
from seawall.source.csv_rows import CsvFormat, Fault, Row, rows_of, simple_records
from seawall.source.file_source import Positioned

Converters = Mapping[str, Callable[[str], Any]]
_CAREFUL_CHUNKS = 16


class CsvLines:
    """Complete lines of a chunk: their bytes' ends, and their text.

    Line ends are bytes: in every encoding that is let in, CR and LF are these bytes and nothing
    else. (A text's own ``splitlines`` would see many more.)
    """

    def __init__(self, data: bytes, start: int, encoding: str, *, final: bool) -> None:
        self.data, self.start = data, start
        raw = (data if final else data[: _complete(data)]).splitlines(keepends=True)
        self.ends = list(accumulate(map(len, raw), initial=start))
        self.undecodable: dict[int, str] = {}  # the line's number: what is wrong with it
        try:
            if encoding == "utf-8":
                self.texts = list(map(bytes.decode, raw))
            else:
                self.texts = [str(line, encoding) for line in raw]
        except UnicodeDecodeError:
            self.texts = [self._decoded(n, line, encoding) for n, line in enumerate(raw)]

    def _decoded(self, number: int, line: bytes, encoding: str) -> str:
        try:
            return str(line, encoding)
        except UnicodeDecodeError as error:
            self.undecodable[number] = f"not valid {encoding}: {error.reason}"
            # It still has quotes and delimiters, which tell where its row ends.
            return str(line, encoding, "replace")

    def raw(self, first: int, behind: int) -> bytes:
        """The bytes of the lines from ``first`` to the one before ``behind``."""
        return self.data[self.ends[first] - self.start : self.ends[behind] - self.start]

    def fault(self, first: int, behind: int, row: Row | Fault) -> Fault | None:
        """What is wrong with the row that these lines made, but for its fields."""
        for number in self.undecodable:
            if first <= number < behind:
                return Fault(self.undecodable[number], "builtins.UnicodeDecodeError")
        return row if isinstance(row, Fault) else None

    def hopeless_before(self, limit: int, *, final: bool) -> int:
        """Lines before this one have more than ``limit`` bytes behind their start."""
        if final:
            return len(self.texts)
        return bisect_left(self.ends, self.start + len(self.data) - limit)


def _complete(data: bytes) -> int:
    """Where the last complete line ends."""
    # A CR at the very end may be half of a CR LF.
    return data.rfind(b"\n") + 1 or data.rfind(b"\r", 0, -1) + 1


class CsvParser:
    """Rows to dicts by their names, as one reading goes on."""

    def __init__(
        self,
        form: CsvFormat,
        encoding: str,
        names: Sequence[str],
        converters: Converters,
        max_record_bytes: int,
    ) -> None:
        self._form, self._encoding, self._names = form, encoding, names
        self._converters, self._limit = tuple(converters.items()), max_record_bytes
        self._width = len(names)
        self._careful = 0  # chunks until a row a line is hoped for again

    def parse(self, data: bytes, start: int, *, final: bool) -> tuple[list[Positioned], int]:
        lines = CsvLines(data, start, self._encoding, final=final)
        if self._careful or lines.undecodable:
            self._careful = max(0, self._careful - 1)
        else:
            dicts = simple_records(self._form, lines.texts, self._names)
            if dicts is not None:
                return self._simple(lines, dicts), lines.ends[-1] - start
            self._careful = _CAREFUL_CHUNKS
        return self._one_by_one(lines, final=final)

    def _simple(self, lines: CsvLines, dicts: list[dict[str, str]]) -> list[Positioned]:
        records: list[Any] = dicts
        if self._converters:
            records = [
                self._settled(lines, number, number + 1, self._converted(record))
                for number, record in enumerate(dicts)
            ]
        return list(zip(lines.ends[1:], records, strict=True))

    def _one_by_one(self, lines: CsvLines, *, final: bool) -> tuple[list[Positioned], int]:
        records: list[Positioned] = []
        names, width, ends = self._names, self._width, lines.ends
        is_plain = not self._converters and not lines.undecodable
        hopeless_before = lines.hopeless_before(self._limit, final=final)
        used = 0
        for first, behind, row in rows_of(
            self._form, lines.texts, hopeless_before=hopeless_before, final=final
        ):
            used = behind
            if is_plain and type(row) is list and len(row) == width:
                records.append((ends[behind], dict(zip(names, row, strict=True))))
            elif row:
                outcome = lines.fault(first, behind, row) or self._named(row)
                records.append((ends[behind], self._settled(lines, first, behind, outcome)))
        return records, ends[used] - lines.start

    def _settled(
        self, lines: CsvLines, first: int, behind: int, outcome: dict[str, Any] | Fault
    ) -> Any:
        if isinstance(outcome, Fault):
            return Malformed(lines.raw(first, behind), outcome.reason, outcome.exception_type)
        return outcome

    def _named(self, row: Row | Fault) -> dict[str, Any] | Fault:
        if isinstance(row, Fault):
            return row
        if len(row) != self._width:
            return Fault(f"{len(row)} fields where {self._width} belong")
        return self._converted(dict(zip(self._names, row, strict=True)))

    def _converted(self, record: dict[str, Any]) -> dict[str, Any] | Fault:
        for name, convert in self._converters:
            try:
                record[name] = convert(record[name])
            except Exception as error:  # the user's function; its message tells the value
                kind = type(error)
                return Fault(
                    f"column {name!r} can't be converted: {kind.__qualname__}",
                    f"{kind.__module__}.{kind.__qualname__}",
                )
        return record
