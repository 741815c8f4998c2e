"""Running quarantined records again: each taken by one reprocessor, each with one outcome."""

from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field, replace
from typing import Protocol
from uuid import UUID

from seawall.classification import Classifier, default_classifier
from seawall.clock import SYSTEM_CLOCK, Clock
from seawall.config import Range
from seawall.errors import InvalidConfigError, MissingProcessorError
from seawall.masking import Masker, default_masker
from seawall.quarantine.into_table import IntoTable, IntoTextTable
from seawall.quarantine.processor import (
    Attempt,
    EachRecord,
    Failures,
    Processor,
    ReprocessBatch,
    Runner,
    TextTable,
    check_processor,
    is_table,
    shapes,
)
from seawall.quarantine.record import OPEN, RecordFilter

_SIZE = 100  # records a transaction for a function: what is lost, and held, when one breaks
_TABLE_SIZE = 5_000  # and for a table
_SECONDS = Range(float, low_open=True)


@dataclass(frozen=True, slots=True, kw_only=True)
class ReprocessMetrics:
    """What a reprocessing did.

    Attributes:
        taken: records that it ran.
        reprocessed: those that succeeded.
        failed: those that failed again; they can be reprocessed later.
        discarded: those that the processor gave up.
        redacted: stored masked, and left alone.
        exhausted: left alone, since they were tried ``max_attempts`` times.
        failures: how many failed with which message.
        elapsed_seconds: how long it took.
    """

    taken: int
    reprocessed: int
    failed: int
    redacted: int
    discarded: int = 0
    exhausted: int = 0
    failures: Mapping[str, int] = field(default_factory=dict)
    elapsed_seconds: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class ReprocessOptions:
    """How records are run again.

    Attributes:
        actor: who does it.
        size: records a transaction; 100 for a function and 5,000 for a table without it.
        limit: records at the most.
        max_attempts: leave records alone that were tried so often.
        attempt_timeout: seconds for one record, which fails then.
        columns: the table's columns, where the processor is a table.
    """

    actor: str
    size: int | None = None
    limit: int | None = None
    max_attempts: int | None = None
    attempt_timeout: float | None = None
    columns: Sequence[str] | None = None

    def __post_init__(self) -> None:
        for name in ("size", "max_attempts"):
            if getattr(self, name) is not None:
                Range(int, 1).check(name, getattr(self, name))
        if self.limit is not None:
            Range(int).check("limit", self.limit)
        if self.attempt_timeout is not None:
            _SECONDS.check("attempt_timeout", self.attempt_timeout)


class SettleableBatch(ReprocessBatch, Protocol):
    """Records held in one transaction, and their outcomes written in it."""

    async def settle(self, attempts: list[Attempt], actor: str) -> None:
        """Write the outcomes; they stand when the batch is left."""
        ...


class ReprocessStore(Protocol):
    """Where quarantined records are kept."""

    @property
    def patience_seconds(self) -> float:
        """How long a processor may be silent before the server ends its transaction."""
        ...

    def take(
        self, which: RecordFilter, after: UUID | None, limit: int, patience_seconds: float
    ) -> AbstractAsyncContextManager[SettleableBatch]:
        """Hold records behind ``after``, that no other reprocessor holds; committed on leaving."""
        ...

    async def await_release(self, record_ids: Sequence[UUID], seconds: float) -> None:
        """Wait until nobody holds the records, but for so long at the most."""
        ...

    async def left_alone(self, which: RecordFilter, max_attempts: int | None) -> tuple[int, int]:
        """How many of them were stored masked, and how many were tried too often."""
        ...

    async def by_step(self, which: RecordFilter) -> dict[str, int]:
        """How many of them, not counting those stored masked, there are of each step."""
        ...


Work = Callable[[], Awaitable[list[Attempt] | None]]
Retrying = Callable[[Work], Awaitable[list[Attempt] | None]]


async def _once(work: Work) -> list[Attempt] | None:
    return await work()


@dataclass(slots=True)
class _Tally:
    """What was done so far in one call."""

    left: int | None
    outcomes: Counter[str] = field(default_factory=Counter)
    failures: Counter[str] = field(default_factory=Counter)

    def add(self, attempts: list[Attempt]) -> None:
        self.outcomes.update(each.outcome for each in attempts)
        self.failures.update(each.message or "" for each in attempts if each.outcome == "failed")
        if self.left is not None:
            self.left -= len(attempts)

    def next_size(self, size: int) -> int:
        return size if self.left is None else min(size, self.left)


class Reprocessor:
    """Runs quarantined records through a processor. May be shared between tasks.

    Args:
        store: where they are.
        processors: by step, for records without a processor given.
        classifier: decides the error type of a failure.
        masker: masks secrets in what is told of failures.
        retrying: runs a batch, again where its connection died.
        clock: measures the time that it took.
    """

    def __init__(
        self,
        store: ReprocessStore,
        *,
        processors: Mapping[str, Processor] | None = None,
        classifier: Classifier = default_classifier,
        masker: Masker = default_masker,
        retrying: Retrying = _once,
        clock: Clock = SYSTEM_CLOCK,
    ) -> None:
        self._store, self._processors = store, processors if processors is not None else {}
        self._failures = Failures(classifier, masker)
        self._retrying, self._clock = retrying, clock

    async def run(
        self, which: RecordFilter, processor: Processor | None, options: ReprocessOptions
    ) -> ReprocessMetrics:
        """Run each record once, some of them in a transaction.

        What the processor writes through the connection that it is given commits with the record's
        outcome, so that it is there exactly once.

        Raises:
            InvalidConfigError: an option can't be.
            MissingProcessorError: there is no processor for some steps; the others' are done.
            TransactionEndedError: the processor has ended the transaction by itself.
        """
        started = self._clock.monotonic()
        which = _open_ones(which)
        tally = _Tally(options.limit)
        missing: dict[str, int] = {}
        if processor is not None:
            check_processor(processor)
            await self._all(which, processor, options, tally)
        else:
            missing = await self._registered(which, options, tally)
        redacted, exhausted = await self._store.left_alone(which, options.max_attempts)
        metrics = ReprocessMetrics(
            taken=tally.outcomes.total(),
            reprocessed=tally.outcomes["reprocessed"],
            failed=tally.outcomes["failed"],
            discarded=tally.outcomes["discarded"],
            redacted=redacted,
            exhausted=exhausted,
            failures=dict(tally.failures.most_common(20)),
            elapsed_seconds=self._clock.monotonic() - started,
        )
        if missing:
            raise MissingProcessorError(_missing(missing), missing, metrics)
        return metrics

    async def _registered(
        self, which: RecordFilter, options: ReprocessOptions, tally: _Tally
    ) -> dict[str, int]:
        """Run the records of every step by its own processor; the steps that have none."""
        missing: dict[str, int] = {}
        for step, count in (await self._store.by_step(which)).items():
            processor = self._processors.get(step)
            if processor is None:
                missing[step] = count
            else:
                await self._all(replace(which, step=step), processor, options, tally)
        return missing

    async def _all(
        self,
        which: RecordFilter,
        processor: Processor,
        options: ReprocessOptions,
        tally: _Tally,
    ) -> None:
        async for attempts in self._batches(which, processor, options, tally):
            tally.add(attempts)

    async def _batches(
        self,
        which: RecordFilter,
        processor: Processor,
        options: ReprocessOptions,
        tally: _Tally,
    ) -> AsyncIterator[list[Attempt]]:
        if options.max_attempts is not None:
            below = min(options.max_attempts, which.attempts_below or options.max_attempts)
            which = replace(which, attempts_below=below)
        # A silent transaction is ended by the server: a record's time ends before, so that the
        # record fails and not its whole batch.
        seconds = options.attempt_timeout or self._store.patience_seconds * 0.8
        runner = self._runner(processor, options, seconds)
        size = options.size or (_TABLE_SIZE if is_table(processor) else _SIZE)
        patience = max(self._store.patience_seconds, seconds * 1.25)
        after: UUID | None = None
        while (wanted := tally.next_size(size)) > 0:
            held: list[UUID] = []

            async def batch(
                after: UUID | None = after, wanted: int = wanted, held: list[UUID] = held
            ) -> list[Attempt] | None:
                if held:  # by a try whose connection died, of which the server may not know yet
                    await self._store.await_release(held, patience)
                async with self._store.take(which, after, wanted, patience) as taken:
                    held[:] = [each.record_id for each in taken.records]
                    if not taken.records:
                        return None
                    attempts = await runner(taken)
                    await taken.settle(attempts, options.actor)
                    return attempts

            attempts = await self._retrying(batch)
            if attempts is None:
                return
            after = attempts[-1].record_id
            yield attempts

    def _runner(self, processor: Processor, options: ReprocessOptions, seconds: float) -> Runner:
        if isinstance(processor, TextTable):
            return IntoTextTable(processor, self._failures)
        if isinstance(processor, str):
            return IntoTable(processor, options.columns, self._failures)
        return EachRecord(processor, self._failures, seconds)


def _open_ones(which: RecordFilter) -> RecordFilter:
    if which.status is None:
        return replace(which, status=OPEN)
    settled = sorted(set(which.status) - set(OPEN))
    if settled:
        raise InvalidConfigError(
            f"status={', '.join(settled)}: only pending and failed records can be reprocessed"
        )
    return which


def _missing(steps: Mapping[str, int]) -> str:
    return (
        f"step {shapes(steps)} has no processor: give one, or register it for the step; the "
        "records of all other steps are done"
    )
