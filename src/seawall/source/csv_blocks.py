"""CSV bytes cut into blocks at the ends of records, so that COPY can take them as they are.

What a block holds is decided by the csv module's rules. COPY's are others where quotes stand in
odd places: it lets a quote in the middle of a field begin a quoted part, and would swallow what
follows up to the next quote, line ends included. So a block is plain only where both must agree;
of any other block each record is written anew.
"""

from itertools import accumulate

from seawall.records import CopyForm, Malformed
from seawall.source.csv_parser import CsvLines
from seawall.source.csv_rows import CsvFormat, Fault, Row, rows_of
from seawall.source.file_block import (
    FileBlock,
    LinesBlock,
    Place,
    Split,
    csv_line,
    csv_texts,
    long_fields,
)

_LF = b"\n"
_NUL_REASON = "a NUL byte, which no text can hold"
_END_OF_COPY = b"\\."  # a line of this ends a COPY, before PostgreSQL 18


class CsvCutter:
    """Cuts the blocks of one reading.

    Args:
        form: how fields are written.
        encoding: by Python's own name.
        columns: the columns' names.
        prefix: the file's name, for positions.
        max_record_bytes: what a record may have.
        rows: lines a block.
        lone_cr: lines end in CR alone.
    """

    def __init__(
        self,
        form: CopyForm,
        encoding: str,
        columns: tuple[str, ...],
        prefix: Place,
        max_record_bytes: int,
        rows: int,
        *,
        lone_cr: bool = False,
    ) -> None:
        self._form, self._encoding, self._columns = form, encoding, columns
        self._prefix, self._limit, self._rows = prefix, max_record_bytes, rows
        self._lone_cr = lone_cr
        self._quote = form.quote.encode()
        self._rules = CsvFormat(delimiter=form.delimiter, quotechar=form.quote)

    def cut(
        self, data: bytes, start: int, line: int, *, final: bool
    ) -> tuple[FileBlock | None, int]:
        """The next block of ``data``, if there is one, and the bytes that it or blank lines took.

        Args:
            data: begins where a record begins.
            start: offset of its first byte.
            line: number of the lines before it.
            final: nothing comes behind it.
        """
        end = 0 if self._lone_cr else self._boundary(data, final=final)
        raw = data[:end]
        if raw.isspace() and not raw.strip(b"\r\n"):
            return None, end
        if raw and self._is_regular(raw):
            return _RawBlock(self, raw, start, line), end
        if not data or (not final and _LF not in data and not self._lone_cr):
            return None, 0
        return self._carefully(data, start, line, final=final)

    # -- where to cut ---------------------------------------------------------------------------

    def _boundary(self, data: bytes, *, final: bool) -> int:
        """Behind the last line end that is not in quotes, if all quotes are where they belong."""
        end = data.rfind(_LF) + 1
        if data.count(_LF, 0, end) > self._rows:
            end = _behind_line(data, self._rows)
        elif final and data.count(self._quote) % 2 == 0:
            return len(data)
        before = data.count(self._quote, 0, end)
        while end and before % 2:
            shorter = data.rfind(_LF, 0, end - 1) + 1
            before -= data.count(self._quote, shorter, end)
            end = shorter
        return end

    def _is_regular(self, raw: bytes) -> bool:
        """Whether COPY reads ``raw`` as the csv module does, or fails."""
        if _END_OF_COPY in raw and _END_OF_COPY in raw.splitlines():
            return False
        if len(self._columns) == 1 and (raw.startswith((b"\n", b"\r")) or _has_blank(raw)):
            return False  # COPY would take a blank line for a NULL
        if self._encoding != "utf-8":
            try:
                raw.decode(self._encoding)
            except UnicodeDecodeError:
                return False
        return self._quote not in raw or self._has_quotes_in_place(raw)

    def _has_quotes_in_place(self, raw: bytes) -> bool:
        """Whether each quote begins a field, ends it, or stands doubled within one."""
        quote = self._quote
        outside = raw.split(quote)[::2]
        ends = (self._form.delimiter.encode(), b"\n", b"\r")
        if outside[0] and not outside[0].endswith(ends):
            return False
        if outside[-1] and not outside[-1].startswith(ends):
            return False
        # Nothing between two quotes: a doubled one within a field. (COPY has the same rule.)
        between = list(filter(None, outside[1:-1]))
        if not between:
            return True
        # Counted, not looked at one by one: most of a file may be in quotes.
        joined = quote + quote.join(between) + quote
        begun = sum(joined.count(quote + end) for end in ends)
        ended = sum(joined.count(end + quote) for end in ends)
        return begun == ended == len(between)

    # -- one by one -----------------------------------------------------------------------------

    def _carefully(
        self, data: bytes, start: int, line: int, *, final: bool
    ) -> tuple[FileBlock | None, int]:
        split, used = self.split(data, start, line, final=final)
        if not split.lines:
            return None, used
        return LinesBlock(self._columns, self._form, self._prefix, split), used

    def split(self, data: bytes, start: int, line: int, *, final: bool) -> tuple[Split, int]:
        """The records that end within ``data`` one by one, and how many bytes they took."""
        lines = CsvLines(data, start, self._encoding, final=final)
        hopeless = lines.hopeless_before(self._limit, final=final)
        found: list[bytes | Malformed] = []
        places: list[Place] = []
        used = 0
        with long_fields(self._limit):
            for first, behind, row in rows_of(
                self._rules, lines.texts, hopeless_before=hopeless, final=final
            ):
                used = behind
                if row:
                    found.append(self._settled(lines, first, behind, row))
                    places.append((lines.ends[behind], line + behind))
                if len(found) >= self._rows:
                    break
        return Split(found, places), lines.ends[used] - start

    def _settled(
        self, lines: CsvLines, first: int, behind: int, row: Row | Fault
    ) -> bytes | Malformed:
        raw = lines.data[lines.ends[first] - lines.start : lines.ends[behind] - lines.start]
        fault = lines.fault(first, behind, row)
        if fault is None and isinstance(row, list):
            if len(row) != len(self._columns):
                fault = Fault(f"{len(row)} fields where {len(self._columns)} belong")
            elif b"\0" in raw:
                fault = Fault(_NUL_REASON)
        if fault is not None:
            return Malformed(raw, fault.reason, fault.exception_type)
        text = "".join(lines.texts[first:behind])
        if self._form.quote not in text and not text.startswith("\\."):
            return text.rstrip("\r\n").encode() + _LF
        return csv_line(self._form, csv_texts(self._form, text))

    # -- for its blocks ---------------------------------------------------------------------------

    @property
    def columns(self) -> tuple[str, ...]:
        return self._columns

    @property
    def form(self) -> CopyForm:
        return self._form

    @property
    def prefix(self) -> Place:
        return self._prefix

    def as_utf8(self, raw: bytes) -> bytes:
        """The same in the encoding that COPY is told."""
        return raw if self._encoding == "utf-8" else raw.decode(self._encoding).encode()

    def first_end(self, raw: bytes) -> int:
        """Where the first record of a plain block ends."""
        end = quotes = 0
        while True:
            behind = raw.find(_LF, end) + 1 or len(raw)
            quotes += raw.count(self._quote, end, behind)
            end = behind
            if quotes % 2 == 0 and raw[:end].strip(b"\r\n"):
                return end

    def split_plain(self, raw: bytes, start: int, line: int) -> Split:
        """A plain block's records one by one."""
        if self._quote in raw or b"\r" in raw.replace(b"\r\n", b""):
            rows, self._rows = self._rows, len(raw)
            try:
                return self.split(raw, start, line, final=True)[0]
            finally:
                self._rows = rows
        return self._split_unquoted(raw, start, line)

    def _split_unquoted(self, raw: bytes, start: int, line: int) -> Split:
        """The same, where no line end is in quotes, and all lines end in LF or CR LF."""
        delimiters, delimiter = len(self._columns) - 1, self._form.delimiter.encode()
        lines = raw.splitlines(keepends=True)
        ends = list(accumulate(map(len, lines), initial=start))
        undecodable = self._undecodable(raw, lines)
        is_uniform = {each.count(delimiter) for each in lines} == {delimiters}
        if is_uniform and not undecodable and self._is_bare(raw):
            if not raw.endswith(_LF):
                lines[-1] += _LF
            return Split(lines, list(zip(ends[1:], range(line + 1, line + len(lines) + 1))))  # noqa: B905
        found: list[bytes | Malformed] = []
        places: list[Place] = []
        for place, each in enumerate(lines):
            text = each.rstrip(b"\r\n")
            if not text:
                continue
            places.append((ends[place + 1], line + place + 1))
            if text.count(delimiter) != delimiters or b"\0" in text or place in undecodable:
                found.append(self._malformed(each, text, undecodable.get(place)))
            else:
                found.append(self.as_utf8(text) + _LF)
        return Split(found, places)

    def _is_bare(self, raw: bytes) -> bool:
        """Whether its lines are COPY's as they are, if each has its fields."""
        blank = len(self._columns) == 1 and (raw.startswith(_LF) or b"\n\n" in raw)
        return self._encoding == "utf-8" and b"\0" not in raw and b"\r" not in raw and not blank

    def _undecodable(self, raw: bytes, lines: list[bytes]) -> dict[int, str]:
        try:
            raw.decode(self._encoding)
        except UnicodeDecodeError:
            pass
        else:
            return {}
        found = {}
        for place, each in enumerate(lines):
            try:
                each.decode(self._encoding)
            except UnicodeDecodeError as error:
                found[place] = f"not valid {self._encoding}: {error.reason}"
        return found

    def _malformed(self, raw: bytes, text: bytes, undecodable: str | None) -> Malformed:
        if undecodable is not None:
            return Malformed(raw, undecodable, "builtins.UnicodeDecodeError")
        count = text.count(self._form.delimiter.encode()) + 1
        if count != len(self._columns):
            return Malformed(raw, f"{count} fields where {len(self._columns)} belong")
        return Malformed(raw, _NUL_REASON)


class _RawBlock(FileBlock):
    """Bytes of the file as they are."""

    def __init__(self, cutter: CsvCutter, raw: bytes, start: int, line: int) -> None:
        end, lines = len(raw), raw.count(_LF)
        self._cutter, self._raw, self._start, self._line = cutter, raw, start, line
        super().__init__(
            cutter.columns,
            cutter.form,
            cutter.prefix,
            (start + cutter.first_end(raw), line + 1),
            (start + end, line + lines + (not raw.endswith(_LF))),
            is_plain=True,
        )

    @property
    def data(self) -> bytes:
        raw = self._raw
        if raw.endswith((b"\n\n", b"\n\r\n", b"\r\r")):  # blank lines at a file's end
            bare = raw.rstrip(b"\r\n")
            raw = raw[: len(bare) + 1 + raw.startswith(b"\r\n", len(bare))]
        return self._cutter.as_utf8(raw)

    def _made(self) -> Split:
        return self._cutter.split_plain(self._raw, self._start, self._line)


def _behind_line(data: bytes, count: int) -> int:
    """The offset behind the line of that number, which is there."""
    return len(data) - len(data.split(_LF, count)[-1])


def _has_blank(raw: bytes) -> bool:
    inner = raw.rstrip(b"\r\n")
    return b"\n\n" in inner or b"\n\r" in inner
