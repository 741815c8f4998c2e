"""Bytes of a CSV file to records with the offsets of their ends."""

from bisect import bisect_left
from collections.abc import Callable, Mapping, Sequence
from itertools import accumulate
from typing import Any

from seawall.records import Malformed
from seawall.source.csv_rows import CsvFormat, Fault, Row, rows_of, sound_rows
from seawall.source.file_source import Positioned

Converters = Mapping[str, Callable[[str], Any]]


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

    def parse(self, data: bytes, start: int, *, final: bool) -> tuple[list[Positioned], int]:
        lines = CsvLines(data, start, self._encoding, final=final)
        found = None
        if not lines.undecodable:
            found = sound_rows(self._form, lines.texts, lines.ends, self._names)
        if found is None:
            return self._one_by_one(lines, final=final)
        rows, has_odd = found
        if has_odd or self._converters:
            rows = self._looked_at(lines, rows)
        return rows, lines.ends[-1] - start

    def _looked_at(self, lines: CsvLines, rows: list[Positioned]) -> list[Positioned]:
        records: list[Positioned] = []
        before = lines.start
        for end, row in rows:
            if row:
                records.append((end, self._settled(lines, before, end, self._named(row))))
            before = end
        return records

    def _one_by_one(self, lines: CsvLines, *, final: bool) -> tuple[list[Positioned], int]:
        records: list[Positioned] = []
        ends = lines.ends
        hopeless_before = lines.hopeless_before(self._limit, final=final)
        used = 0
        for first, behind, row in rows_of(
            self._form, lines.texts, hopeless_before=hopeless_before, final=final
        ):
            used = behind
            if row:
                outcome = lines.fault(first, behind, row) or self._named(row)
                record = self._settled(lines, ends[first], ends[behind], outcome)
                records.append((ends[behind], record))
        return records, ends[used] - lines.start

    def _settled(
        self, lines: CsvLines, begin: int, end: int, outcome: dict[str, Any] | Fault
    ) -> Any:
        if isinstance(outcome, Fault):
            raw = lines.data[begin - lines.start : end - lines.start]
            return Malformed(raw, outcome.reason, outcome.exception_type)
        return outcome

    def _named(self, row: Row | dict[str, Any] | Fault) -> dict[str, Any] | Fault:
        if isinstance(row, Fault):
            return row
        if len(row) != self._width:
            return Fault(f"{len(row)} fields where {self._width} belong")
        if isinstance(row, list):
            row = dict(zip(self._names, row, strict=True))
        return self._converted(row) if self._converters else row

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
