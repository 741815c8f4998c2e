"""A bound on how often the same is told: the first few of each minute, then how many more."""

import threading
from collections.abc import Callable
from dataclasses import dataclass

from seawall.clock import SYSTEM_CLOCK, Clock, call_later

Key = tuple[str, ...]

_WINDOW = 60.0
_MOST_KEYS = 1_000


@dataclass(frozen=True, slots=True)
class Suppressed:
    """What was not told of one key in a window."""

    key: Key
    level: int
    count: int
    seconds: float


class _Count:
    __slots__ = ("began_at", "level", "number")

    def __init__(self, began_at: float, level: int) -> None:
        self.began_at, self.level, self.number = began_at, level, 0


class Storm:
    """Admits ``most`` of each key in 60 s. May be shared between threads.

    Beyond 1,000 keys in one window, further ones of a kind (the first part of the key) share one.

    Args:
        most: of each key.
        tell: takes what was suppressed, when the key's window is over: with the next thing that
            happens, or by a timer where an event loop runs; called outside the lock.
        clock: monotonic.
    """

    def __init__(
        self, most: int, tell: Callable[[Suppressed], None], clock: Clock = SYSTEM_CLOCK
    ) -> None:
        self._most, self._tell, self._clock = most, tell, clock
        self._counts: dict[Key, _Count] = {}  # the oldest window first
        self._lock = threading.Lock()
        self._has_timer = False

    def admits(self, key: Key, level: int) -> bool:
        """Whether one more may be told."""
        now = self._clock.monotonic()
        with self._lock:
            over = self._expired(now)
            count = self._counts.get(key)
            if count is None and len(self._counts) >= _MOST_KEYS:
                key = key[:1]
                count = self._counts.get(key)
            if count is None:
                count = self._counts[key] = _Count(now, level)
            count.number += 1
            count.level = max(count.level, level)
            is_told = count.number <= self._most
        self._report(over)
        if not is_told:
            self._look_later()
        return is_told

    def close(self) -> None:
        """Tell what was suppressed so far."""
        with self._lock:
            now = self._clock.monotonic()
            over = [self._summary(key, count, now) for key, count in self._counts.items()]
            self._counts.clear()
        self._report(over)

    def _expired(self, now: float) -> list[Suppressed | None]:
        over: list[Suppressed | None] = []
        while self._counts:
            key, count = next(iter(self._counts.items()))
            if now - count.began_at < _WINDOW:
                break
            del self._counts[key]
            over.append(self._summary(key, count, now))
        return over

    def _summary(self, key: Key, count: _Count, now: float) -> Suppressed | None:
        more = count.number - self._most
        return Suppressed(key, count.level, more, now - count.began_at) if more > 0 else None

    def _report(self, over: list[Suppressed | None]) -> None:
        for each in over:
            if each is not None:
                self._tell(each)

    def _look_later(self) -> None:
        if self._has_timer:
            return
        try:
            call_later(self._clock, _WINDOW, self._look)
            self._has_timer = True
        except RuntimeError:
            pass  # no event loop here: the next event tells

    def _look(self) -> None:
        self._has_timer = False
        with self._lock:
            over = self._expired(self._clock.monotonic())
            waits = any(count.number > self._most for count in self._counts.values())
        self._report(over)
        if waits:
            self._look_later()
