"""What a closed breaker remembers of its calls: pure, constant cost a call.

A success is one addition to ``successes``, made by the caller; the rule is evaluated on a failure,
since a success can't raise a failure rate. Each window belongs to one epoch: an outcome reported to
a window that is no longer the breaker's decides nothing.
"""

from abc import ABC, abstractmethod
from collections import deque


class Permit:
    """The right to make one call, of the epoch in which it was given."""

    __slots__ = ("epoch",)

    def __init__(self, epoch: int) -> None:
        self.epoch = epoch


class Window(Permit, ABC):
    """The record of one closed period, and the permit of every call in it.

    Attributes:
        successes: calls that succeeded; callers add to it.
    """

    __slots__ = ("successes",)

    def __init__(self, epoch: int) -> None:
        super().__init__(epoch)
        self.successes = 0

    @abstractmethod
    def record_failure(self) -> bool:
        """Note a failed call; True where the breaker must open."""

    @property
    @abstractmethod
    def failure_count(self) -> int:
        """Failures that the rule still remembers."""

    @property
    @abstractmethod
    def call_count(self) -> int:
        """Calls that the rule looks at."""


class ConsecutiveWindow(Window):
    """Opens at ``threshold`` failures with no success between them."""

    __slots__ = ("_failures", "_seen", "_threshold")

    def __init__(self, epoch: int, threshold: int) -> None:
        super().__init__(epoch)
        self._threshold = threshold
        self._failures = 0
        self._seen = 0  # successes at the last failure: more of them now end the run

    def record_failure(self) -> bool:
        self._failures = self.failure_count + 1
        self._seen = self.successes
        return self._failures >= self._threshold

    @property
    def failure_count(self) -> int:
        return self._failures if self._seen == self.successes else 0

    @property
    def call_count(self) -> int:
        return self.failure_count


class CountWindow(Window):
    """Opens where ``rate`` percent of the last ``size`` calls failed, of ``minimum_calls``.

    Failures are kept by the call's number, so that a success costs an addition: no ring is
    written.
    """

    __slots__ = ("_failed", "_failures", "_minimum", "_rate", "_size")

    def __init__(self, epoch: int, size: int, minimum_calls: int, rate: float) -> None:
        super().__init__(epoch)
        self._size, self._minimum, self._rate = size, minimum_calls, rate
        self._failures = 0
        self._failed: deque[int] = deque()

    def record_failure(self) -> bool:
        self._failures += 1
        self._failed.append(self.successes + self._failures)
        calls = self.call_count
        return calls >= self._minimum and 100 * self.failure_count >= self._rate * calls

    @property
    def failure_count(self) -> int:
        oldest = self.successes + self._failures - self._size
        while self._failed and self._failed[0] <= oldest:
            self._failed.popleft()
        return len(self._failed)

    @property
    def call_count(self) -> int:
        return min(self._size, self.successes + self._failures)


class UncountedWindow(Window):
    """The window of a disabled breaker: it never opens."""

    __slots__ = ("_failures",)

    def __init__(self, epoch: int) -> None:
        super().__init__(epoch)
        self._failures = 0

    def record_failure(self) -> bool:
        self._failures += 1
        return False

    @property
    def failure_count(self) -> int:
        return self._failures

    @property
    def call_count(self) -> int:
        return self.successes + self._failures
