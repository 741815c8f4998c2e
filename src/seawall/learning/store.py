"""Where outcomes are kept."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from seawall.classification import Fingerprint, Outcome


@dataclass(frozen=True, slots=True)
class Delta:
    """What one worker adds to the counts of one failure.

    Attributes:
        operation: what failed.
        fingerprint: how.
        recovered: calls that then succeeded on a retry.
        lasting: calls that failed so through all their retries.
    """

    operation: str
    fingerprint: Fingerprint
    recovered: int
    lasting: int


class OutcomeStore(Protocol):
    """Counts that every worker adds to."""

    async def add(self, deltas: Sequence[Delta]) -> None:
        """Add counts to those of today, in one transaction."""
        ...

    async def load(self) -> list[Outcome]:
        """The sums of the days that still count."""
        ...

    async def forget(self, operation: str | None, fingerprint: str | None) -> int:
        """Delete the counts of an operation, of a failure, or all; how many rows there were."""
        ...
