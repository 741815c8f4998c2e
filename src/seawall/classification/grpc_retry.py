"""The wait in gRPC's and Google's error details, read without protobuf.

A server says it in a ``google.rpc.RetryInfo``: among an exception's details, or in the trailing
metadata, in the wire format: RetryInfo {1: Duration}, Duration {1: seconds, 2: nanos}, Status
{3: Any}, Any {1: type URL, 2: value}.
"""

from collections.abc import Iterator
from datetime import timedelta
from typing import Any

from seawall.classification.reading import read

_PUSHBACK = "grpc-retry-pushback-ms"
_RETRY_INFO = "google.rpc.retryinfo-bin"
_STATUS = "grpc-status-details-bin"
_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5


def grpc_wait(exc: BaseException) -> float | None:
    """Seconds that the exception's details or trailing metadata ask for; None where none do."""
    wait = _in_details(exc)
    return _in_metadata(exc) if wait is None else wait


def _in_details(exc: BaseException) -> float | None:
    details = read(exc, "details")
    for each in details if isinstance(details, list | tuple) else ():
        wait = _seconds_of(read(each, "retry_delay"))
        if wait is not None:
            return wait
    return None


def _seconds_of(delay: Any) -> float | None:
    """A Duration message, or the timedelta that some clients make of it."""
    if isinstance(delay, timedelta):
        return delay.total_seconds()
    seconds, nanos = read(delay, "seconds"), read(delay, "nanos")
    if isinstance(seconds, int) and isinstance(nanos, int):
        return seconds + nanos / 1e9
    return None


def _in_metadata(exc: BaseException) -> float | None:
    trailing = read(exc, "trailing_metadata")
    for key, value in (trailing() or ()) if callable(trailing) else ():
        wait = None
        if key == _PUSHBACK:
            wait = float(value) / 1000
        elif key == _RETRY_INFO:
            wait = _retry_info(bytes(value))
        elif key == _STATUS:
            wait = _status(bytes(value))
        if wait is not None:
            return wait
    return None


def _status(message: bytes) -> float | None:
    for number, detail in _fields(message):
        if number == 3 and isinstance(detail, bytes):
            parts = dict(_fields(detail))
            kind, value = parts.get(1), parts.get(2)
            is_retry_info = isinstance(kind, bytes) and kind.endswith(b"google.rpc.RetryInfo")
            if is_retry_info and isinstance(value, bytes):
                return _retry_info(value)
    return None


def _retry_info(message: bytes) -> float | None:
    delay = dict(_fields(message)).get(1)
    if not isinstance(delay, bytes):
        return None
    parts = dict(_fields(delay))
    seconds, nanos = parts.get(1, 0), parts.get(2, 0)
    if isinstance(seconds, int) and isinstance(nanos, int):
        return seconds + nanos / 1e9
    return None


def _fields(message: bytes) -> Iterator[tuple[int, int | bytes]]:
    """Each field's number and value; ends where the bytes are no message."""
    at = 0
    while at < len(message):
        key, at = _varint(message, at)
        kind = key & 7
        if kind == _VARINT:
            value, at = _varint(message, at)
            yield key >> 3, value
        elif kind == _BYTES:
            length, at = _varint(message, at)
            yield key >> 3, message[at : at + length]
            at += length
        elif kind in (_FIXED64, _FIXED32):
            at += 8 if kind == _FIXED64 else 4
        else:
            return


def _varint(message: bytes, at: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        byte = message[at]  # too short: an IndexError, and no wait is known
        value |= (byte & 0x7F) << shift
        at, shift = at + 1, shift + 7
        if byte < 0x80:
            return value, at
