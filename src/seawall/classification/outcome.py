"""What retries have shown at this site, and when that is enough to say something.

An operation that failed, was retried and then succeeded has shown that its failure passes; one that
failed the same way through all its retries has shown the opposite. Counts are taken as a
beta-binomial with an even prior: nothing is said until a bound of 95 % is passed.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from seawall.classification.fingerprint import Fingerprint
from seawall.statistics import binomial_at_most

CERTAINTY = 0.95
# A failure passes where more than half of its retried calls succeed, and lasts where fewer than
# one in five do; between the two, retrying is neither vain nor sure.
PASSES_ABOVE = 0.5
LASTS_BELOW = 0.2
# One long outage makes a passing failure look lasting: it must be seen on several days.
FEWEST_DAYS = 2


class Verdict(StrEnum):
    """What outcomes say of a failure."""

    PASSES = "passes"
    LASTS = "lasts"


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What is known of one failure of one operation.

    Attributes:
        operation: its name.
        fingerprint: the failure.
        recovered: calls that failed so and then succeeded on a retry.
        lasting: calls that failed so through all their retries; at most one in ten minutes from
            each worker is counted.
        lasting_days: on how many days that was.
        first_seen: the first day of either, at its start; None where nothing is stored yet.
        last_seen: the moment of the last one.
    """

    operation: str
    fingerprint: Fingerprint
    recovered: int
    lasting: int
    lasting_days: int
    first_seen: datetime | None = None
    last_seen: datetime | None = None

    @property
    def verdict(self) -> Verdict | None:
        """What the counts say, or None where they aren't enough."""
        if chance_above(PASSES_ABOVE, self.recovered, self.lasting) >= CERTAINTY:
            return Verdict.PASSES
        below = 1 - chance_above(LASTS_BELOW, self.recovered, self.lasting)
        if below >= CERTAINTY and self.lasting_days >= FEWEST_DAYS:
            return Verdict.LASTS
        return None


class Outcomes:
    """The outcomes known to one classifier. For one event loop; reads may come from threads."""

    __slots__ = ("_found", "_verdicts")

    def __init__(self) -> None:
        self._found: dict[tuple[str, str], Outcome] = {}
        self._verdicts: dict[str, dict[str, Outcome]] = {}

    def put(self, outcomes: Iterable[Outcome]) -> None:
        """Replace what is known by ``outcomes``."""
        found = {(each.operation, each.fingerprint.key): each for each in outcomes}
        verdicts: dict[str, dict[str, Outcome]] = {}
        for (operation, key), each in found.items():
            if each.verdict is not None:
                verdicts.setdefault(operation, {})[key] = each
        self._found, self._verdicts = found, verdicts

    def speaks_of(self, operation: str) -> bool:
        """Whether anything is certain of an operation's failures; quick."""
        return operation in self._verdicts

    def verdict(self, operation: str, key: str) -> Outcome | None:
        """The outcome of that failure, where it is certain."""
        return self._verdicts.get(operation, {}).get(key)

    def known(self) -> list[Outcome]:
        """Everything that is known, the most frequent first."""
        return sorted(self._found.values(), key=lambda each: -(each.recovered + each.lasting))

    def clear(self) -> None:
        """Forget everything."""
        self.put(())


def chance_above(share: float, recovered: int, lasting: int) -> float:
    """How likely it is that more than ``share`` (0 to 1) of such calls recover, by the counts.

    The upper tail of Beta(1 + recovered, 1 + lasting), which is a lower tail of the binomial.
    """
    return binomial_at_most(recovered, recovered + lasting + 1, share)
