"""Values of Python as the texts that PostgreSQL's types read."""

from collections.abc import Sequence
from datetime import timedelta
from typing import Any

import msgspec

# A Decimal within an object is a number there too.
_json = msgspec.json.Encoder(decimal_format="number", enc_hook=str)
_MICROSECOND = timedelta(microseconds=1)


def texts_of(values: Sequence[Any]) -> list[str | None]:
    """The text of each value; None is NULL. Lists, tuples and dicts are JSON."""
    return [_text_of(value) for value in values]


def _text_of(value: Any) -> str | None:
    if value is None or isinstance(value, str):
        return value
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, bytes):
        return rf"\x{value.hex()}"
    if isinstance(value, dict | list | tuple):
        return _json.encode(value).decode()
    if isinstance(value, timedelta):
        return f"{value // _MICROSECOND} microseconds"
    isoformat = getattr(value, "isoformat", None)
    return str(value) if isoformat is None else str(isoformat())
