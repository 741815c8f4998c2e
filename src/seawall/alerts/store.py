"""Where alerts, and who is to be told of them, are kept; times are the store's own."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol
from uuid import UUID

from seawall.alerts.alert import Alert, Severity, Signal, Silence, Told


@dataclass(frozen=True, slots=True, kw_only=True)
class Growth:
    """A quarantine that grows.

    Attributes:
        pipeline_id: whose.
        today: records set aside today (UTC).
        usual: the mean of the seven days before.
        reason: the commonest of today.
    """

    pipeline_id: str
    today: int
    usual: float
    reason: str


class AlertStore(Protocol):
    """The fleet's alerts."""

    async def record(self, signals: Sequence[tuple[Signal, int]]) -> None:
        """Take in signals with how often each was seen.

        The first of an episode makes it; from other workers it only counts.
        """
        ...

    async def plan(
        self, receivers: Mapping[str, Severity], *, group_seconds: float, repeat_seconds: float
    ) -> None:
        """Decide who is to be told of what began, lasts, or is over; each once in the fleet."""
        ...

    async def take(
        self, receiver: str, owner: str, lease_seconds: float, ahead_seconds: float
    ) -> list[Told]:
        """What is due for a receiver, for this worker alone until the lease ends.

        What is due within ``ahead_seconds`` too.
        """
        ...

    async def sent(self, owner: str, ids: Sequence[UUID]) -> None:
        """They were delivered."""
        ...

    async def failed(
        self, owner: str, ids: Sequence[UUID], error: str, wait_seconds: float, *, give_up: bool
    ) -> None:
        """They were not: due again after ``wait_seconds``, or given up."""
        ...

    async def growing(self, least: int, factor: float) -> Sequence[Growth]:
        """Pipelines that set aside ``least`` records or more today, ``factor`` times the usual.

        The usual is the mean of the seven days before.
        """
        ...

    async def list(self, *, state: str | None, limit: int) -> list[Alert]:
        """Alerts, those seen last first."""
        ...

    async def silences(self) -> "Sequence[Silence]":
        """Those that run now, the one that ends first before the others."""
        ...

    async def silence(
        self, matchers: Mapping[str, str], seconds: float, actor: str, reason: str
    ) -> UUID:
        """Tell nobody of the alerts that have these labels for ``seconds``."""
        ...

    async def end_silence(self, silence_id: UUID, actor: str, reason: str) -> bool:
        """End a silence now; False where none was running."""
        ...
