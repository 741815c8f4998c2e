"""When an alert begins and ends: one alert an outage."""

from collections.abc import Sequence
from dataclasses import dataclass

from seawall.budget.counts import Counts
from seawall.budget.rule import BurnRule, Severity


@dataclass(frozen=True, slots=True)
class Reading:
    """What a rule's two windows hold."""

    long: Counts
    short: Counts


@dataclass(frozen=True, slots=True)
class Verdict:
    """What readings mean.

    Attributes:
        severity: of the alert that should be firing; None for none.
        rule: the first rule of that severity that says so; None where it is over.
        reading: that rule's.
    """

    severity: Severity | None = None
    rule: BurnRule | None = None
    reading: Reading | None = None


def judge(
    firing: Severity | None,
    rules: Sequence[BurnRule],
    readings: Sequence[Reading],
    objective: float,
) -> Verdict:
    """Whether an alert should be firing, and of which severity.

    One that fires goes on while a rule of its severity finds its short window burning, and is
    raised from a ticket to a page where a page's rule fires; it never sinks. Once it is over, the
    windows begin there: what an outage burned is not told twice. (The caller sees to that.)

    Args:
        firing: severity of the alert that fires now.
        rules: of the objective.
        readings: one a rule.
        objective: what is aimed at.
    """
    pairs = list(zip(rules, readings, strict=True))
    for severity in (Severity.PAGE, Severity.TICKET):
        for rule, reading in pairs:
            if rule.severity is severity and (
                rule.goes_on(reading.short, objective)
                if firing is severity
                else rule.fires(reading.long, reading.short, objective)
            ):
                return Verdict(severity, rule, reading)
        if firing is severity:
            break  # over: a lesser rule's long window still holds what is over
    return Verdict()
