"""Pages from templates: what a view gives, and how its values are written."""

import functools
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import urlencode

from jinja2 import Environment, PackageLoader, StrictUndefined

from seawall.clock import utc_now


@dataclass(frozen=True, slots=True, kw_only=True)
class View:
    """A page to be shown.

    Attributes:
        template: the file.
        title: of the page.
        topics: what it is about: it is shown anew when something of these has changed.
        values: for the template.
    """

    template: str
    title: str
    topics: tuple[str, ...] = ()
    values: Mapping[str, Any] = field(default_factory=dict)


@functools.cache
def templates() -> Environment:
    """The templates; everything that they print is escaped."""
    environment = Environment(
        loader=PackageLoader("seawall.dashboard"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {
        "number": number,
        "seconds": seconds,
        "ago": ago,
        "moment": moment,
        "percent": percent,
        "dash": dash,
    }
    environment.globals["query"] = query
    return environment


def query(path: str, **values: Any) -> str:
    """A path with those of the values that are set."""
    asked = urlencode({name: value for name, value in values.items() if value not in (None, "")})
    return f"{path}?{asked}" if asked else path


def number(value: float | None) -> str:
    """With separators; a dash for None."""
    if value is None:
        return "–"
    if isinstance(value, int) or value == int(value):
        return f"{int(value):,}"
    return f"{value:,.3g}" if abs(value) < 10 else f"{value:,.1f}"


def percent(share: float | None) -> str:
    """A share as percent."""
    if share is None:
        return "–"
    return f"{100 * share:.3g} %" if abs(share) < 1 else f"{100 * share:,.0f} %"


def seconds(value: float | None) -> str:
    """A span for people."""
    if value is None:
        return "–"
    if value < 1:
        return f"{value * 1000:.0f} ms"
    for length, name in ((86_400, "d"), (3_600, "h"), (60, "min")):
        if value >= 2 * length:
            return (
                f"{value / length:.0f} {name}"
                if value >= 10 * length
                else (f"{value / length:.1f} {name}")
            )
    return f"{value:.1f} s" if value < 10 else f"{value:.0f} s"


def moment(value: datetime | None) -> str:
    """A time in UTC."""
    return "–" if value is None else f"{value.astimezone(UTC):%Y-%m-%d %H:%M:%S}"


def ago(value: datetime | None) -> str:
    """How long before now, or after."""
    if value is None:
        return "–"
    past = utc_now() - value
    if past < timedelta(0):
        return f"in {seconds(-past.total_seconds())}"
    return f"{seconds(past.total_seconds())} ago"


def dash(value: object) -> object:
    """A dash for what is not there."""
    return "–" if value is None or value == "" else value
