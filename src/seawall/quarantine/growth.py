"""Figures of how a quarantine grows."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class GrowthDay:
    """One day (UTC) and reason.

    Attributes:
        reason: why the records were set aside: its first 200 characters.
        set_aside: records set aside on that day.
        settled: records reprocessed, discarded, or deleted while open, on that day, whenever they
            were set aside; less those opened again.
    """

    day: date
    reason: str
    set_aside: int
    settled: int


@dataclass(frozen=True, slots=True, kw_only=True)
class QuarantineGrowth:
    """How a pipeline's quarantine has grown.

    Attributes:
        days: by day and reason, oldest first; days on which nothing happened are not there.
        backlog: open records now: pending and failed ones.
        backlog_by_reason: the same, counted by reason, most first.
        oldest_open: when the oldest open record was set aside; None where there is none.
        bytes: what the quarantine's tables and indexes take on disk, of all pipelines.
    """

    pipeline_id: str
    days: Sequence[GrowthDay]
    backlog: int
    backlog_by_reason: Mapping[str, int]
    oldest_open: datetime | None
    bytes: int
