"""What ``quarantine_bad_records`` was given: one record, or many."""

from collections.abc import Iterable, Mapping
from dataclasses import is_dataclass
from typing import Any

from seawall.quarantine.frames import rows_of

_SINGLE = (Mapping, tuple, str, bytes, bytearray)


def records_of(bad_data: Any) -> list[Any]:
    """The records in ``bad_data``.

    A list, set, iterator or generator holds records, a DataFrame (pandas, polars) its rows;
    anything else (a mapping, tuple, text, dataclass, number) is one record.

    Raises:
        InvalidConfigError, CodecError: a DataFrame's columns can't be kept; see ``rows_of``.
    """
    rows = rows_of(bad_data)
    if rows is not None:
        return list(rows)
    if isinstance(bad_data, _SINGLE) or is_dataclass(bad_data):
        return [bad_data]
    return list(bad_data) if isinstance(bad_data, Iterable) else [bad_data]
