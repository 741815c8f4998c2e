"""What the streaming checkpoint needs of a database, narrow enough to fake."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Literal, Protocol

from seawall.checkpoint.model import Progress, Rejection, StepKey, StepState
from seawall.errors import StaleRunError

Outcome = Literal["open", "rolled back", "committed", "unknown"]
Upgrade = Callable[[int, Progress], Progress]


class CommitUnknownError(Exception):
    """Raised when the connection was lost at COMMIT: only ``settle`` can tell what happened."""


class WhenHeld(StrEnum):
    """What to do where another worker holds the step's lease, and its lease has not run out.

    A worker that is known to be dead, on this very machine, holds nothing.
    """

    WAIT = "wait"  # until the lease is given back or runs out
    FAIL = "fail"  # StepHeldError
    TAKE = "take"  # over, at once: the other can commit nothing more


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenRequest:
    """How a step is to be opened.

    Attributes:
        size: records a batch, from which one that kills its workers is made smaller.
        when_held: what to do where another worker has the lease.
        wait_seconds: how long to wait for it at the most; None: for ever.
        state_version: format of the positions and states that this worker saves.
        upgrade: ``(saved version, progress) -> progress``, for what an older format has saved.
    """

    size: int = 1000
    when_held: WhenHeld = WhenHeld.WAIT
    wait_seconds: float | None = None
    state_version: int = 1
    upgrade: Upgrade | None = None


class Rejects(Protocol):
    """Where the records that a load turned down go; called inside the batch's transaction."""

    async def __call__(self, rejections: Sequence[Rejection], records: Sequence[Any]) -> None: ...


class StateOfSinks(Protocol):
    """What the sinks of a batch know of its step, and keep with the batch."""

    saved: Mapping[str, Any]
    changes: dict[str, Any]

    def mark(self) -> Callable[[], None]:
        """What takes back all that was kept, and counted as set aside, since this moment."""
        ...


class UnitOfWork(Protocol):
    """One batch's transaction: rows, quarantined rows and position, all or nothing."""

    @property
    def outcome(self) -> Outcome:
        """What became of it, as far as this process knows."""
        ...

    @property
    def transaction(self) -> Any:
        """What the user's block gets: an asyncpg connection with ``load``."""
        ...

    @property
    def lost(self) -> StaleRunError | None:
        """Known once it is rolled back: the step was another worker's by then."""
        ...

    async def quarantine(
        self, rejections: Sequence[Rejection], payloads: Sequence[Any], positions: Sequence[Any]
    ) -> None:
        """Write one quarantined record for each rejection."""
        ...

    async def commit(self, progress: Progress) -> None:
        """Save the progress under the fence, and commit.

        Raises:
            StaleRunError: another worker holds the step; everything is rolled back.
            CommitUnknownError: the connection was lost after COMMIT was sent.
        """
        ...

    async def rollback(self) -> None:
        """Undo everything; does not raise when the connection is gone."""
        ...


class Lane(Protocol):
    """A connection of the step, for one batch after the other."""

    async def begin(self, batch_id: str, rejects: Rejects, sinks: StateOfSinks) -> UnitOfWork:
        """Start a batch's transaction, on a new connection where the last one was lost."""
        ...


class StepSession(Protocol):
    """An opened step of one worker, with the connections that its batches run on."""

    @property
    def state(self) -> StepState: ...

    @property
    def set_aside_first(self) -> bool:
        """Whether the first record has killed its workers, and is to be set aside unseen."""
        ...

    def lanes(self, number: int) -> Sequence[Lane]:
        """So many connections, made on first use; the first one is always the same."""
        ...

    async def settle(self) -> bool:
        """Whether the commit whose answer was lost has happened, read under the row's lock.

        Raises:
            StaleRunError: another worker has opened the step since.
        """
        ...

    async def renew(self) -> None:
        """Make the lease last from now.

        Raises:
            StaleRunError: another worker has opened the step since.
        """
        ...

    async def attempt(self) -> None:
        """Write down that the next record, alone under suspicion, is about to be tried.

        Raises:
            StaleRunError: another worker has opened the step since.
        """
        ...

    async def release(self, *, finished: bool) -> None:
        """Give the lease back, in order; ``finished``: the source was read to its end."""
        ...

    async def quarantined_by_reason(self) -> dict[str, int]:
        """The step's quarantined records, counted by reason."""
        ...

    async def quarantined_for(self, keys: Sequence[str]) -> dict[str, int]:
        """The same, counted by the keys of ``Tolerance.reasons``."""
        ...

    async def aclose(self) -> None:
        """Give the connections back."""
        ...


class CheckpointStore(Protocol):
    """Where positions are kept."""

    async def open(self, key: StepKey, request: OpenRequest) -> StepSession:
        """Take the step's lease: load its progress and raise its fence.

        Raises:
            StepHeldError: another worker has it, and it was not to be waited for (any longer).
        """
        ...
