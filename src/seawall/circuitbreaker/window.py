"""What a closed breaker remembers of its calls: pure, constant cost a call.

A success is one addition to ``successes``, made by the caller; a rule is evaluated on a failure or
a slow call only, since a quick success can't raise a rate. Each window belongs to one epoch: an
outcome reported to a window that is no longer the breaker's decides nothing.
"""

import math
from abc import ABC, abstractmethod
from collections import deque
from dataclasses import dataclass

BUCKETS = 20


class Permit:
    """The right to make one call, of the epoch in which it was given."""

    __slots__ = ("epoch",)

    def __init__(self, epoch: int) -> None:
        self.epoch = epoch


@dataclass(frozen=True, slots=True)
class Counts:
    """The calls that a rule looks at, and how many of them failed or were slow."""

    calls: int = 0
    failures: int = 0
    slow: int = 0


@dataclass(frozen=True, slots=True)
class Rates:
    """When a window's counts open the breaker: percents of at least ``minimum_calls``."""

    minimum_calls: int
    failure_rate: float
    slow_rate: float = math.inf

    def exceeded_by(self, counts: Counts) -> bool:
        """Whether the counts must open the breaker."""
        if counts.calls < self.minimum_calls:
            return False
        return (
            100 * counts.failures >= self.failure_rate * counts.calls
            or 100 * counts.slow >= self.slow_rate * counts.calls
        )


class Window(Permit, ABC):
    """The record of one closed period, and the permit of every call in it.

    Attributes:
        successes: calls that succeeded in time; callers add to it.
        rolled: those that ``roll`` has taken out of ``successes``.
        bucket_end: the moment from which ``roll`` must be called before ``successes`` is added to;
            infinity in a window that doesn't look at time.
    """

    __slots__ = ("bucket_end", "rolled", "successes")

    def __init__(self, epoch: int) -> None:
        super().__init__(epoch)
        self.successes = self.rolled = 0
        self.bucket_end = math.inf

    def roll(self, now: float) -> None:
        """Go on to the bucket of ``now``."""

    @abstractmethod
    def record_failure(self, now: float, *, slow: bool = False) -> bool:
        """Note a failed call; True where the breaker must open."""

    def record_slow_success(self, now: float) -> bool:
        """Note a call that succeeded late; True where the breaker must open."""
        self.roll(now)
        self.successes += 1
        return False

    @abstractmethod
    def counts(self, now: float) -> Counts:
        """What the rule looks at."""


class ConsecutiveWindow(Window):
    """Opens at ``threshold`` failures with no success between them."""

    __slots__ = ("_failures", "_seen", "_threshold")

    def __init__(self, epoch: int, threshold: int) -> None:
        super().__init__(epoch)
        self._threshold = threshold
        self._failures = 0
        self._seen = 0  # successes at the last failure: more of them now end the run

    def record_failure(self, now: float, *, slow: bool = False) -> bool:  # noqa: ARG002
        self._failures = self._run() + 1
        self._seen = self.successes
        return self._failures >= self._threshold

    def counts(self, now: float) -> Counts:  # noqa: ARG002 - a run has no time
        return Counts(self._run(), self._run())

    def _run(self) -> int:
        return self._failures if self._seen == self.successes else 0


class CountWindow(Window):
    """Opens by the rates over the last ``size`` calls.

    Failed and slow calls are kept by the call's number, so that a success costs an addition: no
    ring is written.
    """

    __slots__ = ("_failed", "_others", "_rates", "_size", "_slow")

    def __init__(self, epoch: int, size: int, rates: Rates) -> None:
        super().__init__(epoch)
        self._size, self._rates = size, rates
        self._others = 0  # calls that are not in `successes`
        self._failed: deque[int] = deque()
        self._slow: deque[int] = deque()

    def record_failure(self, now: float, *, slow: bool = False) -> bool:
        self._others += 1
        number = self.successes + self._others
        self._failed.append(number)
        if slow:
            self._slow.append(number)
        return self._rates.exceeded_by(self.counts(now))

    def record_slow_success(self, now: float) -> bool:
        self._others += 1
        self._slow.append(self.successes + self._others)
        return self._rates.exceeded_by(self.counts(now))

    def counts(self, now: float) -> Counts:  # noqa: ARG002 - calls are counted, not time
        total = self.successes + self._others
        for numbers in (self._failed, self._slow):
            while numbers and numbers[0] <= total - self._size:
                numbers.popleft()
        return Counts(min(self._size, total), len(self._failed), len(self._slow))


class TimeWindow(Window):
    """Opens by the rates over the last ``seconds``, kept in 20 buckets.

    The window moves by whole buckets: it covers between 19/20 of its seconds and all of them.
    """

    __slots__ = ("_buckets", "_rates", "_totals", "_width")

    def __init__(self, epoch: int, seconds: float, rates: Rates, now: float) -> None:
        super().__init__(epoch)
        self._width, self._rates = seconds / BUCKETS, rates
        self._buckets: deque[list[int]] = deque([[0, 0, 0]])  # calls, failures, slow; newest last
        self._totals = [0, 0, 0]
        self.bucket_end = now + self._width

    def roll(self, now: float) -> None:
        self._count(0, self.successes)
        self.rolled += self.successes
        self.successes = 0
        if self.bucket_end == -math.inf:  # made before there was a clock to read
            self.bucket_end = now + self._width
            return
        passed = math.floor((now - self.bucket_end) / self._width) + 1
        if passed <= 0:
            return
        self.bucket_end += passed * self._width
        if passed >= BUCKETS:
            self._buckets = deque([[0, 0, 0]])
            self._totals = [0, 0, 0]
            return
        self._buckets.extend([0, 0, 0] for _ in range(passed))
        while len(self._buckets) > BUCKETS:
            for kind, number in enumerate(self._buckets.popleft()):
                self._totals[kind] -= number

    def record_failure(self, now: float, *, slow: bool = False) -> bool:
        self.roll(now)
        self._count(0, 1)
        self._count(1, 1)
        self._count(2, int(slow))
        return self._rates.exceeded_by(Counts(*self._totals))

    def record_slow_success(self, now: float) -> bool:
        self.roll(now)
        self._count(0, 1)
        self._count(2, 1)
        return self._rates.exceeded_by(Counts(*self._totals))

    def counts(self, now: float) -> Counts:
        self.roll(now)
        return Counts(*self._totals)

    def _count(self, kind: int, number: int) -> None:
        self._buckets[-1][kind] += number
        self._totals[kind] += number


class UncountedWindow(Window):
    """The window of a disabled breaker: it remembers nothing and never opens."""

    __slots__ = ()

    def record_failure(self, now: float, *, slow: bool = False) -> bool:  # noqa: ARG002
        return False

    def counts(self, now: float) -> Counts:  # noqa: ARG002 - there is nothing to count
        return Counts()
