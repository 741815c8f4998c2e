"""Lines to rows, as the csv module reads them, and which lines each row was made of."""

import csv
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

Row = list[str]


@dataclass(frozen=True, slots=True, kw_only=True)
class CsvFormat:
    """How fields are written; the words are the csv module's."""

    delimiter: str = ","
    quotechar: str | None = '"'
    escapechar: str | None = None
    doublequote: bool = True
    skipinitialspace: bool = False
    quoting: int = csv.QUOTE_MINIMAL
    strict: bool = True

    def reader(self, lines: Iterator[str], *, strict: bool | None = None) -> Iterator[Row]:
        """The csv module's reader.

        Raises:
            TypeError, ValueError: the format makes no sense to the csv module.
        """
        return csv.reader(
            lines,
            delimiter=self.delimiter,
            quotechar=self.quotechar,
            escapechar=self.escapechar,
            doublequote=self.doublequote,
            skipinitialspace=self.skipinitialspace,
            quoting=self.quoting,  # type: ignore[arg-type]  # an int from the user
            strict=self.strict if strict is None else strict,
        )


@dataclass(frozen=True, slots=True)
class Fault:
    """Why a line begins no row."""

    reason: str
    exception_type: str | None = None


UNTERMINATED = Fault("a quoted field is never closed")


def simple_records(
    form: CsvFormat, lines: list[str], names: Sequence[str]
) -> list[dict[str, str]] | None:
    """The rows by their names, where each line is one; None where some are not, or are faulty.

    A row is freed as soon as its dict is made: that keeps the loop within the processor's cache,
    and is a third of its speed.
    """
    # Strict, whatever the format says: then an unfinished row at the end is an error too.
    reader = form.reader(iter(lines), strict=True)
    try:
        records = [dict(zip(names, row, strict=True)) for row in reader]
    except (csv.Error, ValueError):
        return None
    return records if len(records) == len(lines) else None


class _OutOfLinesError(Exception):
    pass


class _Lines:
    """Lines for the csv module's reader, which can go back after a fault."""

    def __init__(self, lines: list[str]) -> None:
        self._lines = lines
        self.next = 0

    def __iter__(self) -> "_Lines":
        return self

    def __next__(self) -> str:
        try:
            line = self._lines[self.next]
        except IndexError:
            raise _OutOfLinesError from None
        self.next += 1
        return line


def rows_of(
    form: CsvFormat, lines: list[str], *, hopeless_before: int, final: bool
) -> Iterator[tuple[int, int, Row | Fault]]:
    """Each row with its first line's number and that of the line behind it.

    Reading goes on behind the first line of a row that is faulty: a quote too many costs its own
    line, and not all up to the next quote.

    Args:
        form: how fields are written.
        lines: complete lines, their ends included.
        hopeless_before: an unfinished row that begins before this line is a fault; one that begins
            later is left out, to be read with what comes behind.
        final: nothing comes behind: the last line may lack its line end.
    """
    feed = _Lines(lines)
    reader = form.reader(feed)
    first = 0
    while True:
        try:
            for row in reader:
                yield first, feed.next, row
                first = feed.next
        except _OutOfLinesError:
            if first == len(lines) or first >= hopeless_before:
                return
            if final and (last := _last_row(form, lines[first:])) is not None:
                yield first, len(lines), last
                return
            fault = UNTERMINATED
        except csv.Error as error:
            fault = Fault(str(error), "_csv.Error")
        except ValueError:
            fault = Fault("a field without quotes is no number", "builtins.ValueError")
        first += 1
        feed.next = first
        yield first - 1, first, fault


def _last_row(form: CsvFormat, lines: list[str]) -> Row | None:
    """The row of lines that end in an escaped line end and lack their own; else None."""
    try:
        return next(form.reader(_Lines([*lines, "\n"])))
    except (_OutOfLinesError, csv.Error, ValueError):
        return None
