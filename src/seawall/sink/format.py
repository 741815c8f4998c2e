"""Records as bytes: a line of JSON, a line of CSV."""

import csv
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import msgspec

from seawall.errors import CodecError, InvalidConfigError

Encode = Callable[[Any], bytes]

_json = msgspec.json.Encoder()


def json_line(record: Any) -> bytes:
    """The record as one line of JSON (UTF-8, a newline at its end).

    Mappings, sequences, dataclasses, msgspec structs, numbers, texts, dates, UUIDs and Decimals (as
    texts), bytes (as base64); NaN and the infinities as null.

    Raises:
        CodecError: it holds something that JSON has no form for.
    """
    try:
        return _json.encode(record) + b"\n"
    except (TypeError, ValueError, RecursionError) as error:
        raise CodecError(f"the record can't be written as JSON: {error}") from error


class _Last:
    """A text file for `csv` that keeps the last line alone."""

    line = ""

    def write(self, text: str) -> int:
        self.line = text
        return len(text)


class CsvLine:
    """``encode=CsvLine(["id", "name"])``: a record as a line of CSV, with a header in every file.

    Records are mappings with these keys, or sequences of as many values. None is an empty field,
    everything else its ``str``; lines end in a newline; quoted where needed (RFC 4180).

    Args:
        columns: the fields' names, in order.
        header: whether each file begins with them.

    Raises:
        InvalidConfigError: no columns, or one of them twice.
    """

    def __init__(self, columns: Sequence[str], *, header: bool = True) -> None:
        if isinstance(columns, str) or not columns or len(set(columns)) != len(columns):
            raise InvalidConfigError(f"columns={columns!r}: must be a list of different names")
        self.columns = tuple(columns)
        self.header = self._line(self.columns) if header else b""

    def __call__(self, record: Any) -> bytes:
        """The record as one line.

        Raises:
            CodecError: it lacks a column, has one too many, or holds a lone surrogate.
        """
        if isinstance(record, Mapping):
            if record.keys() != set(self.columns):
                raise CodecError(
                    f"the record has the fields {', '.join(map(str, record))}; the file has "
                    f"{', '.join(self.columns)}"
                )
            return self._line([record[column] for column in self.columns])
        if isinstance(record, str | bytes) or not hasattr(record, "__len__"):
            raise CodecError(
                f"a record must be a mapping or a sequence, got {type(record).__name__}"
            )
        if len(record) != len(self.columns):
            raise CodecError(
                f"the record has {len(record)} fields, the file has {len(self.columns)}"
            )
        return self._line(record)

    def _line(self, values: Sequence[object]) -> bytes:
        last = _Last()  # of this call alone: the sink encodes in threads
        try:
            csv.writer(last, lineterminator="\n").writerow(values)
            return last.line.encode()
        except (csv.Error, ValueError) as error:
            raise CodecError(f"the record can't be written as CSV: {error}") from error
