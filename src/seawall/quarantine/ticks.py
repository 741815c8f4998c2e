"""Moments as DataFrames hold them (a count of units since 1970) and as Python does."""

from datetime import UTC, date, datetime, timedelta, timezone, tzinfo
from zoneinfo import ZoneInfo

PER_SECOND = {"s": 1, "ms": 1_000, "us": 1_000_000, "ns": 1_000_000_000}

_MICROSECOND = timedelta(microseconds=1)
_EPOCH, _EPOCH_UTC = datetime(1970, 1, 1), datetime(1970, 1, 1, tzinfo=UTC)  # noqa: DTZ001
_FIRST_DAY = date(1970, 1, 1).toordinal()


def moment(count: int, unit: str, zone: tzinfo | None) -> datetime | int:
    """The datetime, or the count where no datetime says the same.

    In a zone of a kind that the codec doesn't know, the moment is told in UTC.
    """
    micros, rest = divmod(count * 1_000_000, PER_SECOND[unit])
    if rest:
        return count
    try:
        if zone is None:
            return _EPOCH + timedelta(microseconds=micros)
        told = zone if type(zone) is timezone or _has_key(zone) else UTC
        return (_EPOCH_UTC + timedelta(microseconds=micros)).astimezone(told)
    except OverflowError:
        return count


def count_of(value: datetime | int, unit: str) -> int:
    """The count that ``moment`` was given."""
    if isinstance(value, int):
        return value
    epoch = _EPOCH if value.tzinfo is None else _EPOCH_UTC
    return (value - epoch) // _MICROSECOND * PER_SECOND[unit] // 1_000_000


def span(count: int, unit: str) -> timedelta | int:
    """The timedelta, or the count where no timedelta says the same."""
    micros, rest = divmod(count * 1_000_000, PER_SECOND[unit])
    try:
        return count if rest else timedelta(microseconds=micros)
    except OverflowError:
        return count


def span_count(value: timedelta | int, unit: str) -> int:
    """The count that ``span`` was given."""
    if isinstance(value, int):
        return value
    return value // _MICROSECOND * PER_SECOND[unit] // 1_000_000


def day(count: int) -> date | int:
    """The date, or the days since 1970 beyond the years 1 to 9999."""
    try:
        return date.fromordinal(count + _FIRST_DAY)
    except (ValueError, OverflowError):
        return count


def day_count(value: date | int) -> int:
    """The count that ``day`` was given."""
    return value if isinstance(value, int) else value.toordinal() - _FIRST_DAY


def _has_key(zone: tzinfo) -> bool:
    return type(zone) is ZoneInfo and zone.key is not None
