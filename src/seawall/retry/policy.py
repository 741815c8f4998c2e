"""RetryPolicy: the options of a retry, checked when it is built."""

import sys
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any, Protocol, TypedDict

from seawall.classification import Classifier, default_classifier
from seawall.clock import SYSTEM_CLOCK, Clock
from seawall.config import Range
from seawall.errors import InvalidConfigError
from seawall.events import EventBus, default_bus
from seawall.retry.matching import Matcher, RetryOn, is_tenacity_object, matcher_of
from seawall.retry.strategy import RetryStrategy

WaitObject = Callable[[Any], float] | Callable[[Any], Awaitable[float]]
StopObject = Callable[[Any], bool] | Callable[[Any], Awaitable[bool]]


class Gate(Protocol):
    """What a retry asks of the operation's circuit breaker."""

    def is_open(self) -> bool:
        """Whether calls are refused now."""
        ...


class RetryOptions(TypedDict, total=False):
    """The options of ``RetryPolicy`` as keywords; their meaning stands there."""

    max_retries: int
    initial_delay: float
    backoff_factor: float
    max_delay: float
    jitter_range: float
    strategy: RetryStrategy
    deadline: float | None
    attempt_timeout: float | None
    retry_on: RetryOn | None
    wait: WaitObject | None
    stop: StopObject | None
    retry_exhausted: bool
    breaker: Gate | None
    classifier: Classifier
    bus: EventBus
    clock: Clock
    name: str | None


_RANGES = {
    "max_retries": Range(int),
    "initial_delay": Range(float),
    "backoff_factor": Range(float, 1),
    "max_delay": Range(float),
    "jitter_range": Range(float, 0, 1),
}
_SECONDS = Range(float, low_open=True)


@dataclass(frozen=True, slots=True, kw_only=True)
class RetryPolicy:
    """When a failed call is tried again, and after what wait.

    Holds no state of any call: one policy may be shared by all tasks and threads.

    Attributes:
        max_retries: retries after the first attempt; 3 means at most 4 attempts. SYSTEM failures
            are retried twice at the most, CONFIGURATION and DATA failures never.
        initial_delay: seconds before the first retry.
        backoff_factor: by what the wait grows at each retry (1 or more).
        max_delay: seconds, the cap of the computed wait before its random spread. A server's
            Retry-After is honoured above it.
        jitter_range: share (0 to 1) by which the exponential wait varies at random, up and down.
        strategy: how the wait is computed.
        deadline: seconds for the whole call, waits included; no wait is begun that it can't fit.
        attempt_timeout: seconds for one attempt, which is cancelled then and counts as failed. A
            plain function's thread can't be cancelled and ends by itself. A breaker decorated
            below the retry sees a cancellation and counts nothing; in a ``Policy`` it counts.
        retry_on: takes the place of the decision by error type: exception types, a function of
            the exception, or a tenacity ``retry_if_*`` object. Never shown a cancellation. A
            refusal (``CircuitOpenError``) is retried only where its own type is named or a
            function says so.
        wait: a tenacity ``wait_*`` object, in place of ``strategy``.
        stop: a tenacity ``stop_*`` object, in place of ``max_retries``.
        retry_exhausted: retry also what an inner retry gave up on.
        breaker: the operation's circuit breaker, for ``RetryStrategy.CIRCUIT_BREAKER``; found by
            itself where the function is decorated with one.
        classifier: decides the error type.
        bus: takes ``RetryScheduled``, ``RetrySucceeded`` and ``RetryExhausted``.
        clock: gives the time and the sleep; timeouts run on the event loop's clock.
        name: the operation's name in notes and events; None: the function's own.

    Raises:
        InvalidConfigError: an option is out of range; the message says what would be right.
    """

    max_retries: int = 3
    initial_delay: float = 1.0
    backoff_factor: float = 2.0
    max_delay: float = 300.0
    jitter_range: float = 0.1
    strategy: RetryStrategy = RetryStrategy.EXPONENTIAL_BACKOFF
    deadline: float | None = None
    attempt_timeout: float | None = None
    retry_on: RetryOn | None = None
    wait: WaitObject | None = None
    stop: StopObject | None = None
    retry_exhausted: bool = False
    breaker: Gate | None = None
    classifier: Classifier = default_classifier
    bus: EventBus = default_bus
    clock: Clock = SYSTEM_CLOCK
    name: str | None = None
    # Made from the options once, not at each failure.
    matcher: Matcher | None = field(init=False, repr=False, compare=False)
    uses_tenacity: bool = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        for name, allowed in _RANGES.items():
            allowed.check(name, getattr(self, name))
        for name in ("deadline", "attempt_timeout"):
            if getattr(self, name) is not None:
                _SECONDS.check(name, getattr(self, name))
        if self.initial_delay > self.max_delay:
            raise InvalidConfigError(
                f"initial_delay={self.initial_delay!r}: must not pass max_delay={self.max_delay!r}"
            )
        for name in ("wait", "stop"):
            value = getattr(self, name)
            if value is not None and not callable(value):
                raise InvalidConfigError(f"{name}={value!r}: must be a tenacity {name}_* object")
        object.__setattr__(self, "strategy", _strategy(self.strategy))
        object.__setattr__(self, "matcher", matcher_of(self.retry_on))
        foreign = self.wait is not None or self.stop is not None
        object.__setattr__(self, "uses_tenacity", foreign or is_tenacity_object(self.retry_on))

    @property
    def retry_limit(self) -> int:
        """Retries at the most, before the error type is looked at."""
        return self.max_retries if self.stop is None else sys.maxsize


def _strategy(value: str) -> RetryStrategy:
    try:
        return RetryStrategy(value)
    except ValueError:
        known = ", ".join(RetryStrategy)
        raise InvalidConfigError(f"strategy={value!r}: must be one of {known}") from None
