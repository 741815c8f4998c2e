"""Lines to rows, as the csv module reads them, and which lines each row was made of."""

import csv
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Any

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

    def reader(self, lines: Iterator[str], *, strict: bool | None = None) -> Any:
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


def sound_rows(
    form: CsvFormat, lines: list[str], ends: list[int], names: Sequence[str]
) -> tuple[list[tuple[int, Any]], bool] | None:
    """The rows, each with its end: as a dict by the names, or as it is where their numbers differ.

    And whether there is one of the latter kind. None where the csv module refuses a row, or the
    last one is unfinished. A row is freed as soon as its dict is made: that keeps the loop within
    the processor's cache.

    ``ends`` are the offset of the first line's start, then of each line's end.
    """
    # Strict, whatever the format says: then an unfinished row at the end is an error too.
    reader = form.reader(iter(lines), strict=True)
    width = len(names)
    odd: list[Row] = []

    def kept(row: Row) -> Row:
        odd.append(row)
        return row

    try:
        rows = [
            # The lengths are compared here: a keyword for zip costs a tenth of it all.
            (ends[reader.line_num], dict(zip(names, row)) if len(row) == width else kept(row))  # noqa: B905
            for row in reader
        ]
    except (csv.Error, ValueError):
        return None
    if lines and (not rows or rows[-1][0] != ends[-1]):
        return None
    return rows, bool(odd)


class _OutOfLinesError(Exception):
    pass


class _NoMoreLines:
    def __iter__(self) -> Iterator[str]:
        return self

    def __next__(self) -> str:
        raise _OutOfLinesError


def _lines_from(lines: list[str], first: int) -> Iterator[str]:
    """The lines from ``first``; then an error, which the csv module can't take for a file's end."""
    iterator = iter(lines)
    iterator.__setstate__(first)  # type: ignore[attr-defined]  # skipping would take its time
    return chain(iterator, _NoMoreLines())


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
    first = 0
    while True:
        start, reader = first, form.reader(_lines_from(lines, first))
        try:
            for row in reader:
                behind = start + reader.line_num
                yield first, behind, row
                first = behind
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
        yield first - 1, first, fault


def _last_row(form: CsvFormat, lines: list[str]) -> Row | None:
    """The row of lines that end in an escaped line end and lack their own; else None."""
    try:
        row: Row = next(form.reader(_lines_from([*lines, "\n"], 0)))
    except (_OutOfLinesError, csv.Error, ValueError):
        return None
    return row
