"""Policy: what protects one function, composed in one fixed order and compiled.

From outside in: fallback, deadline, retry (with its budget), hedge, breaker (asked for each
attempt), bulkhead, rate limiter, attempt timeout, call. Retry and breaker share one frame, so that
a success runs through no more than a ``try``.
"""

import dataclasses
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any, ParamSpec, TypeVar, overload

from seawall.bulkhead import Bulkhead
from seawall.circuitbreaker import CircuitBreaker
from seawall.compiled import compiled
from seawall.config import Range
from seawall.errors import InvalidConfigError
from seawall.fallback import Handled, LastGood
from seawall.fallback import fallback as fall_back_to
from seawall.hedge import Hedge
from seawall.operation import AsyncOperation, as_coroutine_function, like, name_of
from seawall.ratelimiter import RateLimiter
from seawall.retry import RetryPolicy
from seawall.retry.attempts import Attempts
from seawall.retry.executor import is_plain, resume, retried
from seawall.retry.exhaustion import ledger
from seawall.timer import limited

P = ParamSpec("P")
R = TypeVar("R")

_SECONDS = Range(float, low_open=True)


class Policy:
    """A decorator of several policies; each that is None is left out.

    The order is fixed, whatever the order of the arguments: a fallback sees only what retries
    could not help; each attempt asks the breaker, the bulkhead and the rate limiter anew; an
    attempt that times out counts as the breaker's failure; a refusal is no failure of the service
    and isn't retried unless ``retry_on`` names it. May be shared between tasks and put on several
    functions; these then share the breaker, the slots and the tokens.

    Args:
        name: for people and configuration.
        fallback: functions (or ``LastGood``) that answer, in order, when the rest has failed; each
            gets the function's own arguments.
        handle: exception types and error types that lead to a fallback.
        deadline: seconds for the whole call, retries and waits included.
        retry: the retries.
        hedge: a second attempt beside a slow one.
        breaker: the service's circuit breaker.
        bulkhead: how many calls at once.
        rate_limiter: how many calls in a time.
        timeout: seconds for each attempt.

    Raises:
        InvalidConfigError: an argument is of another type, given twice, or none is given.
        TypeError: a fallback can't be called.
    """

    __slots__ = (
        "_breaker", "_bulkhead", "_fallbacks", "_handle", "_hedge", "_limiter", "_retry",
        "_timeout", "name",
    )  # fmt: skip

    def __init__(
        self,
        *,
        name: str | None = None,
        fallback: Callable[..., Any] | LastGood | tuple[Callable[..., Any] | LastGood, ...] = (),
        handle: Handled = Exception,
        deadline: float | None = None,
        retry: RetryPolicy | None = None,
        hedge: Hedge | None = None,
        breaker: CircuitBreaker | None = None,
        bulkhead: Bulkhead | None = None,
        rate_limiter: RateLimiter | None = None,
        timeout: float | None = None,
    ) -> None:
        self.name = name
        self._fallbacks = fallback if isinstance(fallback, tuple) else (fallback,)
        self._handle = handle
        if self._fallbacks:
            fall_back_to(*self._fallbacks, handle=handle)  # refuses what can't be one
        self._retry = _with_deadline(_of_type("retry", retry, RetryPolicy), deadline)
        self._hedge = _of_type("hedge", hedge, Hedge)
        self._breaker = _of_type("breaker", breaker, CircuitBreaker)
        self._bulkhead = _of_type("bulkhead", bulkhead, Bulkhead)
        self._limiter = _of_type("rate_limiter", rate_limiter, RateLimiter)
        self._timeout = _one_timeout(timeout, self._retry)
        if not self._fallbacks and not self._parts():
            raise InvalidConfigError("Policy(): must be given at least one policy")

    @overload
    def __call__(
        self, operation: Callable[P, Awaitable[R]], /
    ) -> Callable[P, Coroutine[Any, Any, R]]: ...
    @overload
    def __call__(self, operation: Callable[P, R], /) -> Callable[P, Coroutine[Any, Any, R]]: ...
    def __call__(self, operation: Callable[..., Any], /) -> Callable[..., Any]:
        wrapped = operation
        if self._parts():
            wrapped = like(operation, self._composed(operation))
        if self._breaker is not None:
            wrapped.__dict__["circuit_breaker"] = self._breaker
        if not self._fallbacks:
            return wrapped
        return fall_back_to(*self._fallbacks, handle=self._handle)(wrapped)

    @overload
    async def call(
        self, operation: Callable[P, Awaitable[R]], /, *args: P.args, **kwargs: P.kwargs
    ) -> R: ...
    @overload
    async def call(self, operation: Callable[P, R], /, *args: P.args, **kwargs: P.kwargs) -> R: ...
    async def call(self, operation: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Any:
        """Call ``operation`` under the policies.

        Raises:
            CircuitOpenError, BulkheadFullError, RateLimitedError: the call was refused, and no
                fallback answered.
            DeadlineExceededError: the deadline ended the call in the middle of an attempt.
            AttemptTimeoutError: the last attempt took longer than ``timeout``.
            ExceptionGroup: the call and every fallback failed.
        """
        return await self(operation)(*args, **kwargs)

    def explain(self) -> str:
        """The policies in their order, from outside in, for people."""
        names = [
            "the last good value" if isinstance(each, LastGood) else name_of(each)
            for each in self._fallbacks
        ]
        parts = [f"fallback to {', '.join(names)}"] if names else []
        return " > ".join([*parts, *self._parts(), "call"])

    def _parts(self) -> list[str]:
        """Each policy but the fallback, in its place."""
        retry, seconds = self._retry, self._timeout
        described = (
            retry and retry.deadline and f"deadline {retry.deadline:g} s",
            retry and f"retry {retry.strategy}, at most {retry.max_retries} retries",
            retry and retry.tokens and f"within the retry budget {retry.tokens.name!r}",
            self._hedge and "hedge",
            self._breaker and f"circuit breaker {self._breaker.name!r}",
            self._bulkhead and f"bulkhead {self._bulkhead.name!r}",
            self._limiter and f"rate limiter {self._limiter.name!r}",
            seconds and f"attempt timeout {seconds:g} s",
        )
        return [each for each in described if isinstance(each, str)]

    def _composed(self, operation: Callable[..., Any]) -> AsyncOperation:
        """From inside out, so that what is composed last is asked first."""
        run, called = as_coroutine_function(operation), name_of(operation)
        if self._timeout is not None:
            run = limited(run, self._timeout, called)
        if self._limiter is not None:
            run = self._limiter.guard(run)
        if self._bulkhead is not None:
            run = self._bulkhead.guard(run)
        retry, breaker = self._retry, self._breaker
        if retry is not None:
            called = retry.name or called
            retry = dataclasses.replace(
                retry, attempt_timeout=None, breaker=breaker or retry.breaker
            )
            simple = breaker is not None and breaker.options.is_simple and self._hedge is None
            if breaker is not None and simple and is_plain(retry) and retry.tokens is None:
                return _fused(retry, breaker, run, called)
        if breaker is not None:
            run = breaker.guard(run)
        if self._hedge is not None:
            run = self._hedge.guard(run, called)
        return run if retry is None else retried(retry, run, called)


def _with_deadline(retry: RetryPolicy | None, deadline: float | None) -> RetryPolicy | None:
    if deadline is None:
        return retry
    _SECONDS.check("deadline", deadline)
    if retry is None:
        return RetryPolicy(max_retries=0, deadline=deadline)
    if retry.deadline is not None:
        raise InvalidConfigError(
            f"deadline={deadline!r}: the retry has deadline={retry.deadline!r}; give it once"
        )
    return dataclasses.replace(retry, deadline=deadline)


def _one_timeout(timeout: float | None, retry: RetryPolicy | None) -> float | None:
    of_retry = None if retry is None else retry.attempt_timeout
    if timeout is None:
        return of_retry
    _SECONDS.check("timeout", timeout)
    if of_retry is not None:
        raise InvalidConfigError(
            f"timeout={timeout!r}: the retry has attempt_timeout={of_retry!r}; give it once"
        )
    return timeout


def _fused(
    policy: RetryPolicy, breaker: CircuitBreaker, operation: AsyncOperation, name: str
) -> AsyncOperation:
    """Retry around breaker in one frame, while the breaker is closed."""
    guarded = breaker.guard(operation)
    return compiled(
        _FUSED,
        operation,
        machine=breaker.machine,
        on_error=breaker.on_error,
        otherwise=retried(policy, guarded, name),
        guarded=guarded,
        ledger=ledger,
        policy=policy,
        name=name,
        Attempts=Attempts,
        monotonic=policy.clock.monotonic,
        resume=resume,
    )


# As the breaker's own guard, with the retry's first attempt in the same frame.
_FUSED = """
async def retrying($params):
    window = machine.window
    if window is None:
        return await otherwise($passed)
    since = ledger.count
    try:
        result = await operation($passed)
    except Exception as error:
        on_error(window, error)
        attempts = Attempts(policy, name, since, monotonic(), False)
        if not attempts.go_on(error):
            raise
    else:
        window.successes += 1
        return result
    return await resume(attempts, guarded, $packed)
"""


def _of_type(name: str, value: R, kind: type) -> R:
    if value is not None and not isinstance(value, kind):
        raise InvalidConfigError(f"{name}={value!r}: must be a {kind.__name__} or None")
    return value
