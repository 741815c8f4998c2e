"""An error pattern as it is shown."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date, datetime
from enum import StrEnum
from uuid import UUID

from seawall.classification import ErrorType

Values = tuple[tuple[str, int], ...]


class PatternStatus(StrEnum):
    """What people say of a pattern."""

    OPEN = "open"
    RESOLVED = "resolved"
    IGNORED = "ignored"


class Trend(StrEnum):
    """How a pattern's frequency develops."""

    NEW = "new"
    RISING = "rising"
    FALLING = "falling"
    STEADY = "steady"


@dataclass(frozen=True, slots=True, kw_only=True)
class ErrorPattern:
    """Messages that differ in their values only.

    A ``PatternMiner`` knows what stands first; the rest is of patterns kept by a manager's fleet.

    Attributes:
        pattern_id: from its content: the same on every worker and in every run.
        error_message_pattern: the message, ``<*>`` for what varies.
        frequency: how often it was seen, of a fleet's within the days asked for: exact.
        error_type: the recovery class of all its errors; None where none was given.
        first_seen: when its first error was; None where no time was given.
        last_seen: likewise, of the last.
        values: for each ``<*>`` in order, its commonest values and about how often (sampled).
        trend: how its frequency develops within the days asked for.
        recommended_action: what to do; None where nothing is known.
        status: open, resolved or ignored.
        status_reason: why, in the words of who made it so.
        regressed_at: when it last came back after it had been resolved.
        pipelines: where it was seen, and how often ever; ``<other>`` for what is not kept apart.
        steps: likewise.
        hosts: likewise.
        releases: likewise.
        daily: errors by day (UTC), of days that had any.
        sample_ids: some of its errors, by their key in ``error_details``, the latest last.
    """

    pattern_id: str
    error_message_pattern: str
    frequency: int
    error_type: ErrorType | None
    first_seen: datetime | None
    last_seen: datetime | None
    values: tuple[Values, ...]
    trend: Trend | None = None
    recommended_action: str | None = None
    status: PatternStatus = PatternStatus.OPEN
    status_reason: str | None = None
    regressed_at: datetime | None = None
    pipelines: Mapping[str, int] = field(default_factory=dict)
    steps: Mapping[str, int] = field(default_factory=dict)
    hosts: Mapping[str, int] = field(default_factory=dict)
    releases: Mapping[str, int] = field(default_factory=dict)
    daily: Mapping[date, int] = field(default_factory=dict)
    sample_ids: tuple[UUID, ...] = ()
