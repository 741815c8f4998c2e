"""Whether a step is to end before its source does: stopped in order, or taken over by another."""

import logging
from typing import Any

from anyio.abc import TaskGroup

from seawall.checkpoint.model import StepKey
from seawall.checkpoint.reader import Reader
from seawall.clock import Clock, Timer, call_later, is_being_cancelled
from seawall.errors import ShutdownError, StaleRunError

_logger = logging.getLogger("seawall.checkpoint")


class Ending:
    """The end of one step, as its parts see it coming.

    Args:
        key: the step.
        grace_seconds: how long the batch in flight may take once the step is stopped.
    """

    def __init__(self, key: StepKey, grace_seconds: float, clock: Clock) -> None:
        self._key, self._grace_seconds, self._clock = key, grace_seconds, clock
        self._readers: list[Reader] = []
        self._reason: str | None = None
        self._grace: Timer | None = None
        self._lost: str | None = None
        self._undone = 0
        self._is_over = False
        self.was_cut = False

    @property
    def lost(self) -> StaleRunError | None:
        """That another worker has the step; a new exception each time, as it is raised in tasks."""
        return None if self._lost is None else StaleRunError(self._lost)

    def interrupts(self, reader: Reader) -> None:
        """Let ``reader`` end with the step."""
        self._readers.append(reader)

    def stop(self, reason: str, tasks: TaskGroup) -> None:
        """Begin no further batch; after the grace the one in flight is rolled back."""
        if self._reason is not None or self._is_over:
            return
        self._reason = reason
        _logger.info("step %s of run %s stops: %s", self._key.step, self._key.run_id, reason)
        self._interrupt()

        def cut() -> None:
            self.was_cut = True
            tasks.cancel_scope.cancel()

        self._grace = call_later(self._clock, self._grace_seconds, cut)

    def lose(self, error: StaleRunError) -> None:
        """The lease is another worker's."""
        self._lost = str(error)
        self._interrupt()

    def _interrupt(self) -> None:
        for reader in self._readers:
            reader.interrupt()

    def check(self, position: Any) -> None:
        """Refuse to go on where the step is to end.

        Raises:
            StaleRunError: another worker has the step.
            ShutdownError: the step was stopped.
        """
        if (lost := self.lost) is not None:
            raise lost
        if self._reason is not None:
            raise self._shut_down(position, "all that was begun is committed")

    def undone(self) -> None:
        """A batch was left without a commit."""
        self._undone += self.was_cut

    def cut_off(self, position: Any) -> ShutdownError:
        """The error that tells of a stop whose grace was over."""
        if self._undone == 0:
            return self._shut_down(position, "all that was begun is committed")
        what = "the batch in flight was" if self._undone == 1 else f"{self._undone} batches were"
        seconds = f"its grace of {self._grace_seconds:g} s was over"
        return self._shut_down(position, f"{seconds}, and {what} rolled back")

    def _shut_down(self, position: Any, how: str) -> ShutdownError:
        key = self._key
        return ShutdownError(
            f"step {key.step!r} of run {key.run_id!r} was stopped by {self._reason}: {how}; "
            f"position {position!r} is saved, start it again to go on"
        )

    def over(self) -> None:
        """The step is left: nothing is to be cut any more."""
        self._is_over = True
        if self._grace is not None:
            self._grace.cancel()


async def end_tasks(
    tasks: TaskGroup,
    error: BaseException | None,
) -> bool:
    """Whether the block ended by nothing but the step's own cancellation."""
    kind, trace = (None, None) if error is None else (type(error), error.__traceback__)
    tasks.cancel_scope.cancel()
    try:
        return bool(await tasks.__aexit__(kind, error, trace)) or error is None
    except BaseExceptionGroup:
        # A task group wraps the block's own exception; it goes on to the caller as it is. A
        # cancellation is not its own where a task beside it has failed.
        if not isinstance(error, Exception) and not is_being_cancelled():
            raise
    return False
