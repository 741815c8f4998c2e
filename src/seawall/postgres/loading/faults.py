"""Reading an error of a COPY or INSERT: is it about a record, and about which one?"""

import re
from collections.abc import Sequence
from typing import Any

import asyncpg

from seawall.postgres.loading.rejection import Violation
from seawall.postgres.lost import is_connection_lost

_LINE = re.compile(r"COPY .*, line (\d+)")
_KEY = re.compile(r"Key \((?P<names>.*?)\)=\((?P<values>.*)\) is not present in table", re.DOTALL)

# Data exceptions, constraint violations, WITH CHECK OPTION, and what a trigger raises.
_RECORD_CLASSES = ("22", "23", "44", "P0")
_NO_RECORD = (MemoryError, RecursionError)
FOREIGN_KEY_VIOLATION = "23503"
CONFLICTS = ("23505", "23P01")  # unique and exclusion violations: about two records


def is_about_a_record(error: Exception) -> bool:
    """Whether leaving some record out can make the load succeed."""
    if isinstance(error, asyncpg.PostgresError):
        sqlstate = error.sqlstate or ""
        # Letters from I on are left by the standard to whoever raises them: a user's trigger.
        own = "I" <= sqlstate[:1] <= "W" and not sqlstate.startswith("P")
        return sqlstate[:2] in _RECORD_CLASSES or own
    # Everything else was raised while a value was being encoded.
    return not isinstance(error, _NO_RECORD) and not is_connection_lost(error)


def is_codec_refused(error: Exception) -> bool:
    """Whether a codec of the user's own, made for texts, is of no use to COPY."""
    return isinstance(error, asyncpg.InternalClientError) and "format encoder" in str(error)


def line_of(error: Exception) -> int | None:
    """The record's place in the COPY, from 0, where the server tells it."""
    context = getattr(error, "context", None)
    match = _LINE.search(context) if isinstance(context, str) else None
    return None if match is None else int(match[1]) - 1


def same_key(error: Exception, names: Sequence[str], rows: Sequence[Sequence[Any]]) -> list[int]:
    """The records that hold the key which a foreign-key error says is missing."""
    detail = getattr(error, "detail", None)
    match = _KEY.search(detail) if isinstance(detail, str) else None
    if match is None:
        return []
    key_names = match["names"].replace('"', "").split(", ")
    if any(name not in names for name in key_names):
        return []
    places = [names.index(name) for name in key_names]
    key = match["values"]
    return [
        number
        for number, row in enumerate(rows)
        if ", ".join(str(row[place]) for place in places) == key
    ]


def violation_of(error: Exception) -> Violation:
    """The server's (or asyncpg's) own words for the record's fault."""
    kind = type(error)
    if isinstance(error, asyncpg.PostgresError):
        return Violation(
            0,
            error.args[0] if error.args else str(error),
            error.sqlstate,
            constraint_name=error.constraint_name,
            column_name=error.column_name,
            detail=error.detail,
            exception_type=f"{kind.__module__}.{kind.__qualname__}",
        )
    return Violation(
        0,
        f"{kind.__qualname__}: {error}",
        exception_type=f"{kind.__module__}.{kind.__qualname__}",
    )
