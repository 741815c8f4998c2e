"""The front door's runs and checkpoints."""

import functools
from collections.abc import Callable, Mapping, Sequence
from typing import Any, ParamSpec, TypeVar
from uuid import UUID

from seawall.checkpoint import Checkpoint, Step, StepKey, StreamReport, Tolerance
from seawall.checkpoint.stream import Sink, StreamSource, Transform, stream
from seawall.manager.base import Base
from seawall.retry import call

P = ParamSpec("P")
T = TypeVar("T")


class CheckpointMethods(Base):
    """Runs, checkpoints, and the whole job in one call."""

    async def checkpoint_progress(
        self, run_id: str, step: str, progress_data: Any, *, partition: int = 0
    ) -> UUID:
        """Save ``progress_data`` (any JSON shape) for the step; its checkpoint's id."""
        key = StepKey(run_id, step, partition)
        return await self._services.checkpoints.save_data(key, progress_data)

    async def resume_from_checkpoint(
        self, run_id: str, step: str | None = None, *, partition: int = 0
    ) -> Checkpoint | None:
        """The step's checkpoint, or the run's latest one; None where there is none."""
        return await self._services.checkpoints.load(run_id, step, partition)

    def checkpoint(
        self,
        run_id: str,
        step: str,
        *,
        partition: int = 0,
        size: int | None = None,
        interval: float | None = None,
        tolerance: float | None = None,
        retry_options: Mapping[str, Any] | None = None,
    ) -> Step:
        """The streaming checkpoint: ``async with manager.checkpoint("run", "load") as cp``.

        Args:
            run_id: the run.
            step: its step.
            partition: the part of the step's source that this is; each has its own position.
            size: records a batch (``checkpoint_batch_size``).
            interval: seconds after which a batch that is not full is committed
                (``checkpoint_interval_minutes``).
            tolerance: share (0 to 1) of the records that may be quarantined.
            retry_options: options of ``retry`` for the batches of ``for_each``.
        """
        policy = self._policy({"name": f"batch of {step}", **(retry_options or {})})
        return Step(
            self._services.checkpoints,
            StepKey(run_id, step, partition),
            size=size or self.config.checkpoint_batch_size,
            interval=interval or self.config.checkpoint_interval_minutes * 60,
            tolerance=self._tolerance(tolerance),
            retrying=functools.partial(call, policy),
            bus=self.bus,
        )

    async def stream(
        self,
        source: StreamSource,
        sink: Sink,
        *,
        run_id: str,
        step: str = "stream",
        size: int | None = None,
        position: Callable[[Any], Any] | None = None,
        transform: Transform | None = None,
        columns: Sequence[str] | None = None,
        partition: int = 0,
        tolerance: float | None = None,
        retry_options: Mapping[str, Any] | None = None,
    ) -> StreamReport:
        """The whole job in one call: read, load, quarantine, checkpoint, retry, resume.

        Args:
            source: called with the last position (None at first); returns an iterable or async
                iterable of the records after it.
            sink: a table's name, or ``async (tx, batch)``.
            run_id: the run.
            step: its step.
            partition: the part of the step's source that this is; each has its own position.
            size: records a batch.
            position: a record's position; the number of records read so far without it.
            transform: called with each record; its exceptions quarantine that record.
            columns: the table's columns, where the sink is a table.
            tolerance: share (0 to 1) of the records that may be quarantined.
            retry_options: options of ``retry`` for the batches.
        """
        step_ = self.checkpoint(
            run_id,
            step,
            partition=partition,
            size=size,
            tolerance=tolerance,
            retry_options=retry_options,
        )
        return await stream(
            step_, source, sink, position=position, transform=transform, columns=columns
        )

    def _tolerance(self, share: float | None) -> Tolerance:
        if share is not None:
            return Tolerance(share)
        return Tolerance(self.config.bad_record_tolerance, self.config.bad_record_allowance)
