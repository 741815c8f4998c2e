"""Records of a file in the form that COPY takes; split into lines only where one is asked for."""

import csv
import threading
from abc import abstractmethod
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from seawall.records import CopyForm, Malformed, TextBlock

_one_at_a_time = threading.RLock()  # blocks are cut in threads

Place = tuple[Any, ...]  # where a record ends in its file, such as (byte, line)

_UNESCAPED = {"t": "\t", "n": "\n", "r": "\r", "b": "\b", "f": "\f", "v": "\v"}
_ESCAPES = str.maketrans({"\\": r"\\", "\t": r"\t", "\n": r"\n", "\r": r"\r"})
TEXT_FORM = CopyForm(csv=False, delimiter="\t", null=r"\N")


@dataclass(frozen=True, slots=True)
class Split:
    """A block's records one by one.

    Attributes:
        lines: each as COPY takes it, with its line end; or why it can't.
        places: where each ends.
    """

    lines: Sequence[bytes | Malformed]
    places: Sequence[Place]


class FileBlock(TextBlock):
    """A block of one file.

    Args:
        prefix: what stands in front of a place to make a position: the file's name.
        first, last: places of the first and the last record.
    """

    def __init__(
        self,
        columns: tuple[str, ...],
        form: CopyForm,
        prefix: Place,
        first: Place,
        last: Place,
        *,
        is_plain: bool,
    ) -> None:
        self.columns, self.form, self.is_plain = columns, form, is_plain
        self._prefix = prefix
        self.first, self.last = [*prefix, *first], [*prefix, *last]
        self._count: int | None = None
        self._split: Split | None = None

    @abstractmethod
    def _made(self) -> Split:
        """Its records one by one; asked once."""

    def split(self) -> Split:
        """Its records one by one."""
        if self._split is None:
            self._split = self._made()
            self._count = len(self._split.lines)
        return self._split

    def __len__(self) -> int:
        if self._count is None:
            self.split()
        return self._count or 0

    def counted(self, count: int) -> None:
        self._count = count

    @property
    def lines(self) -> Sequence[bytes | Malformed]:
        return self.split().lines

    def position(self, index: int) -> Any:
        return [*self._prefix, *self.split().places[index]]

    def texts(self, index: int) -> Sequence[str | None]:
        line = self.lines[index]
        if isinstance(line, Malformed):
            return ()
        text = line.decode()
        return csv_texts(self.form, text) if self.form.csv else escaped_texts(text)

    def record(self, index: int) -> Any:
        line = self.lines[index]
        if isinstance(line, Malformed):
            return line
        return dict(zip(self.columns, self.texts(index), strict=False))

    def cut(self, start: int, stop: int) -> TextBlock:
        split = self.split()
        lines, places = split.lines[start:stop], split.places[start:stop]
        return LinesBlock(
            self.columns,
            self.form,
            self._prefix,
            Split(lines, places),
            lambda index: self.record(start + index),
        )


class LinesBlock(FileBlock):
    """A block whose records are there one by one already.

    Args:
        split: they, one at least.
        origin: a record as it is kept where it can't be loaded; by its texts without it.
    """

    def __init__(
        self,
        columns: tuple[str, ...],
        form: CopyForm,
        prefix: Place,
        split: Split,
        origin: Callable[[int], Any] | None = None,
    ) -> None:
        is_plain = not any(isinstance(line, Malformed) for line in split.lines)
        super().__init__(
            columns, form, prefix, split.places[0], split.places[-1], is_plain=is_plain
        )
        self._split, self._count, self._origin = split, len(split.lines), origin

    def _made(self) -> Split:
        raise AssertionError  # it is made

    @property
    def data(self) -> bytes:
        return b"".join(line for line in self.split().lines if isinstance(line, bytes))

    def record(self, index: int) -> Any:
        if self._origin is None or isinstance(self.lines[index], Malformed):
            return super().record(index)
        return self._origin(index)


@contextmanager
def long_fields(limit: int) -> Iterator[None]:
    """Let the csv module take fields that COPY takes too; its own bound is of the process."""
    with _one_at_a_time:
        before = csv.field_size_limit(limit)
        try:
            yield
        finally:
            csv.field_size_limit(before)


def csv_texts(form: CopyForm, text: str) -> list[str | None]:
    """The values of one CSV record as COPY reads it; NULL is what is written so without quotes.

    The csv module doesn't tell which fields were in quotes: their lengths do.
    """
    quote = form.quote
    if quote not in text:
        plain = text.rstrip("\r\n").split(form.delimiter)
        return [None if value == form.null else value for value in plain]
    with long_fields(len(text)):
        row: list[str] = next(csv.reader([text], delimiter=form.delimiter, quotechar=quote), [])
    values: list[str | None] = []
    place = 0
    for value in row:
        if text.startswith(quote, place):
            place += len(value) + 2 + value.count(quote)
            values.append(value)
        else:
            place += len(value)
            values.append(None if value == form.null else value)
        place += 1  # the delimiter
    return values


def csv_line(form: CopyForm, values: Sequence[str | None]) -> bytes:
    """One record as COPY reads it in CSV."""
    return (form.delimiter.join(_csv_field(form, value) for value in values) + "\n").encode()


def _csv_field(form: CopyForm, value: str | None) -> str:
    if value is None:
        return form.null
    special = (form.delimiter, form.quote, "\n", "\r")
    if value in (form.null, "\\.") or any(each in value for each in special):
        quote = form.quote
        return f"{quote}{value.replace(quote, quote + quote)}{quote}"
    return value


def escaped_line(values: Sequence[str | None]) -> bytes:
    """One record in COPY's own text form."""
    fields = [r"\N" if value is None else value.translate(_ESCAPES) for value in values]
    return ("\t".join(fields) + "\n").encode()


def escaped_texts(text: str) -> list[str | None]:
    """The values of one record in COPY's own text form."""
    fields = text.removesuffix("\n").split("\t")
    if "\\" not in text:
        return list(fields)
    return [None if field == r"\N" else _unescaped(field) for field in fields]


def _unescaped(field: str) -> str:
    head, *parts = field.split("\\")
    result, rest = [head], iter(parts)
    for part in rest:
        if part:
            result.append(_UNESCAPED.get(part[0], part[0]) + part[1:])
        else:  # a backslash behind a backslash
            result.append("\\" + next(rest, ""))
    return "".join(result)
