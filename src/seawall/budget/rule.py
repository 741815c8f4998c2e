"""Burn-rate rules: which failures, over which windows, are worth an alert.

The multi-window multi-burn-rate rules are those of the Google SRE workbook ("Alerting on SLOs");
the guards for low volumes are ours: there, one failure is a burn rate of hundreds.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, fields, replace
from enum import StrEnum

from seawall.budget.counts import Counts
from seawall.config import Range
from seawall.errors import InvalidConfigError
from seawall.statistics import binomial_at_least

# Below, a long window tells nothing: fewer failures, or a chance above this one (a month has
# thousands of windows) that as many come in it where the objective is just met.
MIN_FAILURES = 3
SIGNIFICANCE = 0.001
# So many events a short window holds at least: it reaches back until it does.
SHORT_EVENTS = 20

# What a default rule asks for at the most, where the objective leaves no room for its burn rate.
_HIGHEST_RATE = 0.8

_POSITIVE = Range(float, low_open=True)


class Severity(StrEnum):
    """What a rule is worth. PAGE: somebody now. TICKET: somebody in the next days."""

    PAGE = "page"
    TICKET = "ticket"


@dataclass(frozen=True, slots=True, kw_only=True)
class BurnRule:
    """Fires where both windows burn faster than ``burn_rate``; the short one makes it reset soon.

    Attributes:
        burn_rate: times the rate that the objective allows.
        long_seconds: the window that shows that it is not a hiccup.
        short_seconds: the window that shows that it still goes on; it reaches further back where
            it would hold less than 20 events.
        severity: what it is worth.

    Raises:
        InvalidConfigError: a value is out of range.
    """

    burn_rate: float
    long_seconds: float
    short_seconds: float
    severity: Severity = Severity.PAGE

    def __post_init__(self) -> None:
        for name in ("burn_rate", "long_seconds", "short_seconds"):
            _POSITIVE.check(name, getattr(self, name))
        if self.short_seconds >= self.long_seconds:
            raise InvalidConfigError(
                f"short_seconds={self.short_seconds!r}: must be below "
                f"long_seconds={self.long_seconds!r}"
            )
        try:
            object.__setattr__(self, "severity", Severity(self.severity))
        except ValueError:
            raise InvalidConfigError(
                f"severity={self.severity!r}: must be one of {', '.join(Severity)}"
            ) from None

    @property
    def name(self) -> str:
        """As ``14.4x 1h/5m``."""
        windows = f"{span(self.long_seconds)}/{span(self.short_seconds)}"
        return f"{self.burn_rate:g}x {windows}"

    def check_objective(self, objective: float) -> None:
        """Refuse an objective that leaves no room for the burn rate.

        Raises:
            InvalidConfigError: not even a rate of 100 % failures would reach it.
        """
        if self.burn_rate * (1 - objective) > 1:
            raise InvalidConfigError(
                f"burn_rate={self.burn_rate!r}: can't fire for objective={objective!r}: it would "
                f"need {self.burn_rate * (1 - objective):.0%} failures; must be at most "
                f"{1 / (1 - objective):g}"
            )

    def fires(self, long: Counts, short: Counts, objective: float) -> bool:
        """Whether this is an outage, and no accident of small numbers."""
        return (
            long.bad >= MIN_FAILURES
            and long.burn_rate(objective) >= self.burn_rate
            and short.burn_rate(objective) >= self.burn_rate
            and binomial_at_least(long.bad, long.total, 1 - objective) <= SIGNIFICANCE
        )

    def goes_on(self, short: Counts, objective: float) -> bool:
        """Whether what has fired isn't over: half its rate is the rest of it, not the end."""
        return short.burn_rate(objective) >= self.burn_rate / 2


DEFAULT_RULES = (
    BurnRule(burn_rate=14.4, long_seconds=1800, short_seconds=300),
    BurnRule(burn_rate=14.4, long_seconds=3600, short_seconds=300),
    BurnRule(burn_rate=6, long_seconds=21_600, short_seconds=1800),
    BurnRule(
        burn_rate=1, long_seconds=259_200, short_seconds=21_600, severity=Severity.TICKET
    ),
)  # fmt: skip


def rules_of(given: Iterable[object]) -> tuple[BurnRule, ...]:
    """Rules from plain values.

    Raises:
        InvalidConfigError: a key is unknown, or a value out of range.
    """
    known = {each.name for each in fields(BurnRule)}
    needed = known - {"severity"}
    rules: list[BurnRule] = []
    for each in given:
        if isinstance(each, BurnRule):
            rules.append(each)
            continue
        if not isinstance(each, Mapping) or not needed <= set(each) <= known:
            raise InvalidConfigError(
                f"budget_rules: {each!r}: must be a mapping of {', '.join(sorted(needed))}, and "
                "severity"
            )
        rules.append(BurnRule(**each))
    return tuple(rules)


def default_rules(objective: float) -> tuple[BurnRule, ...]:
    """The default rules; one that can't fire for ``objective`` asks for 80 % of failures."""
    highest = _HIGHEST_RATE / (1 - objective)
    return tuple(replace(rule, burn_rate=min(rule.burn_rate, highest)) for rule in DEFAULT_RULES)


def span(seconds: float) -> str:
    """Seconds as a person writes them: ``5m``, ``6h``, ``3d``."""
    for unit, size in (("d", 86_400), ("h", 3600), ("m", 60)):
        if seconds >= size and seconds % size == 0:
            return f"{seconds / size:g}{unit}"
    return f"{seconds:g}s"
