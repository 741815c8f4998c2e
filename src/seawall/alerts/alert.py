"""What is wrong, as receivers are told of it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from uuid import UUID


class Severity(StrEnum):
    """How bad it is."""

    INFO = "info"
    WARNING = "warning"
    CRITICAL = "critical"

    def reaches(self, least: "Severity") -> bool:
        """Whether it is at least as bad as ``least``."""
        order = list(Severity)
        return order.index(self) >= order.index(least)


@dataclass(frozen=True, slots=True, kw_only=True)
class Signal:
    """What a rule makes of an event: something is wrong, or well again.

    Attributes:
        key: the same for the same thing on every worker.
        rule: the rule's name.
        firing: False is the all-clear.
        severity: how bad it is.
        title: one line; of an all-clear it may be empty.
        message: what happened and what to do.
        pipeline_id: the pipeline that it is about.
        labels: what silences match.
        sequence: the cause's own order; an older signal of the same key changes nothing. 0: none.
        quiet_seconds: no all-clear will come: it counts as over when it wasn't seen for so long.
    """

    key: str
    rule: str
    firing: bool = True
    severity: Severity = Severity.WARNING
    title: str = ""
    message: str = ""
    pipeline_id: str | None = None
    labels: Mapping[str, str] = field(default_factory=dict)
    sequence: int = 0
    quiet_seconds: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Alert:
    """Something that is or was wrong; times are the database's.

    Attributes:
        key: the same for the same thing on every worker.
        rule: the rule that found it.
        severity: how bad it is.
        title: one line.
        message: what happened and what to do.
        pipeline_id: the pipeline that it is about, where there is one.
        labels: what silences match.
        state: ``firing``, ``resolving`` (well again, not for long enough to say so), ``resolved``.
        episode: which time it fires.
        count: how often it was seen in this episode.
        fired_at: begin of the episode.
        last_at: when it was seen last.
        resolved_at: end of the episode; None while it lasts.
    """

    key: str
    rule: str
    severity: Severity
    title: str
    message: str
    pipeline_id: str | None
    labels: Mapping[str, str]
    state: str
    episode: int
    count: int
    fired_at: datetime
    last_at: datetime
    resolved_at: datetime | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Told:
    """One alert within a notification.

    Attributes:
        notification_id: the same at each attempt to deliver it.
        kind: ``firing``, ``repeated`` or ``resolved``.
        attempts: deliveries begun, this one included.
    """

    notification_id: UUID
    kind: str
    attempts: int
    alert: Alert


@dataclass(frozen=True, slots=True, kw_only=True)
class Notification:
    """What a receiver is given at once: alerts of one rule and pipeline, of one kind.

    Attributes:
        told: at least one.
    """

    told: Sequence[Told]

    @property
    def kind(self) -> str:
        return self.told[0].kind

    @property
    def severity(self) -> Severity:
        """The worst of its alerts'."""
        return max((each.alert.severity for each in self.told), key=list(Severity).index)

    @property
    def dedup_key(self) -> str:
        """The same at each attempt: what a receiver may recognise a repeated delivery by."""
        return str(min(each.notification_id for each in self.told))

    @property
    def title(self) -> str:
        first = self.told[0].alert
        what = first.title if len(self.told) == 1 else f"{len(self.told)} alerts: {first.rule}"
        return f"Resolved: {what}" if self.kind == "resolved" else what

    @property
    def text(self) -> str:
        """All of it for people."""
        parts = []
        for each in self.told:
            alert = each.alert
            head = [alert.title] if len(self.told) > 1 else []
            where = [f"pipeline {alert.pipeline_id}"] if alert.pipeline_id else []
            seen = f"since {alert.fired_at:%Y-%m-%d %H:%M:%S} UTC, seen {alert.count} times"
            parts.append("\n".join([*head, alert.message, *where, seen]))
        return "\n\n".join(parts)


@dataclass(frozen=True, slots=True, kw_only=True)
class Silence:
    """Nobody is told of the alerts that have these labels.

    Attributes:
        silence_id: its key.
        matchers: labels, all of which an alert must have; none: every alert.
        starts_at: since when.
        ends_at: until when.
        actor: who wanted it.
        reason: why.
    """

    silence_id: UUID
    matchers: Mapping[str, str]
    starts_at: datetime
    ends_at: datetime
    actor: str
    reason: str
