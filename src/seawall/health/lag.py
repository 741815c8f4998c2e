"""How late the event loop runs its timers, over an interval and in constant memory."""

import math

from seawall.clock import MACHINE_CLOCK, Clock, Timer, call_later

_EVERY = 0.1  # seconds between two timers
_SMALLEST = 0.001
_GROWTH = 1.2  # between two buckets: a percentile is right to 20 %
_BUCKETS = 80  # up to 2,000 s
_MOST_MISSED = 10_000  # timers made up for after one long block


class LagHistogram:
    """Latenesses of timers; a percentile and the maximum of what came since the last ``clear``."""

    def __init__(self, every: float = _EVERY) -> None:
        self._every = every
        self._counts = [0] * _BUCKETS
        self._total, self._highest = 0, 0.0

    def add(self, lag: float) -> None:
        """One timer came ``lag`` seconds late.

        The timers that would have come meanwhile were late too, each by less: without them one
        block of five seconds would count as one late timer among hundreds (G. Tene calls this
        coordinated omission).
        """
        self._highest = max(self._highest, lag)
        for missed in range(min(int(lag / self._every), _MOST_MISSED) + 1):
            self._counts[_bucket(lag - missed * self._every)] += 1
            self._total += 1

    def read(self, share: float = 0.99) -> tuple[float, float] | None:
        """The lag that ``share`` of the timers kept below, and the highest; None before the first.

        Of those since the last ``clear``.
        """
        if not self._total:
            return None
        wanted, seen = share * self._total, 0
        for bucket, count in enumerate(self._counts):
            seen += count
            if seen >= wanted:
                bound = 0.0 if not bucket else _SMALLEST * _GROWTH**bucket
                return min(self._highest, bound), self._highest
        return self._highest, self._highest

    def clear(self) -> None:
        """Begin anew."""
        self._counts = [0] * _BUCKETS
        self._total, self._highest = 0, 0.0


def _bucket(lag: float) -> int:
    if lag <= _SMALLEST:
        return 0
    return min(_BUCKETS - 1, math.ceil(math.log(lag / _SMALLEST, _GROWTH)))


class LoopLag:
    """Sets a timer ten times a second and counts how late it comes. Belongs to one event loop.

    On the machine's clock: a test that lets a day pass would have a million timers to run.
    """

    def __init__(self, clock: Clock = MACHINE_CLOCK, every: float = _EVERY) -> None:
        self._clock, self._every = clock, every
        self._histogram = LagHistogram(every)
        self._timer: Timer | None = None
        self._due = 0.0

    def start(self) -> None:
        self._due = self._clock.monotonic() + self._every
        self._timer = call_later(self._clock, self._every, self._tick)

    def stop(self) -> None:
        timer, self._timer = self._timer, None
        if timer is not None:
            timer.cancel()

    def read(self) -> tuple[float, float] | None:
        """See ``LagHistogram.read``."""
        return self._histogram.read()

    def clear(self) -> None:
        """Begin anew."""
        self._histogram.clear()

    def _tick(self) -> None:
        self._histogram.add(max(0.0, self._clock.monotonic() - self._due))
        if self._timer is not None:
            self.start()
