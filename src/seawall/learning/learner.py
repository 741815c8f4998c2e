"""From the ends of retried calls to counts: off the call path, in batches, shared by the fleet."""

import logging
from collections.abc import Sequence

from seawall.classification import Fingerprint, Outcome, Outcomes
from seawall.clock import SYSTEM_CLOCK, Clock
from seawall.config import Range
from seawall.events import Event, RetryExhausted, RetrySucceeded
from seawall.learning.store import Delta, OutcomeStore

_logger = logging.getLogger("seawall.learning")

_EPISODE_SECONDS = 600.0
_MOST_WAITING = 10_000
_MAX_RETRIES = "max_retries"

_Key = tuple[str, Fingerprint]


class OutcomeLearner:
    """Hears how retried calls end; ``outcomes`` is what is known of them.

    Belongs to one event loop. ``hear`` only counts; the database is asked in ``run``'s task.

    Args:
        store: where the fleet's counts are.
        outcomes: what the classifier reads.
        flush_seconds: between two exchanges with the store.
        clock: for the waits, and to tell one outage from the next.

    Attributes:
        dropped: outcomes that weren't counted, because 10,000 kinds waited for the database.

    Raises:
        InvalidConfigError: ``flush_seconds`` isn't above 0.
    """

    def __init__(
        self,
        store: OutcomeStore,
        outcomes: Outcomes,
        *,
        flush_seconds: float = 30.0,
        clock: Clock = SYSTEM_CLOCK,
    ) -> None:
        Range(float, low_open=True).check("flush_seconds", flush_seconds)
        self._store, self.outcomes = store, outcomes
        self._flush_seconds, self._clock = flush_seconds, clock
        self._waiting: dict[_Key, list[int]] = {}
        self._last_counted: dict[_Key, float] = {}
        self.dropped = 0

    def hear(self, event: Event) -> None:
        """The listener: counts the end of a retried call."""
        if isinstance(event, RetrySucceeded):
            for fingerprint in event.fingerprints:
                self._count((event.operation, fingerprint), 0)
        elif isinstance(event, RetryExhausted) and _lasted(event):
            key = (event.operation, event.fingerprints[0])
            if self._is_new_episode(key):
                self._count(key, 1)

    async def run(self) -> None:
        """Exchange counts with the store until cancelled; its failures are logged."""
        while True:
            try:
                await self.exchange()
            except Exception as error:
                # Learning may be late, never the reason for a failure.
                _logger.warning("outcomes of retries could not be exchanged: %s", error)
            await self._clock.sleep(self._flush_seconds)

    async def exchange(self) -> None:
        """Add what was counted here to the store, and take the fleet's sums from it.

        Raises whatever the store does; nothing counted is lost then.
        """
        await self._add()
        self.outcomes.put(await self._store.load())

    async def flush(self) -> None:
        """Add what was counted here, at the end; a store that can't be reached loses it."""
        try:
            await self._add()
        except Exception as error:
            # Closing goes on: counts are worth less than an orderly end.
            _logger.warning("the last outcomes of retries were not written: %s", error)

    async def _add(self) -> None:
        waiting, self._waiting = self._waiting, {}
        if not waiting:
            return
        try:
            await self._store.add([Delta(*key, *counts) for key, counts in waiting.items()])
        except BaseException:
            for key, (recovered, lasting) in waiting.items():
                counts = self._waiting.setdefault(key, [0, 0])
                counts[0] += recovered
                counts[1] += lasting
            raise

    async def forget(self, operation: str | None, fingerprint: str | None) -> int:
        """Delete counts here and in the store; how many rows of the store there were."""
        for key in [key for key in self._waiting if _is_meant(key, operation, fingerprint)]:
            del self._waiting[key]
        deleted = await self._store.forget(operation, fingerprint)
        self.outcomes.put(await self._store.load())
        return deleted

    async def known(self) -> Sequence[Outcome]:
        """What the fleet has counted, this worker's last counts included."""
        await self.exchange()
        return self.outcomes.known()

    def _is_new_episode(self, key: _Key) -> bool:
        """Whether this isn't the outage that was counted before."""
        now, last = self._clock.monotonic(), self._last_counted.get(key)
        if last is not None and now - last < _EPISODE_SECONDS:
            return False
        if len(self._last_counted) >= _MOST_WAITING:
            self._last_counted.clear()
        self._last_counted[key] = now
        return True

    def _count(self, key: _Key, which: int) -> None:
        counts = self._waiting.get(key)
        if counts is None:
            if len(self._waiting) >= _MOST_WAITING:
                self.dropped += 1
                return
            counts = self._waiting[key] = [0, 0]
        counts[which] += 1


def _lasted(event: RetryExhausted) -> bool:
    """Whether all retries were used up on one failure; different ones show nothing of either."""
    used_up = event.stop_reason == _MAX_RETRIES and event.attempt > 1
    return used_up and event.same_failure and len(event.fingerprints) == 1


def _is_meant(key: _Key, operation: str | None, fingerprint: str | None) -> bool:
    return operation in (None, key[0]) and fingerprint in (None, key[1].key)
