"""Limits that follow what a service can take: pure rules from latencies to a number of calls."""

import math
from dataclasses import dataclass
from typing import Protocol

from seawall.config import Range
from seawall.errors import InvalidConfigError

_COUNT = Range(int, 1)
_SECONDS = Range(float, low_open=True)


class Limit(Protocol):
    """A rule; holds the state of one bulkhead, so each bulkhead has its own."""

    @property
    def current(self) -> int:
        """Calls allowed at once, now."""
        ...

    def sample(self, latency: float, in_flight: int, *, dropped: bool) -> None:
        """Learn from one call.

        Args:
            latency: seconds that it took.
            in_flight: calls under way when it ended, itself included.
            dropped: whether it failed as an overloaded service fails.
        """
        ...


@dataclass(slots=True, kw_only=True)
class AIMD:
    """One more after as many calls as it allows at once; ``backoff_ratio`` of it after a drop.

    Additive increase, multiplicative decrease (Chiu and Jain, 1989), once for all calls that were
    under way together, as in TCP. Netflix's concurrency-limits has it as ``AIMDLimit``.

    Args:
        initial_limit: calls at the start.
        min_limit, max_limit: what it never leaves.
        backoff_ratio: factor after a drop.
        timeout: seconds from which a call counts as dropped; None: by its failure only.
    """

    initial_limit: int = 20
    min_limit: int = 1
    max_limit: int = 200
    backoff_ratio: float = 0.9
    timeout: float | None = None
    _limit: float = 0.0
    _older: int = 0  # calls that began before the last decrease: their drops are the same one

    def __post_init__(self) -> None:
        _check_limits(self.initial_limit, self.min_limit, self.max_limit)
        Range(float, 0, 1, low_open=True).check("backoff_ratio", self.backoff_ratio)
        if self.timeout is not None:
            _SECONDS.check("timeout", self.timeout)
        self._limit = float(self.initial_limit)

    @property
    def current(self) -> int:
        return int(self._limit)

    def sample(self, latency: float, in_flight: int, *, dropped: bool) -> None:
        is_older = self._older > 0
        self._older -= is_older
        if dropped or (self.timeout is not None and latency > self.timeout):
            if is_older:
                return
            self._older = in_flight - 1
            changed = self._limit * self.backoff_ratio
        elif 2 * in_flight >= self._limit:
            changed = self._limit + 1 / self._limit
        else:
            return  # the limit isn't what holds the calls back: nothing is learnt about it
        self._limit = min(max(changed, self.min_limit), self.max_limit)


@dataclass(slots=True, kw_only=True)
class Gradient:
    """Follows the ratio of the usual latency to the present one.

    Where calls take as long as they usually do, the limit grows by a small queue; where they take
    longer than ``tolerance`` times that, it shrinks in proportion. As Netflix's
    concurrency-limits ``Gradient2Limit``.

    Args:
        initial_limit: calls at the start.
        min_limit, max_limit: what it never leaves.
        tolerance: how much longer than usual a call may take, as a factor.
        smoothing: share (0 to 1) of each new limit in the next.
        queue: calls that may wait in the service, at the square root of the limit at least.
        window: calls that the usual latency looks back over, about.
    """

    initial_limit: int = 20
    min_limit: int = 1
    max_limit: int = 200
    tolerance: float = 1.5
    smoothing: float = 0.2
    queue: int = 4
    window: int = 600
    _limit: float = 0.0
    _usual: float = 0.0

    def __post_init__(self) -> None:
        _check_limits(self.initial_limit, self.min_limit, self.max_limit)
        Range(float, 1).check("tolerance", self.tolerance)
        Range(float, 0, 1, low_open=True).check("smoothing", self.smoothing)
        Range(int).check("queue", self.queue)
        _COUNT.check("window", self.window)
        self._limit = float(self.initial_limit)

    @property
    def current(self) -> int:
        return int(self._limit)

    def sample(self, latency: float, in_flight: int, *, dropped: bool) -> None:
        if dropped:
            self._move(self._limit * 0.5)
            return
        latency = max(latency, 1e-9)
        self._usual += (latency - self._usual) / self.window if self._usual else latency
        # A latency that has come down for good must not be held to be unusually quick for ever.
        if self._usual > 2 * latency:
            self._usual *= 0.95
        if 2 * in_flight < self._limit:
            return  # the limit isn't what holds the calls back: nothing is learnt about it
        gradient = max(0.5, min(1.0, self.tolerance * self._usual / latency))
        self._move(self._limit * gradient + max(self.queue, math.sqrt(self._limit) / 4))

    def _move(self, limit: float) -> None:
        smoothed = self._limit * (1 - self.smoothing) + limit * self.smoothing
        self._limit = min(max(smoothed, self.min_limit), self.max_limit)


def _check_limits(initial: int, low: int, high: int) -> None:
    for name, value in (("initial_limit", initial), ("min_limit", low), ("max_limit", high)):
        _COUNT.check(name, value)
    if not low <= initial <= high:
        raise InvalidConfigError(
            f"initial_limit={initial!r}: must lie between min_limit={low!r} and max_limit={high!r}"
        )
