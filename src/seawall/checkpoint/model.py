"""The values of a streaming checkpoint: which step, how far, what happened so far."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from uuid import UUID

import msgspec


@dataclass(frozen=True, slots=True)
class StepKey:
    """What has one position: a partition of a step of a run."""

    run_id: str
    step: str
    partition: int = 0

    def batch_id(self, first_position: object) -> str:
        """The same 32 hexadecimal digits for the same batch on every run: an idempotency key."""
        text = msgspec.json.encode([self.run_id, self.step, self.partition, first_position])
        return hashlib.blake2b(text, digest_size=16).hexdigest()


@dataclass(frozen=True, slots=True)
class Counters:
    """Records and batches, over all of a run's restarts."""

    read_count: int = 0
    write_count: int = 0
    skip_count: int = 0
    batch_count: int = 0
    retry_count: int = 0

    def plus(
        self,
        *,
        read: int = 0,
        written: int = 0,
        skipped: int = 0,
        batches: int = 0,
        retries: int = 0,
    ) -> "Counters":
        return Counters(
            self.read_count + read,
            self.write_count + written,
            self.skip_count + skipped,
            self.batch_count + batches,
            self.retry_count + retries,
        )

    def minus(self, other: "Counters") -> "Counters":
        return Counters(
            self.read_count - other.read_count,
            self.write_count - other.write_count,
            self.skip_count - other.skip_count,
            self.batch_count - other.batch_count,
            self.retry_count - other.retry_count,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Span:
    """Consecutive records beyond the position, which a restart must meet as they were.

    Attributes:
        first, last: positions of its first and last record.
        done: committed; else it was given to a sink outside the database, which may have it.
    """

    first: Any
    last: Any
    done: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Suspicion:
    """A batch somewhere in the next ``rows`` records has killed its worker.

    Attributes:
        size: records a batch may have until they are behind.
        rows: records still under suspicion.
        deaths: attempts at the very next record that the worker did not outlive.
    """

    size: int
    rows: int
    deaths: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Progress:
    """What one commit saves.

    Attributes:
        position: the last record up to which all are committed (the watermark).
        ahead: spans beyond it, in the source's order.
        counters: what was done so far.
        sink_state: what sinks keep with the batch, by name.
        suspicion: where a batch has killed its worker.
    """

    position: Any = None
    ahead: tuple[Span, ...] = ()
    counters: Counters = field(default_factory=Counters)
    sink_state: Mapping[str, Any] = field(default_factory=dict)
    suspicion: Suspicion | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class StepState:
    """What opening a step returned: its progress, and the fence that this worker now holds.

    Attributes:
        fence: grows with every opening; a commit under an older one is refused (fencing token).
        version: grows with every commit; tells whether a commit whose answer was lost happened.
        state_version: format of the position and the sink's state, as they were saved.
        start_count: openings, this one included.
        silent_starts: openings since the last commit that did not end in order, this one included.
    """

    checkpoint_id: UUID
    fence: int
    version: int
    progress: Progress
    state_version: int
    start_count: int
    silent_starts: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Checkpoint:
    """A saved checkpoint, as ``resume_from_checkpoint`` returns it.

    Attributes:
        checkpoint_id: its key in ``checkpoints``; each save of (run, step, partition) has the same.
        position: where the streaming form goes on; None at the start.
        checkpoint_data: what ``checkpoint_progress`` saved last, or None.
        counters: records and batches so far, over all restarts.
        status: ``running`` or ``finished``.
        updated_at: time of the last save, by the database's clock.
        version: number of the save; an earlier one can be gone back to.
        state_version: format of position and data, as the worker named it.
    """

    checkpoint_id: UUID
    run_id: str
    step: str
    partition: int
    position: Any
    checkpoint_data: Any
    counters: Counters
    status: str
    updated_at: datetime
    version: int = 0
    state_version: int = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Rejection:
    """Why one record of a batch can't be loaded.

    Attributes:
        index: the record's place among those given, from 0.
        reason: the message the server gives, or would have given, first; the same for all records
            with the same fault.
        reasons: every fault found, with the offending values.
    """

    index: int
    reason: str
    reasons: tuple[str, ...] = ()
    sqlstate: str | None = None
    constraint_name: str | None = None
    column_name: str | None = None
    exception_type: str | None = None
    traceback_digest: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class StreamReport:
    """What a step did, over all of its restarts, and what this process did of it.

    Attributes:
        rows_read: records taken from the source and settled, loaded or quarantined.
        rows_loaded: records that reached the sink.
        rows_quarantined: records set aside.
        quarantined_by_reason: the same, counted by reason.
        batches: committed batches.
        retries: batches that were run again as a whole.
        resumed_from: the position this process started after; None at the beginning.
        position: the position it ended at.
        seconds: time that this process took.
        this_process: the counters of this process alone.
        partition: the part of the step's source.
    """

    run_id: str
    step: str
    rows_read: int
    rows_loaded: int
    rows_quarantined: int
    quarantined_by_reason: Mapping[str, int]
    batches: int
    retries: int
    resumed_from: Any
    position: Any
    seconds: float
    this_process: Counters
    partition: int = 0

    @classmethod
    def of(
        cls,
        key: StepKey,
        before: Progress,
        now: Progress,
        by_reason: Mapping[str, int],
        seconds: float,
    ) -> "StreamReport":
        """Of a step that this process found as ``before``."""
        counters = now.counters
        return cls(
            run_id=key.run_id,
            step=key.step,
            partition=key.partition,
            rows_read=counters.read_count,
            rows_loaded=counters.write_count,
            rows_quarantined=counters.skip_count,
            quarantined_by_reason=by_reason,
            batches=counters.batch_count,
            retries=counters.retry_count,
            resumed_from=before.position,
            position=now.position,
            seconds=seconds,
            this_process=counters.minus(before.counters),
        )
