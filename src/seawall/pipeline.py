"""Policy: fallback, retry and circuit breaker around one function, composed in one fixed order.

From outside in: fallback, deadline, retry, breaker (asked for each attempt), attempt timeout, call.
Retry and breaker share one frame, so that a success runs through no more than a ``try``.
"""

import dataclasses
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any, ParamSpec, TypeVar, overload

from seawall.circuitbreaker import CircuitBreaker
from seawall.compiled import compiled
from seawall.errors import InvalidConfigError
from seawall.fallback import fallback as fall_back_to
from seawall.operation import AsyncOperation, as_coroutine_function, like, name_of
from seawall.retry import RetryPolicy
from seawall.retry.attempts import Attempts
from seawall.retry.executor import is_plain, resume, retried
from seawall.retry.exhaustion import ledger
from seawall.timer import limited

P = ParamSpec("P")
R = TypeVar("R")


class Policy:
    """A decorator of several policies; each that is None is left out.

    The order is fixed, whatever the order of the arguments: a fallback sees only what retries
    could not help, each attempt asks the breaker anew, and an attempt that times out counts as
    the breaker's failure. May be shared between tasks and put on several functions; the functions
    then share the breaker.

    Args:
        fallback: functions that answer, in order, when the rest has failed; each gets the
            function's own arguments.
        handle: exception types that lead to a fallback.
        retry: the retries, with the call's ``deadline`` and the ``attempt_timeout``.
        breaker: the service's circuit breaker.

    Raises:
        InvalidConfigError: an argument is of another type, or none is given.
        TypeError: a fallback can't be called.
    """

    __slots__ = ("_breaker", "_fallbacks", "_handle", "_retry")

    def __init__(
        self,
        *,
        fallback: Callable[..., Any] | tuple[Callable[..., Any], ...] = (),
        handle: type[Exception] | tuple[type[Exception], ...] = Exception,
        retry: RetryPolicy | None = None,
        breaker: CircuitBreaker | None = None,
    ) -> None:
        self._fallbacks = fallback if isinstance(fallback, tuple) else (fallback,)
        self._handle = handle
        self._retry = _of_type("retry", retry, RetryPolicy)
        self._breaker = _of_type("breaker", breaker, CircuitBreaker)
        if self._fallbacks:
            fall_back_to(*self._fallbacks, handle=handle)  # refuses what can't be one
        elif retry is None and breaker is None:
            raise InvalidConfigError("Policy(): must be given a fallback, a retry or a breaker")

    @overload
    def __call__(
        self, operation: Callable[P, Awaitable[R]], /
    ) -> Callable[P, Coroutine[Any, Any, R]]: ...
    @overload
    def __call__(self, operation: Callable[P, R], /) -> Callable[P, Coroutine[Any, Any, R]]: ...
    def __call__(self, operation: Callable[..., Any], /) -> Callable[..., Any]:
        wrapped = operation
        if self._retry is not None or self._breaker is not None:
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
            CircuitOpenError: the breaker refused the call, and no fallback answered.
            DeadlineExceededError: the deadline ended the call in the middle of an attempt.
            ExceptionGroup: the call and every fallback failed.
        """
        return await self(operation)(*args, **kwargs)

    def explain(self) -> str:
        """The policies in their order, from outside in, for people."""
        retry = self._retry
        names = [name_of(each) for each in self._fallbacks]
        parts = [f"fallback to {', '.join(names)}"] if names else []
        if retry is not None:
            parts += [f"deadline {retry.deadline:g} s"] if retry.deadline else []
            parts.append(f"retry {retry.strategy}, at most {retry.max_retries} retries")
        if self._breaker is not None:
            parts.append(f"circuit breaker {self._breaker.name!r}")
        if retry is not None and retry.attempt_timeout:
            parts.append(f"attempt timeout {retry.attempt_timeout:g} s")
        return " > ".join([*parts, "call"])

    def _composed(self, operation: Callable[..., Any]) -> AsyncOperation:
        run = as_coroutine_function(operation)
        retry, breaker = self._retry, self._breaker
        if retry is None:
            return run if breaker is None else breaker.guard(run)
        name = retry.name or name_of(operation)
        if breaker is None:
            return retried(retry, run, name)
        if retry.attempt_timeout is not None:
            run = limited(run, retry.attempt_timeout, name)
        retry = dataclasses.replace(retry, attempt_timeout=None, breaker=breaker)
        if is_plain(retry) and breaker.options.is_simple:
            return _fused(retry, breaker, run, name)
        return retried(retry, breaker.guard(run), name)


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
