"""RetryPolicy: the options of a retry, checked when it is built."""

import functools
import sys
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import Any, Protocol, TypedDict, TypeVar

from seawall.classification import Classifier, ErrorType, default_classifier, is_throttled
from seawall.clock import SYSTEM_CLOCK, Clock
from seawall.config import Range
from seawall.errors import InvalidConfigError
from seawall.events import EventBus, default_bus
from seawall.operation import is_async
from seawall.retry.backoff import Waits, waits_of
from seawall.retry.budget import RetryBudget
from seawall.retry.matching import Matcher, RetryOn, is_tenacity_object, matcher_of
from seawall.retry.record import RetryInfo
from seawall.retry.strategy import Jitter, RetryStrategy

WaitObject = Callable[[Any], float] | Callable[[Any], Awaitable[float]]
StopObject = Callable[[Any], bool] | Callable[[Any], Awaitable[bool]]
Hook = Callable[[RetryInfo], object]
Overrides = Mapping[str, Any]
E = TypeVar("E", bound=StrEnum)


class Gate(Protocol):
    """What a retry asks of the operation's circuit breaker."""

    def is_open(self) -> bool:
        """Whether calls are refused now."""
        ...


class Tuner(Protocol):
    """What knows better numbers for an operation's failures of a kind."""

    def overrides(self, operation: str, error_type: ErrorType | None) -> Overrides | None:
        """Options that hold in place of the policy's; None where its own do.

        Asked at each failure, so it must be quick. ``max_retries``, and the waits, all or none:
        ``initial_delay``, ``backoff_factor``, ``max_delay``; the same object until they change.
        """
        ...


class RetryOptions(TypedDict, total=False):
    """The options of ``RetryPolicy`` as keywords; their meaning stands there."""

    max_retries: int
    initial_delay: float
    backoff_factor: float
    max_delay: float
    jitter_range: float
    strategy: RetryStrategy
    jitter: Jitter | None
    deadline: float | None
    attempt_timeout: float | None
    retry_on: RetryOn | None
    retry_if_result: Callable[[Any], bool] | None
    by_error_type: Mapping[ErrorType, Overrides]
    throttled: Overrides | None
    budget: RetryBudget | str | None
    cap: Callable[[int], int] | None
    wait: WaitObject | None
    stop: StopObject | None
    retry_exhausted: bool
    resume_from: str | None
    breaker: Gate | None
    tuner: Tuner | None
    before_attempt: Hook | None
    before_wait: Hook | None
    on_give_up: Hook | None
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
# What may differ by the kind of a failure: how often it is retried, and how long to wait.
_OVERRIDES = (
    "max_retries", "initial_delay", "backoff_factor", "max_delay", "jitter_range", "strategy",
    "jitter",
)  # fmt: skip
_HOOKS = ("before_attempt", "before_wait", "on_give_up")


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
        strategy: how the wait grows.
        jitter: how chance varies it; None: as is usual for the strategy.
        deadline: seconds for the whole call, waits included; no wait is begun that it can't fit.
            Policies inside the call see it: theirs begin no wait that it can't fit either.
        attempt_timeout: seconds for one attempt, which is cancelled then and counts as failed. A
            plain function's thread can't be cancelled and ends by itself. A breaker decorated
            below the retry sees a cancellation and counts nothing; in a ``Policy`` it counts.
        retry_on: takes the place of the decision by error type: exception types, a function of
            the exception, or a tenacity ``retry_if_*`` object. Never shown a cancellation. A
            refusal (``CircuitOpenError``) is retried only where its own type is named or a
            function says so.
        retry_if_result: a function of a result; True retries the call as if it had failed. When
            retries are used up, the last result is returned.
        by_error_type: options that differ for failures of a kind: ``{ErrorType.TRANSIENT:
            {"initial_delay": 0.1}}``.
        throttled: options that differ where the server said that it is asked too often (HTTP 429,
            gRPC RESOURCE_EXHAUSTED, AWS's throttling codes); before ``by_error_type``.
        budget: takes a token a retry, or the name of a process-wide one.
        cap: asked at each failure: how many of that many retries are allowed just now. Must be
            cheap and not raise.
        wait: a tenacity ``wait_*`` object, in place of ``strategy``.
        stop: a tenacity ``stop_*`` object, in place of ``max_retries``.
        retry_exhausted: retry also what an inner retry gave up on.
        resume_from: for an async generator: the name of its parameter that takes the last item
            that was yielded, so that a restart goes on behind it. Without it a generator is
            restarted only before its first item.
        breaker: the operation's circuit breaker, for ``RetryStrategy.CIRCUIT_BREAKER``; found by
            itself where the function is decorated with one.
        tuner: gives numbers that were learned, by operation and error type; what ``by_error_type``
            and ``throttled`` say comes before it.
        before_attempt: called with a ``RetryInfo`` before each attempt but the first.
        before_wait: called before each wait.
        on_give_up: called when the call is given up. Hooks are plain functions; one that raises is
            logged and changes nothing.
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
    jitter: Jitter | None = None
    deadline: float | None = None
    attempt_timeout: float | None = None
    retry_on: RetryOn | None = None
    retry_if_result: Callable[[Any], bool] | None = None
    by_error_type: Mapping[ErrorType, Overrides] = field(default_factory=dict, hash=False)
    throttled: Overrides | None = field(default=None, hash=False)
    budget: RetryBudget | str | None = None
    cap: Callable[[int], int] | None = None
    wait: WaitObject | None = None
    stop: StopObject | None = None
    retry_exhausted: bool = False
    resume_from: str | None = None
    breaker: Gate | None = None
    tuner: Tuner | None = field(default=None, hash=False)
    before_attempt: Hook | None = None
    before_wait: Hook | None = None
    on_give_up: Hook | None = None
    classifier: Classifier = default_classifier
    bus: EventBus = default_bus
    clock: Clock = SYSTEM_CLOCK
    name: str | None = None
    # Made from the options once, not at each failure.
    waits: Waits = field(init=False, repr=False, compare=False)
    retry_limit: int = field(init=False, repr=False, compare=False)
    asks_breaker: bool = field(init=False, repr=False, compare=False)
    matcher: Matcher | None = field(init=False, repr=False, compare=False)
    uses_tenacity: bool = field(init=False, repr=False, compare=False)
    asks_more: bool = field(init=False, repr=False, compare=False)
    looks_at_successes: bool = field(init=False, repr=False, compare=False)
    is_bounded: bool = field(init=False, repr=False, compare=False)
    has_hooks: bool = field(init=False, repr=False, compare=False)
    has_variants: bool = field(init=False, repr=False, compare=False)
    tokens: RetryBudget | None = field(init=False, repr=False, compare=False)
    variants: dict[ErrorType, "RetryPolicy"] = field(init=False, repr=False, compare=False)
    throttled_variant: "RetryPolicy | None" = field(init=False, repr=False, compare=False)
    # The last overrides, and the policy made of them; a pair, so that threads see both or neither.
    tuned_variant: "tuple[Overrides, RetryPolicy] | None" = field(
        init=False, repr=False, compare=False
    )

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
        _refuse_what_cannot_be_called(self)
        keep = functools.partial(object.__setattr__, self)
        keep("strategy", _member(RetryStrategy, "strategy", self.strategy))
        keep("jitter", None if self.jitter is None else _member(Jitter, "jitter", self.jitter))
        keep("waits", waits_of(self.strategy, self.jitter))
        keep("asks_breaker", self.strategy is RetryStrategy.CIRCUIT_BREAKER)
        keep("retry_limit", self.max_retries if self.stop is None else sys.maxsize)
        keep("matcher", matcher_of(self.retry_on))
        foreign = self.wait is not None or self.stop is not None
        keep("uses_tenacity", foreign or is_tenacity_object(self.retry_on))
        keep("asks_more", self.asks_breaker or self.uses_tenacity or self.matcher is not None)
        keep("has_hooks", any(getattr(self, name) is not None for name in _HOOKS))
        keep("tokens", _budget(self.budget))
        keep("looks_at_successes", self.tokens is not None or self.retry_if_result is not None)
        keep("is_bounded", any(each is not None for each in (self.tokens, self.deadline, self.cap)))
        keep("tuned_variant", None)
        keep("variants", {})
        if self.by_error_type:
            kinds = self.by_error_type.items()
            keep("variants", {_kind(kind): _variant(self, given) for kind, given in kinds})
        throttled = self.throttled
        keep("throttled_variant", None if throttled is None else _variant(self, throttled))
        varies = bool(self.by_error_type) or throttled is not None
        keep("has_variants", varies or self.tuner is not None)

    def options_for(
        self, error: Exception, error_type: ErrorType | None, operation: str
    ) -> "RetryPolicy":
        """The policy whose numbers hold for this failure of the operation."""
        if self.throttled_variant is not None and is_throttled(error):
            return self.throttled_variant
        found = None if error_type is None else self.variants.get(error_type)
        return self._tuned(operation, error_type) if found is None else found

    def _tuned(self, operation: str, error_type: ErrorType | None) -> "RetryPolicy":
        given = None if self.tuner is None else self.tuner.overrides(operation, error_type)
        if given is None:
            return self
        known = self.tuned_variant
        if known is None or known[0] is not given:
            known = (given, _variant(self, given))
            object.__setattr__(self, "tuned_variant", known)
        return known[1]


def _refuse_what_cannot_be_called(policy: RetryPolicy) -> None:
    for name in (*_HOOKS, "retry_if_result", "cap"):
        value = getattr(policy, name)
        if value is not None and (not callable(value) or is_async(value)):
            raise InvalidConfigError(f"{name}={value!r}: must be a plain function")


def _member(kind: type[E], name: str, value: str) -> E:
    try:
        return kind(value)
    except ValueError:
        known = ", ".join(kind)
        raise InvalidConfigError(f"{name}={value!r}: must be one of {known}") from None


def _kind(value: str) -> ErrorType:
    return _member(ErrorType, "by_error_type", value)


def _budget(given: object) -> RetryBudget | None:
    if given is None or isinstance(given, RetryBudget):
        return given
    if isinstance(given, str):
        return RetryBudget.of(given)
    raise InvalidConfigError(f"budget={given!r}: must be a RetryBudget or the name of one")


def _variant(policy: RetryPolicy, given: object) -> RetryPolicy:
    if not isinstance(given, Mapping):
        raise InvalidConfigError(f"{given!r}: must be a mapping of options to values")
    for name in given:
        if name not in _OVERRIDES:
            raise InvalidConfigError(
                f"{name!r} can't differ by the kind of a failure; {', '.join(_OVERRIDES)} can"
            )
    return replace(policy, by_error_type={}, throttled=None, **given)
