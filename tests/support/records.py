"""Any record that the codec takes, and equality that sees what ``==`` doesn't."""

import enum
import math
import typing
from dataclasses import dataclass
from datetime import UTC, datetime, time, timedelta, timezone
from decimal import Decimal
from zoneinfo import ZoneInfo

from hypothesis import strategies as st

from seawall.quarantine.codec import register


@register
@dataclass(frozen=True, slots=True)
class Point:
    x: object
    y: object = None


@register
class Flight(typing.NamedTuple):
    origin: str
    dest: object


@register
class Color(enum.Enum):
    RED = 1
    DARK_RED = (1, "dark")


def same(one, other):
    """Equality that sees types, NaN, the sign of zero, folds and zones."""
    if type(one) is not type(other):
        return False
    if isinstance(one, float):
        return math.copysign(1, one) == math.copysign(1, other) and (one == other or one != one)
    if isinstance(one, Decimal):
        return str(one) == str(other)
    if isinstance(one, datetime | time):
        return (
            one.isoformat() == other.isoformat()
            and one.fold == other.fold
            and same_zone(one.tzinfo, other.tzinfo)
        )
    if isinstance(one, Point):
        return same(one.x, other.x) and same(one.y, other.y)
    if isinstance(one, dict):
        return len(one) == len(other) and all(
            same(key, twin) and same(one[key], other[twin])
            for key, twin in zip(one, other, strict=True)
        )
    if isinstance(one, list | tuple):
        return len(one) == len(other) and all(map(same, one, other))
    if isinstance(one, set | frozenset):
        return len(one) == len(other) and all(any(same(a, b) for b in other) for a in one)
    return one == other


def same_zone(one, other):
    return one is other or one == other


ZONES = st.one_of(
    st.none(),
    st.just(UTC),
    st.sampled_from(["Europe/Berlin", "America/New_York", "Asia/Kathmandu"]).map(ZoneInfo),
    st.timedeltas(timedelta(hours=-23), timedelta(hours=23)).map(timezone),
)
TEXT = st.text(st.characters(exclude_categories=()), max_size=12)
TAG_LIKE = st.sampled_from(
    ["$tuple", "$", "$dict", "$format", "__type__", "\\u0000", "\\0", "\\", ""]
)
SCALARS = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.integers(min_value=-(2**300), max_value=2**300),
    st.floats(),
    TEXT,
    TAG_LIKE,
    st.binary(max_size=20),
    st.decimals(),
    st.sampled_from(["-0", "sNaN12", "-Infinity", "1E+400", "0.00"]).map(Decimal),
    st.datetimes(timezones=ZONES),
    st.datetimes(timezones=ZONES).map(lambda moment: moment.replace(fold=1)),
    st.dates(),
    st.times(timezones=ZONES),
    st.timedeltas(),
    st.uuids(),
    st.sampled_from(Color),
)
HASHABLE = SCALARS.filter(lambda value: not (isinstance(value, Decimal) and value.is_snan()))
RECORDS = st.recursive(
    SCALARS | st.binary(max_size=5).map(bytearray),
    lambda inner: st.one_of(
        st.lists(inner, max_size=4),
        st.lists(inner, max_size=4).map(tuple),
        st.dictionaries(TEXT | TAG_LIKE, inner, max_size=4),
        st.dictionaries(HASHABLE, inner, max_size=4),
        st.sets(HASHABLE, max_size=3),
        st.frozensets(HASHABLE, max_size=3),
        st.builds(Point, inner, inner),
        st.builds(Flight, TEXT, inner),
    ),
    max_leaves=12,
)


def nested(depth, wrap, record=1):
    for _ in range(depth):
        record = wrap(record)
    return record


WRAPS = {
    "list": lambda inner: [inner],
    "tuple": lambda inner: (inner,),
    "odd key": lambda inner: {1: inner},
    "wide": lambda inner: {"before": [1], "in": inner, "after": (2.5, {"x"})},
    "dataclass": lambda inner: Point(inner),
    "frozenset": lambda inner: frozenset([inner]),
}
