"""CSV files as a source."""

import codecs
import csv
import os
from collections.abc import Sequence

from seawall.errors import InvalidConfigError, SourceError
from seawall.source.csv_parser import Converters, CsvLines, CsvParser
from seawall.source.csv_rows import CsvFormat, Row, rows_of
from seawall.source.file_source import Compression, FileSource, Parser, Window


class CsvSource(FileSource):
    """A CSV file, its records as dicts by the names of its header: a ``RecordSource``.

    Positions are byte offsets: that of a record's end, its line end included. Resuming reads the
    header and seeks there. Fields may hold delimiters and line ends in quotes; lines end in LF, CR
    LF or CR, the last may do without. Blank lines are skipped, a UTF-8 byte order mark too.

    Given as ``Malformed``, with its bytes: a row of another number of fields than the names, one
    with bytes that the encoding doesn't have, one that a converter fails on, and what the csv
    module refuses: with ``strict`` a quote out of place, a field longer than
    ``csv.field_size_limit()`` (131,072 characters unless it is raised), a quote never closed. Of
    the last three only the first line is set aside, and reading goes on behind it: a quote too many
    costs its own line, but further lines of a field that is too long are taken for rows.

    Args:
        path: the file. Ending in ``.gz`` it is taken for gzip, of one or many members, unless
            ``compression`` says otherwise. A gzip file is resumed by decompressing it again from
            its start, which is logged.
        encoding: any in which CR and LF are these bytes and nothing else is: all but UTF-16, UTF-32
            and EBCDIC.
        delimiter, quotechar, escapechar, doublequote, skipinitialspace, quoting, strict: as the csv
            module has them. ``strict`` is True here: a quote behind a quoted field is a fault, and
            not part of it.
        header: whether the first row holds the names.
        names: the columns' names, in place of those in the header.
        converters: a function a column, from its text to its value.
        complete_lines_only: leave a last row without its line end to a later reading: for a file
            that is still being written. (A lone CR ends a line only where more follows it.)
        chunk_bytes: bytes read and parsed at a time; the event loop is held while one is parsed.
        max_record_bytes: bytes that a row may have, which bounds memory. A row of more lines is set
            aside as one whose quote is never closed; a longer line stops the reading with an error
            that names its offset. (It can't be given in pieces, since a position between them would
            not tell that it lies within a line.)

    Raises:
        InvalidConfigError: an option is out of range, or of no use to the csv module.

    May be read from many times, and by several tasks at once.
    """

    def __init__(
        self,
        path: "str | os.PathLike[str]",
        *,
        encoding: str = "utf-8",
        delimiter: str = ",",
        quotechar: str | None = '"',
        escapechar: str | None = None,
        doublequote: bool = True,
        skipinitialspace: bool = False,
        quoting: int = csv.QUOTE_MINIMAL,
        strict: bool = True,
        header: bool = True,
        names: Sequence[str] | None = None,
        converters: Converters | None = None,
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
        self._format = CsvFormat(
            delimiter=delimiter,
            quotechar=quotechar,
            escapechar=escapechar,
            doublequote=doublequote,
            skipinitialspace=skipinitialspace,
            quoting=quoting,
            strict=strict,
        )
        try:
            self._format.reader(iter(()))
        except (TypeError, ValueError) as error:
            raise InvalidConfigError(f"{self._format}: {error}") from None
        self.encoding = _checked_encoding(encoding)
        self._header, self._converters = header, dict(converters or {})
        self._names = None if names is None else self._checked_names(names, InvalidConfigError)
        if names is None and not header:
            raise InvalidConfigError("header=False: the columns need names=[…] then")

    def _checked_names(
        self, names: Sequence[str], error: type[InvalidConfigError | SourceError]
    ) -> Sequence[str]:
        wrong = sorted({name for name in names if names.count(name) > 1})
        if isinstance(names, str) or not names or wrong:
            what = f"{wrong} come twice" if wrong else f"{names!r} is no list of names"
            raise error(f"{self.path}: the columns' names must differ, but {what}; pass names=[…]")
        if unknown := sorted(self._converters.keys() - set(names)):
            raise InvalidConfigError(
                f"converters={unknown}: {self.path} has no such column; it has {list(names)}"
            )
        return tuple(names)

    async def _begin(self, window: Window) -> Parser | None:
        heading = await self.heading(window)
        if heading is None:
            return None
        return CsvParser(
            self._format, self.encoding, heading[0], self._converters, self._max_record_bytes
        )

    async def heading(self, window: Window) -> tuple[Sequence[str], bytes] | None:
        """The columns' names and the header's bytes, at the start of a reading; None: no such yet.

        Raises:
            SourceError: the header can't be read, or a name comes twice.
        """
        if self.encoding == "utf-8":
            await window.skip_bom()
        if not self._header:
            return self._names or (), b""
        found = await self._first_row(window)
        if found is None:
            return None
        row, raw = found
        return self._names or self._checked_names(row, SourceError), raw

    async def _first_row(self, window: Window) -> tuple[Row, bytes] | None:
        """The first row that isn't blank, and the bytes up to its end; None: there is none yet."""
        more = True
        while True:
            ended = not more and not self._complete_lines_only
            lines = CsvLines(window.data, window.start, self.encoding, final=ended)
            hopeless_before = lines.hopeless_before(self._max_record_bytes, final=ended)
            for first, behind, row in rows_of(
                self._format, lines.texts, hopeless_before=hopeless_before, final=ended
            ):
                fault = lines.fault(first, behind, row)
                if fault is not None:
                    raise SourceError(f"{self.path}: its header can't be read: {fault.reason}")
                if row and isinstance(row, list):
                    end = lines.ends[behind] - lines.start
                    window.use(end)
                    return row, lines.data[:end]
            if not more:
                return None
            more = await window.more()


def _checked_encoding(encoding: str) -> str:
    """The encoding by Python's own name.

    Raises:
        InvalidConfigError: it is unknown, or a line end is written otherwise than in ASCII.
    """
    try:
        name = codecs.lookup(encoding).name.removesuffix("-sig")
        has_line_ends = "\r\n".encode(name) == b"\r\n"
    except LookupError as error:
        raise InvalidConfigError(f"encoding={encoding!r}: {error}") from None
    if not has_line_ends:
        raise InvalidConfigError(
            f"encoding={encoding!r}: must be one with ASCII's line ends, as UTF-8 and Latin-1 are; "
            "convert the file first"
        )
    return name
