"""Tells who looks that something has changed: what kind of thing, at most once a second.

Rows say what happened; this only says that it is worth a look. Nothing is told within a batch's
transaction: a NOTIFY there would make the commits of all workers wait for each other. What small
transactions write now and then (alerts, patterns, what people did) is told by them.
"""

from collections.abc import Awaitable, Callable, Mapping

from seawall.clock import SYSTEM_CLOCK, Clock
from seawall.events import (
    BatchCommitted,
    BatchRetried,
    BreakerTransition,
    BudgetAlert,
    CheckpointSaved,
    ErrorLogged,
    Event,
    FailureRateChanged,
    HealthChanged,
    RecordsQuarantined,
    RecoveryActionTaken,
    RetryExhausted,
    RetryScheduled,
    RunAbandoned,
    RunEnded,
    RunStarted,
    RunStuck,
    StepEnded,
)
from seawall.service import Periodic

_TOPICS: Mapping[type[Event], frozenset[str]] = {
    kind: frozenset(topics.split())
    for kind, topics in {
        BatchCommitted: "runs quarantine",
        BatchRetried: "runs",
        BreakerTransition: "breakers",
        BudgetAlert: "budgets",
        CheckpointSaved: "runs",
        ErrorLogged: "errors",
        FailureRateChanged: "patterns",
        HealthChanged: "health",
        RecordsQuarantined: "quarantine",
        RecoveryActionTaken: "patterns",
        RetryExhausted: "runs",
        RetryScheduled: "runs",
        RunAbandoned: "runs budgets",
        RunEnded: "runs budgets",
        RunStarted: "runs",
        RunStuck: "runs",
        StepEnded: "runs",
    }.items()
}

# What is told where it is written: what people did, alerts, patterns.
_TOLD_BY_STORES = ("audit", "alerts", "patterns")
ALL_TOPICS = frozenset(_TOLD_BY_STORES).union(*_TOPICS.values())


class ChangeFeed:
    """Hears events, gathers what they are about, and tells it every second; a service.

    Args:
        send: tells everybody who listens; ``ConnectionError`` where it can't now.
        every: seconds between two messages.
        clock: for the waits.
    """

    def __init__(
        self,
        send: Callable[[frozenset[str]], Awaitable[None]],
        *,
        every: float = 1.0,
        clock: Clock = SYSTEM_CLOCK,
    ) -> None:
        self._send = send
        self._topics: set[str] = set()
        self._turns = Periodic(self.flush, every=every, name="change feed", clock=clock)

    def hear(self, event: Event) -> None:
        """The listener."""
        topics = _TOPICS.get(type(event))
        if topics is not None:
            self._topics |= topics

    async def start(self) -> None:
        """Begin to tell."""
        await self._turns.start()

    async def aclose(self) -> None:
        """Tell the last, and end."""
        await self._turns.aclose()

    async def flush(self) -> None:
        """Tell what has changed since the last time; nothing where nothing has."""
        if self._topics:
            topics, self._topics = frozenset(self._topics), set()
            try:
                await self._send(topics)
            except ConnectionError:  # whoever looks can't see anything now either
                self._topics |= topics
