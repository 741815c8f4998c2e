"""Good and bad events, and how fast they use up a budget."""

from dataclasses import dataclass
from enum import StrEnum
from typing import Self


class Sli(StrEnum):
    """What is counted: the service level indicator.

    RUNS: runs by their final outcome. ROWS: rows loaded against rows set aside.
    """

    RUNS = "runs"
    ROWS = "rows"


@dataclass(frozen=True, slots=True)
class Counts:
    """Events of a span of time."""

    good: int = 0
    bad: int = 0

    @property
    def total(self) -> int:
        return self.good + self.bad

    @property
    def error_rate(self) -> float:
        """Share of bad events; 0 where there was none at all."""
        return self.bad / self.total if self.total else 0.0

    def burn_rate(self, objective: float) -> float:
        """How many times faster than sustainable the budget goes: 1 uses it up in its window."""
        return self.error_rate / (1 - objective)

    def allowed(self, objective: float) -> float:
        """Bad events that the objective has room for among so many."""
        return self.total * (1 - objective)

    def exceeds(self, objective: float) -> bool:
        """Whether there were more bad events than that; a billionth is rounding."""
        return self.bad > self.allowed(objective) * (1 + 1e-9)

    def __add__(self, other: Self) -> "Counts":
        return Counts(self.good + other.good, self.bad + other.bad)
