"""The patterns of several workers' ledgers together."""

from collections.abc import Iterable
from datetime import UTC, datetime
from itertools import chain

from seawall.patterns.grouping import Shape
from seawall.patterns.ledger import Ledger, Tally
from seawall.patterns.pattern import ErrorPattern
from seawall.patterns.reading import render
from seawall.patterns.values import top_of


def patterns_of(ledgers: Iterable[Ledger]) -> list[ErrorPattern]:
    """All patterns, the most frequent first."""
    tallies: dict[Shape, list[Tally]] = {}
    for tally in chain.from_iterable(ledger.tallies.values() for ledger in ledgers):
        tallies.setdefault(tally.shape.root(), []).append(tally)
    found = [_pattern(root, counted) for root, counted in tallies.items()]
    return sorted(found, key=lambda pattern: (-pattern.frequency, pattern.pattern_id))


def _pattern(root: Shape, tallies: list[Tally]) -> ErrorPattern:
    template = root.template
    times = [at for tally in tallies for at in (tally.first, tally.last) if at is not None]
    spaced = min((tally.spaced for tally in tallies if tally.spaced is not None), default=0)
    places = zip(*(tally.values_for(template) for tally in tallies), strict=True)
    return ErrorPattern(
        pattern_id=root.pattern_id,
        error_message_pattern=render(template, spaced),
        frequency=sum(tally.count for tally in tallies),
        error_type=root.error_type,
        first_seen=_moment(min(times, default=None)),
        last_seen=_moment(max(times, default=None)),
        values=tuple(top_of(place) for place in places),
    )


def _moment(seconds: float | None) -> datetime | None:
    return None if seconds is None else datetime.fromtimestamp(seconds, UTC)
