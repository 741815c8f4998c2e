"""Quarantined records as values: which ones, and what is known of each."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass, fields, replace
from datetime import datetime
from enum import StrEnum
from typing import Any, TypedDict
from uuid import UUID

from seawall.config import Range
from seawall.errors import InvalidConfigError
from seawall.masking import Masker, default_masker
from seawall.quarantine.preview import preview


class RecordStatus(StrEnum):
    """What became of a record. PENDING and FAILED ones are open: they can be reprocessed."""

    PENDING = "pending"
    REPROCESSED = "reprocessed"
    FAILED = "failed"
    DISCARDED = "discarded"


OPEN = (RecordStatus.PENDING, RecordStatus.FAILED)
SETTLED = (RecordStatus.REPROCESSED, RecordStatus.DISCARDED)


class FilterOptions(TypedDict, total=False):
    """The fields of ``RecordFilter`` as keywords, but for the run and the set."""

    pipeline_id: str | None
    step: str | None
    partition: int | None
    reason: str | None
    reason_prefix: str | None
    reason_like: str | None
    error_type: str | None
    sqlstate: str | None
    constraint_name: str | None
    status: str | Collection[str] | None
    after: datetime | None
    before: datetime | None
    attempts_at_least: int | None
    attempts_below: int | None
    record_ids: Collection[UUID] | None


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordFilter:
    """Which quarantined records; what is None is not asked.

    Attributes:
        run_id: the run that met them.
        quarantine_id: the set that they were set aside in.
        pipeline_id: the run's pipeline.
        step: the step that met them.
        partition: the part of the step.
        reason: why, the whole text.
        reason_prefix: what the reason begins with.
        reason_like: a pattern of SQL's LIKE for it.
        error_type: the kind of failure.
        sqlstate: the server's code.
        constraint_name: the constraint that they broke.
        status: one or several of pending, reprocessed, failed, discarded.
        after: set aside at this moment or later; with its time zone.
        before: set aside before this moment.
        attempts_at_least: tried so often, or more.
        attempts_below: tried fewer times.
        record_ids: these records only.

    Raises:
        InvalidConfigError: a value can't match anything; the message says what would be right.
    """

    run_id: str | None = None
    quarantine_id: UUID | None = None
    pipeline_id: str | None = None
    step: str | None = None
    partition: int | None = None
    reason: str | None = None
    reason_prefix: str | None = None
    reason_like: str | None = None
    error_type: str | None = None
    sqlstate: str | None = None
    constraint_name: str | None = None
    status: str | Collection[str] | None = None
    after: datetime | None = None
    before: datetime | None = None
    attempts_at_least: int | None = None
    attempts_below: int | None = None
    record_ids: Collection[UUID] | None = None

    def __post_init__(self) -> None:
        if self.status is not None:
            object.__setattr__(self, "status", _statuses(self.status))
        if self.record_ids is not None:
            object.__setattr__(self, "record_ids", _ids(self.record_ids))
        for name in ("after", "before"):
            moment = getattr(self, name)
            if moment is not None and (
                not isinstance(moment, datetime) or moment.utcoffset() is None
            ):
                raise InvalidConfigError(f"{name}={moment!r}: must be a datetime with a time zone")
        like = self.reason_like or ""
        if (len(like) - len(like.rstrip("\\"))) % 2:
            raise InvalidConfigError(f"reason_like={like!r}: must not end with a bare backslash")
        for name in ("partition", "attempts_at_least", "attempts_below"):
            if getattr(self, name) is not None:
                Range(int).check(name, getattr(self, name))

    def asked(self) -> dict[str, Any]:
        """What is asked for, by name."""
        values = {each.name: getattr(self, each.name) for each in fields(self)}
        return {name: value for name, value in values.items() if value is not None}


def _statuses(given: str | Collection[str]) -> tuple[str, ...]:
    statuses = (given,) if isinstance(given, str) else tuple(given)
    for each in statuses:
        if each not in RecordStatus.__members__.values():
            known = ", ".join(RecordStatus)
            raise InvalidConfigError(f"status={each!r}: must be one or several of {known}")
    return tuple(str(each) for each in statuses)


def _ids(given: Collection[UUID]) -> tuple[UUID, ...]:
    ids = tuple(given)
    if not all(isinstance(each, UUID) for each in ids):
        raise InvalidConfigError(f"record_ids={given!r:.200}: must be UUIDs")
    return ids


@dataclass(frozen=True, slots=True, kw_only=True)
class PastAttempt:
    """What was tried with a record: ``reprocessed``, ``failed`` or ``discarded``, and by whom.

    Attributes:
        message: the error's message, secrets masked; of a discarded record, why.
    """

    outcome: str
    attempted_at: datetime
    actor: str | None = None
    error_type: str | None = None
    exception_type: str | None = None
    message: str | None = None
    sqlstate: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class PastEdit:
    """A payload before somebody changed it.

    Attributes:
        record: what it was; None where ``unreadable`` says why.
    """

    record: Any
    actor: str
    why: str
    edited_at: datetime
    unreadable: str | None = None

    def __repr__(self) -> str:
        shown = preview(default_masker.mask_value(self.record))
        return f"PastEdit(actor={self.actor!r}, edited_at={self.edited_at}, record={shown})"


@dataclass(frozen=True, slots=True, kw_only=True)
class QuarantinedRecord:
    """One record set aside, whole. Its ``repr`` shows the beginning, with secrets masked.

    Attributes:
        record_id: its key, which grows with time.
        quarantine_id: the set it was set aside in.
        record: what was set aside; None where ``unreadable`` says why it can't be brought back.
        redacted: stored masked: can be looked at, not reprocessed.
        reason: what the server said, or would have said, first.
        reasons: every fault found, with the offending values.
        position: where it stands in its source.
        status: pending, reprocessed, failed or discarded.
        attempts: how often it was reprocessed.
        history: what was tried with it, oldest first.
        edits: its earlier payloads, oldest first.
        quarantined_at: when it was set aside, by the database's clock.
        updated_at: last change of its status or payload.
    """

    record_id: UUID
    quarantine_id: UUID
    pipeline_id: str
    run_id: str
    step: str
    partition: int
    batch_id: str | None
    position: Any
    record: Any
    unreadable: str | None
    redacted: bool
    error_type: str
    reason: str
    reasons: tuple[str, ...]
    sqlstate: str | None
    constraint_name: str | None
    column_name: str | None
    exception_type: str | None
    status: str
    attempts: int
    quarantined_at: datetime
    updated_at: datetime
    history: Sequence[PastAttempt] = ()
    edits: Sequence[PastEdit] = ()

    def preview(self, limit: int = 200, masker: Masker = default_masker) -> str:
        """The beginning of the record for a person, secrets masked."""
        if self.unreadable is not None:
            return f"<can't be read: {self.unreadable}>"[:limit]
        return preview(masker.mask_value(self.record), limit)

    def masked(self, masker: Masker = default_masker) -> "QuarantinedRecord":
        """A copy to be shown: secrets in the record, its reasons and earlier payloads masked."""
        return replace(
            self,
            record=masker.mask_value(self.record),
            reason=masker.mask_text(self.reason),
            reasons=tuple(masker.mask_text(each) for each in self.reasons),
            edits=tuple(
                replace(each, record=masker.mask_value(each.record)) for each in self.edits
            ),
        )

    def __repr__(self) -> str:
        reason = default_masker.mask_text(self.reason)
        return (
            f"QuarantinedRecord(record_id={self.record_id}, run_id={self.run_id!r}, "
            f"step={self.step!r}, status={self.status!r}, attempts={self.attempts}, "
            f"reason={reason!r}, record={self.preview()})"
        )
