"""Where parked calls are kept: the protocol, and the values that pass."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol
from uuid import UUID


@dataclass(frozen=True, slots=True, kw_only=True)
class ParkedCall:
    """A call to be parked.

    Attributes:
        call_id: its key, a UUIDv7.
        operation: the name that it is registered under.
        arguments: in the codec's form.
        key: the same call parked again under it is this one.
        not_before_seconds: from now.
        error_type, reason: why it was parked.
        pipeline_id, run_id: in whose scope.
    """

    call_id: UUID
    operation: str
    arguments: str
    key: str | None
    not_before_seconds: float
    error_type: str | None
    reason: str | None
    pipeline_id: str | None
    run_id: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class TakenCall:
    """A call that this worker has taken up.

    Attributes:
        lease_id: this taking; who reports under another one is not heard.
        attempts: how often it was taken up, this time included.
    """

    call_id: UUID
    lease_id: UUID
    operation: str
    arguments: str
    attempts: int


class ParkingStore(Protocol):
    """Shared by all workers; times are the store's own."""

    async def park(self, call: ParkedCall) -> UUID:
        """Keep the call; its id, or that of the one that has its key already."""
        ...

    async def take(
        self, worker_id: str, operations: Sequence[str], limit: int, lease_seconds: float
    ) -> list[TakenCall]:
        """Take up calls that are due, which no other worker has."""
        ...

    async def renew(self, call: TakenCall, lease_seconds: float) -> bool:
        """Keep the call; False where another has it by now."""
        ...

    async def done(self, call: TakenCall) -> bool:
        """It succeeded; False where another has it by now."""
        ...

    async def failed(
        self,
        call: TakenCall,
        not_before_seconds: float,
        error_type: str,
        reason: str,
        *,
        dead: bool,
    ) -> bool:
        """It failed: park it again, or give it up; False where another has it by now."""
        ...

    async def give_back(self, call: TakenCall) -> None:
        """It was not run to its end: another may take it at once."""
        ...
