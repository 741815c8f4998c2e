"""The options of a circuit breaker, checked when they are built."""

import math
import random
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypedDict

from seawall.circuitbreaker.window import ConsecutiveWindow, CountWindow, Rates, TimeWindow, Window
from seawall.config import Range
from seawall.errors import InvalidConfigError


class BreakerKeywords(TypedDict, total=False):
    """The options of ``BreakerOptions`` as keywords; their meaning stands there."""

    failure_threshold: int
    failure_rate_threshold: float | None
    slow_call_duration: float | None
    slow_call_rate_threshold: float | None
    sliding_window: int
    sliding_window_seconds: float | None
    minimum_calls: int
    timeout: float
    timeout_factor: float
    max_timeout: float
    timeout_jitter: float
    permitted_calls: int
    max_wait: float | None
    recorded: tuple[type[Exception], ...] | None
    ignored: tuple[type[Exception], ...]
    failed_result: Callable[[Any], bool] | None


_PERCENT = Range(float, 0, 100, low_open=True)
_SECONDS = Range(float, low_open=True)
_RANGES = {
    "failure_threshold": Range(int, 1),
    "failure_rate_threshold": _PERCENT,
    "slow_call_duration": _SECONDS,
    "slow_call_rate_threshold": _PERCENT,
    "sliding_window": Range(int, 1),
    "sliding_window_seconds": _SECONDS,
    "minimum_calls": Range(int, 1),
    "timeout": _SECONDS,
    "timeout_factor": Range(float, 1),
    "max_timeout": _SECONDS,
    "timeout_jitter": Range(float, 0, 1),
    "permitted_calls": Range(int, 1),
    "max_wait": _SECONDS,
}
_MAY_BE_NONE = (
    "failure_rate_threshold", "slow_call_duration", "slow_call_rate_threshold",
    "sliding_window_seconds", "max_wait",
)  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class BreakerOptions:
    """When a breaker opens, for how long, and how it tries again.

    Attributes:
        failure_threshold: failures in a row that open it, where no rate is given.
        failure_rate_threshold: percent (above 0, to 100) of failed calls in the window that opens
            it, in place of ``failure_threshold``. Evaluated on each failure.
        slow_call_duration: seconds from which a call, failed or not, is slow.
        slow_call_rate_threshold: percent of slow calls in the window that opens it, beside
            ``failure_rate_threshold``.
        sliding_window: calls that the rates look back over.
        sliding_window_seconds: seconds that the rates look back over, in place of
            ``sliding_window``.
        minimum_calls: calls in the window before the rates are looked at.
        timeout: seconds that it stays open.
        timeout_factor: by what the break grows with each opening since it was last closed.
        max_timeout: seconds that a grown break never passes; ``timeout`` itself may be longer.
        timeout_jitter: share (0 to 1) by which each break varies at random, up and down.
        permitted_calls: trial calls under way at once in half-open. One that succeeds closes the
            breaker, one that fails opens it again.
        max_wait: seconds that a trial call may take; then the breaker opens again and the call
            decides nothing. None: as long as it takes.
        recorded: the exception types that count as failures, in place of the decision by error
            type.
        ignored: exception types that count neither as failure nor as success, also where they
            are ``recorded``.
        failed_result: a function of a result; True counts the call as failed. The result is
            returned all the same.

    Raises:
        InvalidConfigError: an option is out of range, or the rule could never open the breaker.
    """

    failure_threshold: int = 5
    failure_rate_threshold: float | None = None
    slow_call_duration: float | None = None
    slow_call_rate_threshold: float | None = None
    sliding_window: int = 100
    sliding_window_seconds: float | None = None
    minimum_calls: int = 20
    timeout: float = 300.0
    timeout_factor: float = 1.0
    max_timeout: float = 3600.0
    timeout_jitter: float = 0.0
    permitted_calls: int = 1
    max_wait: float | None = None
    recorded: tuple[type[Exception], ...] | None = None
    ignored: tuple[type[Exception], ...] = ()
    failed_result: Callable[[Any], bool] | None = None

    def __post_init__(self) -> None:
        for name, allowed in _RANGES.items():
            value = getattr(self, name)
            if value is not None or name not in _MAY_BE_NONE:
                allowed.check(name, value)
        self._refuse_rules_that_never_open()
        object.__setattr__(self, "ignored", _types("ignored", self.ignored))
        if self.recorded is not None:
            object.__setattr__(self, "recorded", _types("recorded", self.recorded))
        if self.failed_result is not None and not callable(self.failed_result):
            raise InvalidConfigError(
                f"failed_result={self.failed_result!r}: must be a function of a result"
            )

    def _refuse_rules_that_never_open(self) -> None:
        slow = (self.slow_call_duration, self.slow_call_rate_threshold)
        if (slow[0] is None) != (slow[1] is None):
            raise InvalidConfigError(
                f"slow_call_duration={slow[0]!r}, slow_call_rate_threshold={slow[1]!r}:"
                " one is nothing without the other; give both"
            )
        if self.failure_rate_threshold is None:
            for name in ("slow_call_rate_threshold", "sliding_window_seconds"):
                if getattr(self, name) is not None:
                    raise InvalidConfigError(
                        f"{name}={getattr(self, name)!r}: needs failure_rate_threshold too, the"
                        " percent of failed calls that opens the breaker (100 for: all of them)"
                    )
        elif self.sliding_window_seconds is None and self.minimum_calls > self.sliding_window:
            raise InvalidConfigError(
                f"minimum_calls={self.minimum_calls!r}: must not pass"
                f" sliding_window={self.sliding_window!r}, or the breaker could never open"
            )

    @property
    def is_simple(self) -> bool:
        """Whether a success is only counted: nothing looks at its time or at its result."""
        timed = self.sliding_window_seconds is not None or self.slow_call_duration is not None
        return not timed and self.failed_result is None

    @property
    def rates(self) -> Rates | None:
        """The percents that open it; None where a run of failures does."""
        if self.failure_rate_threshold is None:
            return None
        slow = self.slow_call_rate_threshold
        return Rates(
            self.minimum_calls, self.failure_rate_threshold, math.inf if slow is None else slow
        )

    def new_window(self, epoch: int, now: float) -> Window:
        """An empty record of closed calls."""
        rates = self.rates
        if rates is None:
            return ConsecutiveWindow(epoch, self.failure_threshold)
        if self.sliding_window_seconds is not None:
            return TimeWindow(epoch, self.sliding_window_seconds, rates, now)
        return CountWindow(epoch, self.sliding_window, rates)

    def open_seconds(self, opened_count: int, draw: Callable[[], float] = random.random) -> float:
        """How long opening number ``opened_count`` (from 1) since the last closing lasts."""
        try:
            grown = self.timeout * self.timeout_factor ** (opened_count - 1)
        except OverflowError:
            grown = math.inf
        capped = min(grown, max(self.timeout, self.max_timeout))
        return capped * (1 + self.timeout_jitter * (2 * draw() - 1))


def _types(name: str, given: object) -> tuple[type[Exception], ...]:
    types = given if isinstance(given, tuple) else (given,)
    for each in types:
        if not (isinstance(each, type) and issubclass(each, Exception)):
            raise InvalidConfigError(f"{name}={each!r}: must be Exception types")
    return types
