"""Values without parts to and from JSON: plain where JSON has them, else ``{"$tag": text}``.

Tags: ``$float`` (nan, inf), ``$int`` (beyond 64 bits, hexadecimal), ``$str`` (with NUL or lone
surrogates, escaped), ``$bytes`` and ``$bytearray`` (base64), ``$decimal``, ``$datetime``,
``$date``, ``$time``, ``$timedelta`` (days, seconds, microseconds), ``$uuid``.
"""

import binascii
import math
import re
from collections.abc import Callable
from datetime import UTC, date, datetime, time, timedelta, timezone, tzinfo
from decimal import Decimal
from typing import Any
from uuid import UUID
from zoneinfo import ZoneInfo

from seawall.errors import CodecError

_UNSAFE = re.compile("[\x00\\\\\ud800-\udfff]")
_ESCAPE = re.compile(r"\\(?:0|\\|u(d[89a-f][0-9a-f]{2}))")
_NEEDS_ESCAPE = re.compile("[\x00\ud800-\udfff]")
_INT_BITS = 63
_ZERO, _MICROSECOND = timedelta(0), timedelta(microseconds=1)


def _from_str(value: str) -> Any:
    if _NEEDS_ESCAPE.search(value) is None:
        return value
    return {"$str": _UNSAFE.sub(_escaped, value)}


def _escaped(match: re.Match[str]) -> str:
    char = match[0]
    return {"\x00": r"\0", "\\": r"\\"}.get(char) or f"\\u{ord(char):04x}"


def _to_str(text: str) -> str:
    return _ESCAPE.sub(_unescaped, text)


def _unescaped(match: re.Match[str]) -> str:
    if match[1] is not None:
        return chr(int(match[1], 16))
    return "\x00" if match[0] == r"\0" else "\\"


def _from_int(value: int) -> Any:
    # JSON readers keep 64 bits; hexadecimal has no limit of digits in Python either.
    return value if value.bit_length() <= _INT_BITS else {"$int": hex(value)}


def _from_float(value: float) -> Any:
    if math.isfinite(value):
        return value
    # repr says nothing of a NaN's sign, which float() would read.
    return {"$float": "-nan" if math.isnan(value) and math.copysign(1, value) < 0 else repr(value)}


def _from_bytes(value: bytes) -> Any:
    return {"$bytes": binascii.b2a_base64(value, newline=False).decode("ascii")}


def _from_bytearray(value: bytearray) -> Any:
    return {"$bytearray": binascii.b2a_base64(value, newline=False).decode("ascii")}


def _from_decimal(value: Decimal) -> Any:
    return {"$decimal": str(value)}


def _from_datetime(value: datetime) -> Any:
    if (value.tzinfo is UTC or value.tzinfo is None) and not value.fold:
        return {"$datetime": value.isoformat()}
    return {"$datetime": _moment(value)}


def _from_time(value: time) -> Any:
    return {"$time": _moment(value)}


def _moment(value: datetime | time) -> Any:
    """ISO text where that says all, else [ISO text without zone, zone, fold].

    The zone is a key, a fixed offset in microseconds, or None.
    """
    zone = value.tzinfo
    kind = type(zone)
    if kind is ZoneInfo:
        key = zone.key  # type: ignore[union-attr]  # kind says so; isinstance is slower here
        if key is None:
            raise CodecError("its time zone was read from a file and has no key")
        return [value.replace(tzinfo=None).isoformat(), key, value.fold]
    if zone is not None and kind is not timezone:
        raise CodecError(
            f"its time zone is a {kind.__module__}.{kind.__qualname__};"
            " convert it to zoneinfo or to a fixed offset"
        )
    offset = None if zone is None or zone is UTC else zone.utcoffset(None)
    # Python drops an offset's fraction of a second when it reads it back.
    if value.fold or (offset is not None and offset.microseconds):
        micros = None if zone is None else (offset or _ZERO) // _MICROSECOND
        return [value.replace(tzinfo=None).isoformat(), micros, value.fold]
    return value.isoformat()


def _to_datetime(stored: Any) -> datetime:
    if isinstance(stored, str):
        return datetime.fromisoformat(stored)
    text, zone, fold = stored
    return datetime.fromisoformat(text).replace(fold=fold, tzinfo=_zone(zone))


def _to_time(stored: Any) -> time:
    if isinstance(stored, str):
        return time.fromisoformat(stored)
    text, zone, fold = stored
    return time.fromisoformat(text).replace(fold=fold, tzinfo=_zone(zone))


def _zone(stored: str | int | None) -> tzinfo | None:
    if stored is None:
        return None
    return ZoneInfo(stored) if isinstance(stored, str) else timezone(_MICROSECOND * stored)


def _from_date(value: date) -> Any:
    return {"$date": value.isoformat()}


def _from_timedelta(value: timedelta) -> Any:
    return {"$timedelta": [value.days, value.seconds, value.microseconds]}


def _from_uuid(value: UUID) -> Any:
    return {"$uuid": str(value)}


def _as_is(value: Any) -> Any:
    return value


# By exact type: a subclass (numpy.float64, an IntEnum) would not come back as what it was.
FROM_SCALAR: dict[type, Callable[[Any], Any]] = {
    type(None): _as_is,
    bool: _as_is,
    int: _from_int,
    float: _from_float,
    str: _from_str,
    bytes: _from_bytes,
    bytearray: _from_bytearray,
    Decimal: _from_decimal,
    datetime: _from_datetime,
    date: _from_date,
    time: _from_time,
    timedelta: _from_timedelta,
    UUID: _from_uuid,
}

TO_SCALAR: dict[str, Callable[[Any], Any]] = {
    "$int": lambda stored: int(stored, 16),
    "$float": float,
    "$str": _to_str,
    "$bytes": lambda stored: binascii.a2b_base64(stored, strict_mode=True),
    "$bytearray": lambda stored: bytearray(binascii.a2b_base64(stored, strict_mode=True)),
    "$decimal": Decimal,
    "$datetime": _to_datetime,
    "$date": date.fromisoformat,
    "$time": _to_time,
    "$timedelta": lambda stored: timedelta(*stored),
    "$uuid": UUID,
}
