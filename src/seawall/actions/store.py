"""Where actions and what came of them are kept."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Protocol
from uuid import UUID

from seawall.classification import ErrorType

ALL = "<all>"  # stands for every pipeline


@dataclass(frozen=True, slots=True)
class Delta:
    """What one worker adds to the counts of an action.

    ``attempts`` is how many the call took, at most ``MOST_ATTEMPTS``; 1 for what isn't retried.
    """

    pipeline_id: str
    operation: str
    pattern_id: str
    error_type: str
    action: str
    attempts: int
    succeeded: int
    failed: int


MOST_ATTEMPTS = 10


@dataclass(frozen=True, slots=True, kw_only=True)
class Taken:
    """A row of ``recovery_actions``: an action that is rare enough to be kept by itself.

    Attributes:
        action_id: its key, a UUIDv7.
        pipeline_id: what it was done for, likewise ``run_id``, ``operation``, ``pattern_id``,
            ``error_type``.
        action: what was done.
        outcome: ``succeeded``, ``failed``, or None while nobody knows.
        automatic: seawall did it by itself.
        actor: who did it, where it was a person or a program of the user's.
        summary: what and why, in a sentence.
        details: what else is known, by name.
        taken_at: when, by the store's clock; None before it is written.
        once: workers that tell of the same thing name it the same: it is kept once.
    """

    action_id: UUID
    action: str
    pipeline_id: str | None = None
    run_id: str | None = None
    operation: str | None = None
    pattern_id: str | None = None
    error_type: str | None = None
    outcome: str | None = None
    automatic: bool = False
    actor: str | None = None
    summary: str = ""
    details: Mapping[str, Any] = field(default_factory=dict)
    taken_at: datetime | None = None
    once: str | None = None


@dataclass(frozen=True, slots=True)
class RunOutcome:
    """A run that ended; the store knows whether it was one that had been resumed."""

    pipeline_id: str
    run_id: str
    succeeded: bool


@dataclass(frozen=True, slots=True)
class Counted:
    """Sums of an action: of a pattern (``by_pattern``), or of an error type in a pipeline."""

    action: str
    error_type: ErrorType
    by_pattern: bool
    attempts: int
    succeeded: int
    failed: int


@dataclass(frozen=True, slots=True)
class KnownPattern:
    """What recommendations need of an error pattern; ``exception_types`` are of its samples."""

    pattern_id: str
    error_type: ErrorType
    message: str
    exception_types: frozenset[str]
    sqlstates: frozenset[str]
    frequency: int


class ActionStore(Protocol):
    """Actions of the whole fleet; times are the store's own."""

    async def add(self, deltas: Sequence[Delta]) -> None:
        """Add counts to those of today, in one transaction."""
        ...

    async def write(self, taken: Sequence[Taken]) -> list[Taken]:
        """Write rows; those that are new."""
        ...

    async def settle(self, action: str, operation: str, outcome: str) -> Taken | None:
        """Say how the last such action of an operation that nobody knows of came out."""
        ...

    async def finish(self, action_id: UUID, outcome: str) -> Taken | None:
        """The same of one action; None where there is none, or its outcome was known."""
        ...

    async def resumed(self, runs: Sequence[RunOutcome]) -> list[Taken]:
        """Rows to be written: of those runs that had failed before, what resuming gave."""
        ...

    async def claim(self, taken: Taken, cap: int, escalation: Taken) -> Taken | None:
        """Write an automatic action if the pipeline had fewer than ``cap`` in the last hour.

        Otherwise ``escalation`` is written, once an hour; what was written, None where nothing was.
        """
        ...

    async def counts(
        self,
        pipeline_id: str,
        error_types: Sequence[ErrorType],
        pattern_ids: Sequence[str],
        days: int,
    ) -> list[Counted]:
        """The sums of the last days: of the error types in a pipeline, and of the patterns."""
        ...

    async def patterns(
        self, pipeline_id: str, pattern_id: str | None, days: int, limit: int
    ) -> list[KnownPattern]:
        """One pattern, or the pipeline's most frequent ones."""
        ...

    async def list(self, pipeline_id: str | None, days: int, limit: int) -> list[Taken]:
        """The last rows, the latest first."""
        ...

    async def prune(self) -> None:
        """Give up on outcomes that nobody will know, and delete what is old."""
        ...
