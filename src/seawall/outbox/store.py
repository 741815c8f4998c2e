"""Where messages are kept: the protocol, and the values that pass."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Protocol
from uuid import UUID

from seawall.outbox.message import Delivery


@dataclass(frozen=True, slots=True, kw_only=True)
class TakenMessage:
    """A message that this relay has taken.

    Attributes:
        lease_id: this taking; who reports under another one is not heard.
        payload: in the codec's form.
        attempts: how often a handler has begun with it before.
    """

    message_id: UUID
    lease_id: UUID
    topic: str
    key: str | None
    payload: str
    headers: dict[str, str]
    idempotency_key: str
    attempts: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Failure:
    """A delivery that failed.

    Attributes:
        wait: seconds until it is tried again.
        dead: it is given up instead.
    """

    message: TakenMessage
    wait: float
    error_type: str
    reason: str
    dead: bool


@dataclass(slots=True)
class Report:
    """What became of messages; written down as one."""

    done: list[TakenMessage] = field(default_factory=list)
    failed: list[Failure] = field(default_factory=list)
    given_back: list[TakenMessage] = field(default_factory=list)
    begun: list[TakenMessage] = field(default_factory=list)


@dataclass(frozen=True, slots=True, kw_only=True)
class DeadMessage:
    """A message that was given up; ``reason`` has its secrets masked.

    Attributes:
        unreadable: why its payload, None then, can't be read here; None where it can.
    """

    delivery: Delivery
    error_type: str | None
    reason: str | None
    unreadable: str | None = None


class OutboxStore(Protocol):
    """Shared by all relays; times are the store's own."""

    async def take(
        self, worker_id: str, topic: str, limit: int, lease_seconds: float, *, by_key: bool
    ) -> list[TakenMessage]:
        """Take messages that are due, in order; by key, none of a key that has one held."""
        ...

    async def renew(self, messages: Sequence[TakenMessage], lease_seconds: float) -> set[UUID]:
        """Keep the messages; the ids of those that are still this relay's."""
        ...

    async def report(
        self, report: Report, lease_seconds: float, *, keep: bool, by_key: bool
    ) -> set[UUID]:
        """Write the report down; the ids of those that were still this relay's.

        By key, one that is begun is refused while an earlier one of its key is in the outbox.
        """
        ...

    async def prune(self, topic: str, keep_seconds: float) -> int:
        """Delete messages that were delivered longer ago; how many."""
        ...
