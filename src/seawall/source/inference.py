"""Types for the columns of a new table, from a sample of a file's values. Pure."""

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import date, datetime
from typing import Any

_INTEGER = re.compile(r"[+-]?(0|[1-9]\d*)")
_DECIMAL = re.compile(r"[+-]?(0|[1-9]\d*)?\.\d+|[+-]?(0|[1-9]\d*)\.")
_FLOAT = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)[eE][+-]?\d+|NaN|[+-]?Infinity", re.IGNORECASE)
_BOOLEAN = re.compile(r"true|false|t|f", re.IGNORECASE)
_DATE = re.compile(r"\d{4}-\d\d-\d\d")
_MOMENT = re.compile(r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d(:\d\d(\.\d{1,9})?)?")
_ZONE = re.compile(r" ?(Z|[+-]\d\d(:?\d\d)?)", re.IGNORECASE)
_UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.IGNORECASE)
_LARGEST = 2**63

# Numbers widen: a column of whole ones and a fraction is one of fractions.
_NUMBERS = ("bigint", "numeric", "double precision")
_MOMENTS = ("date", "timestamp")


def type_of_texts(values: Iterable[str | None]) -> str:
    """The narrowest type that reads every text; text where none does, or there is no value.

    A number with a leading zero (a postal code, an account) is text: as a number it would lose it.
    """
    kinds = {_kind_of_text(value) for value in values if value is not None}
    return _common(kinds)


def type_of_values(values: Iterable[Any]) -> str:
    """The same for values out of JSON: a number there is no text, and the other way round."""
    texts: list[str] = []
    kinds: set[str] = set()
    for value in values:
        if value is None:
            continue
        if isinstance(value, str):
            texts.append(value)
        else:
            kinds.add(_kind_of_value(value))
    if texts:
        of_texts = type_of_texts(texts)
        # Digits in quotes were meant as text.
        kinds.add("text" if of_texts in _NUMBERS or of_texts == "boolean" else of_texts)
    return _common(kinds)


def infer(
    columns: Sequence[str],
    sample: Sequence[Mapping[str, Any]],
    type_of: Callable[[Iterable[Any]], str],
) -> dict[str, str]:
    """The type of each column."""
    return {name: type_of(record.get(name) for record in sample) for name in columns}


def _common(kinds: set[str]) -> str:
    if len(kinds) == 1:
        return next(iter(kinds))
    for family in (_NUMBERS, _MOMENTS):
        if kinds and kinds <= set(family):
            return max(kinds, key=family.index)
    return "text"


def _kind_of_value(value: Any) -> str:
    if isinstance(value, bool):
        return "boolean"
    if isinstance(value, int):
        return "bigint" if -_LARGEST <= value < _LARGEST else "numeric"
    if isinstance(value, float):
        return "double precision"
    return "jsonb"


def _kind_of_text(text: str) -> str:
    for kind, reads in _READERS:
        if reads(text):
            return kind
    return "text"


def _is_integer(text: str) -> bool:
    return bool(_INTEGER.fullmatch(text)) and -_LARGEST <= int(text) < _LARGEST


def _is_decimal(text: str) -> bool:
    return bool(_DECIMAL.fullmatch(text)) or bool(_INTEGER.fullmatch(text))


def _is_date(text: str) -> bool:
    return bool(_DATE.fullmatch(text)) and _reads(date.fromisoformat, text)


def _is_timestamp(text: str) -> bool:
    return bool(_MOMENT.fullmatch(text)) and _reads(datetime.fromisoformat, text[:19])


def _is_timestamptz(text: str) -> bool:
    moment = _MOMENT.match(text)
    if moment is None or not _ZONE.fullmatch(text, moment.end()):
        return False
    return _reads(datetime.fromisoformat, text[: min(moment.end(), 19)])


def _reads(parse: Callable[[str], object], text: str) -> bool:
    try:
        parse(text)
    except ValueError:
        return False
    return True


_READERS: tuple[tuple[str, Callable[[str], object]], ...] = (
    ("bigint", _is_integer),
    ("numeric", _is_decimal),
    ("double precision", _FLOAT.fullmatch),
    ("boolean", _BOOLEAN.fullmatch),
    ("date", _is_date),
    ("timestamp", _is_timestamp),
    ("timestamptz", _is_timestamptz),
    ("uuid", _UUID.fullmatch),
)
