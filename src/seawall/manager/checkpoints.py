"""The front door's runs and checkpoints."""

from collections.abc import Awaitable, Callable, Sequence
from typing import Any, ParamSpec, TypeVar, Unpack
from uuid import UUID

from seawall.checkpoint import Checkpoint, Step, StepKey, StreamReport, WhenHeld
from seawall.checkpoint.options import CheckpointOptions
from seawall.checkpoint.partitions import Partitions
from seawall.checkpoint.stream import Sink, StreamSource, Transform, stream
from seawall.conflict import OnConflictOption
from seawall.manager.base import Base

P = ParamSpec("P")
T = TypeVar("T")


class CheckpointMethods(Base):
    """Runs, checkpoints, and the whole job in one call."""

    async def checkpoint_progress(
        self, run_id: str, step: str, progress_data: Any, *, partition: int = 0
    ) -> UUID:
        """Save ``progress_data`` (any JSON shape) for the step; its checkpoint's id.

        Raises:
            CheckpointError: it is larger than ``checkpoint_data_limit`` bytes.
        """
        return await self._services.checkpoints.save(
            StepKey(run_id, step, partition), progress_data, self.bus
        )

    async def resume_from_checkpoint(
        self, run_id: str, step: str | None = None, *, partition: int = 0
    ) -> Checkpoint | None:
        """The step's checkpoint, or the run's latest one; None where there is none."""
        store = await self._services.checkpoints.at(None)
        return await store.load(run_id, step, partition)

    async def checkpoint_history(
        self, run_id: str, step: str, *, partition: int = 0
    ) -> Sequence[Checkpoint]:
        """The step's earlier states, the newest first.

        ``checkpoint_history`` of them are kept: each that ``checkpoint_progress`` saves, and of a
        streaming step's one every ``checkpoint_history_seconds``.
        """
        await self._services.checkpoints.at(None)
        return await self._services.checkpoints.history.list(StepKey(run_id, step, partition))

    async def rewind_checkpoint(
        self,
        run_id: str,
        step: str,
        version: int,
        *,
        actor: str,
        reason: str,
        partition: int = 0,
        force: bool = False,
    ) -> None:
        """Let the step go on from an earlier state of its history.

        What was loaded since stays where it is and comes again: for sinks that bear that (upserts),
        or once the rows are deleted.

        Args:
            run_id: the run.
            step: its step.
            version: of the ``Checkpoint`` to go back to.
            actor: who does it.
            reason: why; both are kept in ``checkpoint_rewinds``.
            partition: the part of the step's source.
            force: also while a worker is at it, which can then commit nothing more.

        Raises:
            CheckpointError: there is no such checkpoint, or no such version of it.
            StepHeldError: a worker is at it.
        """
        await self._services.checkpoints.at(None)
        await self._services.checkpoints.history.rewind(
            StepKey(run_id, step, partition), version, actor=actor, reason=reason, force=force
        )

    def checkpoint(
        self, run_id: str, step: str, *, partition: int = 0, **options: Unpack[CheckpointOptions]
    ) -> Step:
        """The streaming checkpoint: ``async with manager.checkpoint("run", "load") as cp``.

        Args:
            run_id: the run.
            step: its step.
            partition: the part of the step's source that this is; each has its own position.
            **options: see ``CheckpointOptions``.

        Raises:
            InvalidConfigError: an option is out of range.
        """
        key = StepKey(run_id, step, partition)
        return self._services.checkpoints.step(key, options, self._policy, self.bus)

    async def stream(
        self,
        source: StreamSource,
        sink: Sink,
        *,
        run_id: str,
        step: str = "stream",
        partition: int = 0,
        position: Callable[[Any], Any] | None = None,
        transform: Transform | None = None,
        columns: Sequence[str] | None = None,
        on_conflict: OnConflictOption | None = None,
        concurrency: int = 1,
        **options: Unpack[CheckpointOptions],
    ) -> StreamReport:
        """The whole job in one call: read, load, quarantine, checkpoint, retry, resume.

        Args:
            source: called with the last position (None at first); returns an iterable or async
                iterable of the records after it. Or a ``RecordSource``, such as ``CsvSource``.
            sink: a table's name, ``async (tx, batch)``, or a ``FileSink``.
            run_id: the run.
            step: its step.
            partition: the part of the step's source that this is; each has its own position.
            position: a record's position; the number of records read so far without it.
            transform: called with each record; its exceptions quarantine that record.
            columns: the table's columns, where the sink is a table.
            on_conflict: ``"nothing"``, ``"update"`` or an ``OnConflict``: an upsert, where the
                sink is a table.
            concurrency: batches at a time, each on a connection of its own.
            **options: see ``CheckpointOptions``.
        """
        return await stream(
            self.checkpoint(run_id, step, partition=partition, **options),
            source,
            sink,
            position=position,
            transform=transform,
            columns=columns,
            on_conflict=on_conflict,
            concurrency=concurrency,
        )

    async def for_each_partition(
        self,
        run_id: str,
        step: str,
        partitions: Sequence[int],
        work: Callable[[Step], Awaitable[object]],
        *,
        concurrency: int = 1,
        **options: Unpack[CheckpointOptions],
    ) -> dict[int, StreamReport]:
        """Share a step's partitions with every other process that is started with the same call.

        Each is worked on by one process at a time, until all are finished; those of a process that
        dies are taken over by the others.

        Args:
            run_id: the run.
            step: its step.
            partitions: their numbers, the same in every process.
            work: ``async (cp)``: brings an open partition (``cp.key.partition``) to its end.
            concurrency: partitions at a time in this process.
            **options: see ``CheckpointOptions``; ``when_held`` is not asked.

        Returns:
            The reports of the partitions that this process finished.
        """
        chosen: CheckpointOptions = {**options, "when_held": WhenHeld.FAIL}
        store = await self._services.checkpoints.at(options.get("database"))
        shared = Partitions(
            store,
            run_id,
            step,
            partitions,
            lambda number: self.checkpoint(run_id, step, partition=number, **chosen),
            work,
        )
        return await shared.run(concurrency)
