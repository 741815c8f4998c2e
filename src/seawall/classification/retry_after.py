"""The wait that a server asked for."""

import math
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

from seawall.classification.chain import WRAPPING_ATTRIBUTES, behind, members
from seawall.classification.grpc_retry import grpc_wait
from seawall.classification.reading import read
from seawall.clock import utc_now

# A proxy's nonsense (a negative wait, or one of ages) is no wait that a server asked for.
_LONGEST_SECONDS = 7 * 24 * 3600.0
_PLACES = ("retry_after", "response", "headers", "trailing_metadata", "details")
_NAMES = frozenset({*_PLACES, *WRAPPING_ATTRIBUTES, "exceptions", "last_attempt"})
_MAY_ASK: dict[type, bool] = {}
_MOST_CLASSES = 4096


def retry_after(exc: BaseException) -> float | None:
    """Seconds that a server asked to wait before the next try, or None where none did.

    Read from a ``retry_after`` attribute (a number of seconds or a timedelta), the headers of an
    HTTP response (``Retry-After`` in seconds or as a date, ``retry-after-ms``), a botocore
    response, gRPC's ``grpc-retry-pushback-ms`` and Google's ``RetryInfo``; then from the members of
    a group (the longest wait counts) and from what the exception was raised from. Never raises.
    """
    # Most exceptions have no place for a wait, with nothing on them and none behind them.
    known = _MAY_ASK.get(type(exc))
    if known is None:
        known = may_ask_to_wait(type(exc))
    if not (known or _holds_another(exc) or not _NAMES.isdisjoint(exc.__dict__)):
        return None
    try:
        return _asked(exc, set())
    except Exception:
        # Foreign objects can do anything when asked; no wait is then known.
        return None


def may_ask_to_wait(cls: type) -> bool:
    """Whether exceptions of the class have a place of their own for a wait, or for another."""
    known = _MAY_ASK.get(cls)
    if known is None:
        if len(_MAY_ASK) > _MOST_CLASSES:  # clients that make a class a call must not fill memory
            _MAY_ASK.clear()
        known = _MAY_ASK[cls] = any(hasattr(cls, name) for name in _NAMES)
    return known


def _holds_another(exc: BaseException) -> bool:
    if exc.__cause__ is not None:
        return True
    if exc.__context__ is not None and not exc.__suppress_context__:
        return True
    for each in exc.args:  # noqa: SIM110 - a generator costs more than the loop
        if isinstance(each, BaseException):
            return True
    return False


def _asked(exc: BaseException, seen: set[int]) -> float | None:
    for each in (exc, *behind(exc)):
        if id(each) in seen:
            continue
        seen.add(id(each))
        own = _own(each)
        if own is not None:
            return own
        waits = [_asked(member, seen) for member in members(each)]
        known = [wait for wait in waits if wait is not None]
        if known:
            return max(known)
    return None


def _own(exc: BaseException) -> float | None:
    wait = _seconds(read(exc, "retry_after"))
    if wait is not None:
        return wait
    for headers in _header_sets(exc):
        wait = _from_headers(headers)
        if wait is not None:
            return wait
    return _seconds(grpc_wait(exc))


def _header_sets(exc: BaseException) -> Iterator[Any]:
    response = read(exc, "response")
    if isinstance(response, dict):  # botocore
        metadata = response.get("ResponseMetadata")
        yield metadata.get("HTTPHeaders") if isinstance(metadata, dict) else None
    elif response is not None:
        yield read(response, "headers")
    yield read(exc, "headers")


def _from_headers(headers: Any) -> float | None:
    milliseconds = _header(headers, "retry-after-ms")
    if milliseconds is not None:
        wait = _seconds(milliseconds)
        return None if wait is None else wait / 1000
    value = _header(headers, "Retry-After")
    if value is None:
        return None
    wait = _seconds(value)
    return _until(value, _header(headers, "Date")) if wait is None else wait


def _header(headers: Any, name: str) -> str | None:
    get = read(headers, "get")
    if not callable(get):
        return None
    for spelling in (name, name.lower()):
        try:
            value = get(spelling)
        except Exception:
            return None
        if isinstance(value, str):
            return value.strip()
        if isinstance(value, int | float):
            return str(value)
    return None


def _seconds(value: Any) -> float | None:
    """The value as seconds, or None where it is no sensible wait."""
    if isinstance(value, timedelta):
        value = value.total_seconds()
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return None
    try:
        seconds = float(value)
    except (ValueError, OverflowError):
        return None
    return seconds if math.isfinite(seconds) and 0 <= seconds <= _LONGEST_SECONDS else None


def _until(date: str, said_at: str | None) -> float | None:
    """Seconds to an HTTP date, from the moment the response names; 0 where it has passed.

    The server's own clock gives both; without its Date header this machine's stands in.
    """
    moment, now = _moment(date), _moment(said_at) if said_at is not None else None
    if moment is None:
        return None
    seconds = (moment - (now or utc_now())).total_seconds()
    return max(0.0, seconds) if seconds <= _LONGEST_SECONDS else None


def _moment(date: str) -> datetime | None:
    from email.utils import parsedate_to_datetime

    try:
        moment = parsedate_to_datetime(date)
    except (ValueError, TypeError, OverflowError):
        return None
    return moment if moment.tzinfo is not None else moment.replace(tzinfo=UTC)
