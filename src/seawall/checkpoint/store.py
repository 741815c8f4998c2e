"""What the streaming checkpoint needs of a database, narrow enough to fake."""

from collections.abc import Sequence
from typing import Any, Literal, Protocol

from seawall.checkpoint.model import Progress, Rejection, StepKey, StepState

Outcome = Literal["open", "rolled back", "committed", "unknown"]


class CommitUnknownError(Exception):
    """Raised when the connection was lost at COMMIT: only ``settle`` can tell what happened."""


class Rejects(Protocol):
    """Where the records that a load turned down go; called inside the batch's transaction."""

    async def __call__(self, rejections: Sequence[Rejection], records: Sequence[Any]) -> None: ...


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


class StepSession(Protocol):
    """An opened step of one worker, with the connection that its batches share."""

    @property
    def state(self) -> StepState: ...

    async def begin(self, batch_id: str, rejects: Rejects) -> UnitOfWork:
        """Start a batch's transaction, on a new connection where the last one was lost."""
        ...

    async def settle(self) -> bool:
        """Whether the commit whose answer was lost has happened, read under the row's lock.

        Raises:
            StaleRunError: another worker has opened the step since.
        """
        ...

    async def finish(self) -> None:
        """Mark the step finished: its source has ended and all of it is committed."""
        ...

    async def quarantined_by_reason(self) -> dict[str, int]:
        """The step's quarantined records, counted by reason."""
        ...

    async def aclose(self) -> None:
        """Give the connection back."""
        ...


class CheckpointStore(Protocol):
    """Where positions are kept."""

    async def open(self, key: StepKey) -> StepSession:
        """Take the step over: load its progress and raise its fence."""
        ...
