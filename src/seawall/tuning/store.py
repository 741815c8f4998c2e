"""Where timings of retries, and what was tuned by them, are kept."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from seawall.classification import ErrorType
from seawall.tuning.advice import Evidence
from seawall.tuning.model import Interval, Timing


@dataclass(frozen=True, slots=True)
class Key:
    """What is tuned: an operation's failures of a kind, in a pipeline."""

    pipeline_id: str
    operation: str
    error_type: ErrorType


@dataclass(frozen=True, slots=True)
class Delta:
    """Calls that recovered in an interval, retried under a revision of the numbers."""

    key: Key
    revision: int
    interval: Interval
    calls: int


@dataclass(frozen=True, slots=True)
class Tuned:
    """The numbers that hold for a key."""

    key: Key
    revision: int
    timing: Timing


@dataclass(frozen=True, slots=True)
class State:
    """All that is known of a key; ``timing`` None: as configured."""

    key: Key
    revision: int
    timing: Timing | None
    timing_before: Timing | None
    is_held: bool
    evidence: Evidence


@dataclass(frozen=True, slots=True, kw_only=True)
class TuningChange:
    """A change that auto-tuning made.

    Attributes:
        pipeline_id, operation, error_type: what for.
        revision: grows with each change of these.
        before, after: the numbers.
        reason: one sentence with the evidence.
        reverts: it took back a change that did harm.
        changed_at: when, by the database's clock.
    """

    pipeline_id: str
    operation: str
    error_type: ErrorType
    revision: int
    before: Timing
    after: Timing
    reason: str
    reverts: bool
    changed_at: datetime


class TuningStore(Protocol):
    """Timings of the whole fleet; times are the store's own."""

    async def add(self, deltas: Sequence[Delta]) -> None:
        """Add calls to those of today, and count their ten minutes."""
        ...

    async def tuned(self) -> Sequence[Tuned]:
        """The numbers that were changed."""
        ...

    async def states(self, pipeline_id: str | None) -> Sequence[State]:
        """What is known of the operations that were retried lately."""
        ...

    async def change(
        self, state: State, before: Timing, after: Timing, reason: str, *, reverts: bool
    ) -> bool:
        """Make a change, and write it down; False where another worker has made one."""
        ...

    async def changes(
        self, pipeline_id: str | None, days: int, limit: int
    ) -> Sequence[TuningChange]:
        """The last changes, the latest first."""
        ...

    async def forget(self, pipeline_id: str | None, operation: str | None) -> int:
        """Go back to the configured numbers, and forget what was counted; how many keys."""
        ...

    async def prune(self) -> None:
        """Delete what is old."""
        ...
