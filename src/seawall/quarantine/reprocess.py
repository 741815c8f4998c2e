"""Running quarantined records again: each taken by one reprocessor, each with one outcome."""

from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from typing import Any, Protocol
from uuid import UUID

from seawall.classification import Classifier, default_classifier
from seawall.classification.reading import text_of
from seawall.clock import SYSTEM_CLOCK, Clock
from seawall.config import Range
from seawall.errors import CodecError, InvalidConfigError, QuarantineKeyError
from seawall.quarantine.payload import PLAIN, Owner, PayloadForm, Stored
from seawall.text import recordable

Processor = Callable[[Any, Any], Awaitable[object]]


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordFilter:
    """Which of a run's quarantined records; what is None is not asked.

    Attributes:
        run_id: the run that met them.
        quarantine_id: the set that they were set aside in.
        step: the step that met them.
        reason: why, the whole text.
        error_type: the kind of failure.
        sqlstate: the server's code.
    """

    run_id: str
    quarantine_id: UUID | None = None
    step: str | None = None
    reason: str | None = None
    error_type: str | None = None
    sqlstate: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class TakenRecord:
    """A record that this reprocessor holds."""

    record_id: UUID
    run_id: str
    step: str
    stored: Stored

    @property
    def owner(self) -> Owner:
        """What its payload is bound to."""
        return (self.record_id, self.run_id, self.step)


@dataclass(frozen=True, slots=True, kw_only=True)
class Attempt:
    """One record's outcome: ``reprocessed`` or ``failed``, and why."""

    record_id: UUID
    outcome: str
    error_type: str | None = None
    exception_type: str | None = None
    message: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ReprocessMetrics:
    """What a reprocessing did.

    Attributes:
        taken: records that it ran.
        reprocessed: those that succeeded.
        failed: those that failed again; they can be reprocessed later.
        redacted: stored masked, and left alone.
        failures: how many failed with which message.
        elapsed_seconds: how long it took.
    """

    taken: int
    reprocessed: int
    failed: int
    redacted: int
    failures: Mapping[str, int] = field(default_factory=dict)
    elapsed_seconds: float = 0.0


class ReprocessBatch(Protocol):
    """Records held in one transaction."""

    records: list[TakenRecord]
    connection: Any

    def savepoint(self) -> AbstractAsyncContextManager[object]:
        """A part of the transaction that can fail alone."""
        ...

    async def whole(self, taken: TakenRecord) -> Stored:
        """The record's payload, with what is stored elsewhere of it: one large one at a time.

        Raises:
            CodecError: a piece of it is missing.
        """
        ...

    async def settle(self, attempts: list[Attempt], actor: str) -> None:
        """Write the outcomes; they stand when the batch is left."""
        ...


class ReprocessStore(Protocol):
    """Where quarantined records are kept."""

    def take(
        self, which: RecordFilter, after: UUID | None, limit: int
    ) -> AbstractAsyncContextManager[ReprocessBatch]:
        """Hold records behind ``after``, that no other reprocessor holds; committed on leaving."""
        ...

    async def redacted(self, which: RecordFilter) -> int:
        """How many of them were stored masked."""
        ...


class Reprocessor:
    """Runs quarantined records through a processor. May be shared between tasks.

    Args:
        store: where they are.
        processors: by step, for records without a processor given.
        classifier: decides the error type of a failure.
        clock: measures the time that it took.
        form: opens their payloads.
    """

    def __init__(
        self,
        store: ReprocessStore,
        *,
        processors: Mapping[str, Processor] | None = None,
        classifier: Classifier = default_classifier,
        clock: Clock = SYSTEM_CLOCK,
        form: PayloadForm = PLAIN,
    ) -> None:
        self._form = form
        self._store, self._processors = store, processors if processors is not None else {}
        self._classifier, self._clock = classifier, clock

    async def run(
        self,
        which: RecordFilter,
        processor: Processor | None,
        *,
        size: int = 100,
        limit: int | None = None,
        actor: str,
    ) -> ReprocessMetrics:
        """Run each record once, ``size`` of them in a transaction.

        What the processor writes through the connection that it is given commits with the record's
        outcome, so that it is there exactly once.

        Raises:
            InvalidConfigError: there is no processor for a record's step.
            QuarantineKeyError: a record's key is not here; it and its batch stay as they were.
        """
        Range(int, 1).check("size", size)
        started, outcomes, failures = self._clock.monotonic(), Counter[str](), Counter[str]()
        async for attempts in self._attempts(which, processor, size, limit, actor):
            outcomes.update(each.outcome for each in attempts)
            failures.update(each.message or "" for each in attempts if each.outcome == "failed")
        return ReprocessMetrics(
            taken=outcomes.total(),
            reprocessed=outcomes["reprocessed"],
            failed=outcomes["failed"],
            redacted=await self._store.redacted(which),
            failures=dict(failures.most_common(20)),
            elapsed_seconds=self._clock.monotonic() - started,
        )

    async def _attempts(
        self,
        which: RecordFilter,
        processor: Processor | None,
        size: int,
        limit: int | None,
        actor: str,
    ) -> AsyncIterator[list[Attempt]]:
        after: UUID | None = None
        left = limit
        while left is None or left > 0:
            wanted = size if left is None else min(size, left)
            async with self._store.take(which, after, wanted) as batch:
                if not batch.records:
                    return
                attempts = [await self._attempt(batch, each, processor) for each in batch.records]
                await batch.settle(attempts, actor)
                after = batch.records[-1].record_id
            if left is not None:
                left -= len(attempts)
            yield attempts

    async def _attempt(
        self, batch: ReprocessBatch, taken: TakenRecord, processor: Processor | None
    ) -> Attempt:
        run = processor if processor is not None else self._processors.get(taken.step)
        if run is None:
            raise InvalidConfigError(
                f"step {taken.step!r}: has no processor; give one, or register it for the step"
            )
        try:
            record = self._form.open(await batch.whole(taken), taken.owner)
            async with batch.savepoint():
                await run(batch.connection, record)
        except QuarantineKeyError:
            raise  # nothing is wrong with the record: it waits for its key
        except Exception as error:
            if batch.connection.is_closed():
                raise
            return Attempt(
                record_id=taken.record_id,
                outcome="failed",
                error_type=self._kind(error),
                exception_type=type(error).__qualname__,
                message=recordable(text_of(error), self._form.masker),
            )
        return Attempt(record_id=taken.record_id, outcome="reprocessed")

    def _kind(self, error: Exception) -> str:
        return "data" if isinstance(error, CodecError) else self._classifier.classify(error).value
