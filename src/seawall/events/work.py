"""What runs, steps and batches report."""

from dataclasses import dataclass
from uuid import UUID

from seawall.events.event import Event


@dataclass(frozen=True, slots=True, kw_only=True)
class BatchCommitted(Event):
    """A batch's rows, its quarantined rows and its position are committed."""

    partition: int
    batch_id: str
    read_count: int
    write_count: int
    skip_count: int
    elapsed_seconds: float


@dataclass(frozen=True, slots=True, kw_only=True)
class BatchStuck(Event):
    """A batch has been in flight for longer than it should; ``where`` is what it waits in."""

    partition: int
    batch_id: str
    elapsed_seconds: float
    where: str


@dataclass(frozen=True, slots=True, kw_only=True)
class LeaseLost(Event):
    """Another worker has taken the step over: this one can commit nothing more."""

    partition: int


@dataclass(frozen=True, slots=True, kw_only=True)
class BatchRetried(Event):
    """A batch was rolled back and is run again as a whole."""

    partition: int
    batch_id: str
    attempt: int
    exception_type: str
    message: str


@dataclass(frozen=True, slots=True, kw_only=True)
class StepEnded(Event):
    """A step was left, streaming or ``run.step``; a kept result that was given again is no end.

    ``status`` is ``succeeded``, ``failed`` or ``cancelled`` (stopped, or taken over by another
    worker). ``error_type`` is there where it failed, ``exception_type`` and ``message`` (secrets
    masked) wherever an exception ended it.
    """

    status: str
    elapsed_seconds: float
    partition: int = 0
    error_type: str | None = None
    exception_type: str | None = None
    message: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class RunStarted(Event):
    """A worker entered a run: a new one, or one that it resumes or joins."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RunEnded(Event):
    """A run's scope was left; ``status`` is ``succeeded``, ``failed`` or ``cancelled``."""

    status: str
    elapsed_seconds: float
    error_type: str | None = None
    message: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class RunAbandoned(Event):
    """All workers of a run have vanished; ``status`` is what it ended as.

    ``abandoned``, or as the last worker that left it in order. Told once, by whoever found it; its
    scope is the run's.
    """

    status: str
    workers: str


@dataclass(frozen=True, slots=True, kw_only=True)
class RunStuck(Event):
    """A run's workers live, but it has saved nothing for ``stalled_seconds``.

    Told once in the fleet, until it goes on and gets stuck again; its scope is the run's.
    """

    stalled_seconds: float
    step: str | None
    workers: str


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordsQuarantined(Event):
    """A call has set ``count`` records aside; ``BatchCommitted.skip_count`` counts a batch's."""

    quarantine_id: UUID
    count: int
    reason: str
    error_type: str


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckpointSaved(Event):
    """``checkpoint_progress`` saved a step's data; a streaming step tells ``BatchCommitted``."""

    checkpoint_id: UUID
    partition: int
