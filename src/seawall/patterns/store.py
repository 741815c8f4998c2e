"""Where the fleet's patterns are kept."""

from collections.abc import Collection, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from typing import Protocol

from seawall.patterns.known import KnownShape
from seawall.patterns.pattern import PatternStatus
from seawall.patterns.row import PatternRow


@dataclass(frozen=True, slots=True)
class Sighting:
    """What is to be told of a pattern: ``kind`` is ``new`` or ``regression``."""

    kind: str
    pattern_id: str
    error_message_pattern: str
    error_type: str
    frequency: int
    pipeline_id: str


@dataclass(slots=True)
class Flush:
    """What one worker writes, all or nothing.

    Attributes:
        rows: patterns as they are from now on.
        folded: patterns that are another now: its id by theirs.
        shapes: those that the fleet doesn't know yet.
        counts: errors to add, by pipeline, start of six hours, and pattern.
        sightings: what is to be told.
    """

    rows: list[PatternRow] = field(default_factory=list)
    folded: dict[str, str] = field(default_factory=dict)
    shapes: list[KnownShape] = field(default_factory=list)
    counts: dict[tuple[str, int, str], int] = field(default_factory=dict)
    sightings: list[Sighting] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Beginning:
    """What a flush finds.

    Attributes:
        now: the store's clock, seconds since the epoch.
        last_flush: number of the worker's last flush that was written; 0 for none.
        told: what that flush told.
        shape_count: shapes that are kept.
    """

    now: float
    last_flush: int
    told: Sequence[Sighting]
    shape_count: int


class PatternSession(Protocol):
    """One flush: a transaction, in which no other worker writes patterns."""

    async def begin(self, worker: str) -> Beginning:
        """Where things stand."""
        ...

    async def shapes(self, after: int) -> tuple[Sequence[KnownShape], int]:
        """Shapes that changed after that number, some at a time, and the number of the last."""
        ...

    async def rows(self, pattern_ids: Collection[str]) -> dict[str, PatternRow]:
        """The patterns that are kept under these ids."""
        ...

    async def write(self, worker: str, number: int, flush: Flush) -> None:
        """Write the worker's flush of this number."""
        ...


class PatternStore(Protocol):
    """The fleet's patterns."""

    def session(self) -> AbstractAsyncContextManager[PatternSession]:
        """A transaction: committed at the end of the block, undone by an exception."""
        ...

    async def shapes(self, after: int) -> tuple[Sequence[KnownShape], int]:
        """As of a session, while others may write: the way to most of them."""
        ...

    async def list(
        self,
        pipeline_id: str | None,
        days: int,
        *,
        status: PatternStatus | None,
        limit: int,
    ) -> tuple[float, Sequence[tuple[PatternRow, Mapping[int, int]]]]:
        """The most frequent patterns with their counts by six hours, and the store's time."""
        ...

    async def one(
        self, pattern_id: str, days: int
    ) -> tuple[float, PatternRow, Mapping[int, int]] | None:
        """One pattern, also by an id that it had before, with the clock and its counts."""
        ...

    async def change_status(
        self, pattern_id: str, status: PatternStatus, *, actor: str, reason: str
    ) -> str | None:
        """Set it and write it down; the pattern's id of now, None where there is none."""
        ...

    async def prune(self, most_shapes: int) -> None:
        """Delete what is old, and the patterns least lately seen where there are too many."""
        ...
