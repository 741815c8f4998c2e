"""An analysis in a few plain sentences."""

import math
from collections.abc import Iterator
from datetime import UTC, datetime

from seawall.analysis.model import Basis, Cause, FailureAnalysis, Outlook

_WEEKDAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")
_MOST_CAUSES = 5
_UNITS = {"work": "batches and steps", "runs": "runs"}


def summary_of(found: FailureAnalysis) -> str:
    """What failed, since when, where, why, and what runs out."""
    return " ".join(_sentences(found))


def _sentences(found: FailureAnalysis) -> Iterator[str]:
    rate = found.failures
    if not rate.total:
        yield f"Nothing of {found.pipeline_id} ended in the last {found.days} days."
    else:
        yield (
            f"In the last {found.days} days {rate.failures:,} of {rate.total:,} "
            f"{_UNITS[found.unit]} of {found.pipeline_id} failed: {percent(rate.rate)} "
            f"({percent(rate.interval.low)} to {percent(rate.interval.high)})."
        )
    yield from _changes(found)
    if found.is_sudden:
        yield f"Since about {moment(found.causes_since)} a part of it fails as it never did."
    for cause in found.causes[:_MOST_CAUSES]:
        yield _cause(cause)
    if found.error_types:
        yield _errors(found)
    if found.trend is not None and found.trend.is_certain and not found.changes:
        way = "grows" if found.trend.slope > 0 else "falls"
        yield f"It {way} slowly, by {percent(abs(found.trend.slope))} a day."
    if found.reliability.down_since is not None:
        yield f"No run has succeeded since one failed at {moment(found.reliability.down_since)}."
    for look in found.outlook:
        yield _outlook(look, found.analyzed_at)


def _changes(found: FailureAnalysis) -> Iterator[str]:
    last = found.last_change
    if last is None:
        if found.failures.failures:
            yield "The rate has not changed in that time."
        return
    verb = "rose" if last.direction == "rise" else "fell"
    yield (
        f"The rate {verb} from {percent(last.before.rate)} to {percent(last.after.rate)} at "
        f"{moment(last.began_at)}."
    )
    if verb == "fell" and found.causes_until < found.analyzed_at:
        yield f"It had been raised since {moment(found.causes_since)}."


def _cause(cause: Cause) -> str:
    rate, certain = cause.rate, f"certainty {_certainty(cause.certainty)}"
    times = "as nothing else does" if math.isinf(cause.lift) else f"{_times(cause.lift)} as often"
    of = f"{rate.failures:,} of {rate.total:,}"
    if cause.basis is Basis.CONTRAST:
        with_other = "" if math.isinf(cause.lift) else " as without"
        return f"{_capital(_named(cause))} fails {times}{with_other}: {of} ({certain})."
    if cause.basis is Basis.ERRORS:
        more = "new since then" if math.isinf(cause.lift) else f"{times} as before"
        return f"Failures of {_named(cause)} are {more}: {rate.failures:,} ({certain})."
    if cause.basis is Basis.SUDDEN:
        than = "" if math.isinf(cause.lift) else f", {_times(cause.lift)} as often as before"
        return f"{_capital(_named(cause))} fails now: {of}{than} ({certain})."
    if cause.basis is Basis.APPEARED:
        return f"{_capital(_named(cause))} first worked at about that time."
    return f"Failures keep to {_when(cause)}: {of}, {times} as otherwise ({certain})."


def _times(lift: float) -> str:
    return f"{lift:.0f} times" if lift >= 10 else f"{lift:.2g} times"


def _named(cause: Cause) -> str:
    if " × " in cause.dimension:
        names = zip(cause.dimension.split(" × "), cause.value.split(" × "), strict=False)
        return " with ".join(f"{dimension} {value}" for dimension, value in names)
    kind = {"error_type": "type", "exception": "exception"}.get(cause.dimension, cause.dimension)
    return f"{kind} {cause.value}"


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]


def _when(cause: Cause) -> str:
    if cause.dimension == "hour":
        return f"the hour from {int(cause.value):02}:00 UTC"
    return f"{_WEEKDAYS[int(cause.value)]}s"


def _errors(found: FailureAnalysis) -> str:
    most = {each.dimension: each for each in reversed(found.error_types)}
    names = " and ".join(
        f"{most[dimension].value} ({percent(most[dimension].share)})"
        for dimension in ("error_type", "exception")
        if dimension in most
    )
    return f"Most of these failures are {names}."


def _outlook(look: Outlook, now: datetime) -> str:
    latest = "perhaps never" if look.latest is None else moment(look.latest)
    if look.ends_at <= now:
        return f"{_capital(look.resource)} has run out."
    return (
        f"{_capital(look.resource)} runs out at about {moment(look.ends_at)} "
        f"({moment(look.earliest)} to {latest}) at the present pace."
    )


def _certainty(share: float) -> str:
    return "over 99.9 %" if share > 0.9995 else percent(share)


def percent(share: float) -> str:
    """A share as people read it: two or three digits."""
    value = share * 100
    return f"{value:.2g} %" if value < 10 else f"{value:.3g} %"


def moment(at: datetime) -> str:
    """A time to the minute, in UTC."""
    return f"{at.astimezone(UTC):%Y-%m-%d %H:%M} UTC"
