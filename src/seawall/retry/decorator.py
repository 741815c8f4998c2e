"""``retry`` as a decorator, and ``call`` for one call."""

import dataclasses
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Coroutine
from typing import Any, ParamSpec, Protocol, TypeVar, Unpack, overload

from seawall.errors import InvalidConfigError
from seawall.operation import as_coroutine_function, like, name_of
from seawall.retry.executor import retried
from seawall.retry.generator import generated, is_generator
from seawall.retry.policy import RetryOptions, RetryPolicy
from seawall.retry.strategy import RetryStrategy

P = ParamSpec("P")
R = TypeVar("R")


class RetryDecorator(Protocol):
    """A decorator of async and plain functions and of async generators."""

    @overload
    def __call__(  # type: ignore[overload-overlap]  # an async iterator is more than any R
        self, operation: Callable[P, AsyncIterator[R]], /
    ) -> Callable[P, AsyncGenerator[R, None]]: ...
    @overload
    def __call__(
        self, operation: Callable[P, Awaitable[R]], /
    ) -> Callable[P, Coroutine[Any, Any, R]]: ...
    @overload
    def __call__(self, operation: Callable[P, R], /) -> Callable[P, Coroutine[Any, Any, R]]: ...


@overload
def retry(policy: RetryPolicy, /) -> RetryDecorator: ...
@overload
def retry(  # type: ignore[overload-overlap]  # an async iterator is more than any R
    operation: Callable[P, AsyncIterator[R]], /
) -> Callable[P, AsyncGenerator[R, None]]: ...
@overload
def retry(operation: Callable[P, Awaitable[R]], /) -> Callable[P, Coroutine[Any, Any, R]]: ...
@overload
def retry(operation: Callable[P, R], /) -> Callable[P, Coroutine[Any, Any, R]]: ...
@overload
def retry(**options: Unpack[RetryOptions]) -> RetryDecorator: ...
def retry(subject: Any = None, /, **options: Any) -> Any:
    """Retry a function's failures: ``@retry``, ``@retry(max_retries=5)`` or ``@retry(policy)``.

    Works on async functions and methods, callable objects with an async ``__call__``, partials of
    these, and on plain functions, which become async and run in a worker thread. The first attempt
    costs a ``try`` and nothing else. The exception that leaves is the function's own, with a note:
    the attempts, the elapsed seconds and why they stopped. Cancellation is never retried.

    An async generator is started again where it fails, before its first item or from the one that
    ``resume_from`` gets; each item that comes ends the count of failures.

    Args:
        subject: the function, or a ``RetryPolicy``.
        **options: those of ``RetryPolicy``.

    Raises:
        InvalidConfigError: an option is unknown or out of range.
        TypeError: the function is a plain generator or can't be called; raised at decoration.
    """
    if isinstance(subject, RetryPolicy):
        policy = dataclasses.replace(subject, **options) if options else subject
        return lambda operation: decorated(policy, operation)
    policy = RetryPolicy(**options)
    if subject is not None:
        return decorated(policy, subject)
    return lambda operation: decorated(policy, operation)


def decorated(policy: RetryPolicy, operation: Callable[..., Any]) -> Callable[..., Any]:
    """The function under the policy, with its own name and signature."""
    if is_generator(operation):
        return generated(policy, operation)
    if policy.resume_from is not None:
        raise InvalidConfigError(
            f"resume_from={policy.resume_from!r}: is for async generators; {operation!r} is none"
        )
    run = as_coroutine_function(operation)
    policy = with_breaker_of(operation, policy)
    return like(operation, retried(policy, run, policy.name or name_of(operation)))


def with_breaker_of(operation: Callable[..., Any], policy: RetryPolicy) -> RetryPolicy:
    """The policy, knowing the circuit breaker that decorates the operation."""
    if policy.strategy is not RetryStrategy.CIRCUIT_BREAKER or policy.breaker is not None:
        return policy
    found = getattr(operation, "circuit_breaker", None)
    if not callable(getattr(found, "is_open", None)):
        return policy
    return dataclasses.replace(policy, breaker=found)


@overload
async def call(
    policy: RetryPolicy, operation: Callable[P, Awaitable[R]], /, *args: P.args, **kwargs: P.kwargs
) -> R: ...
@overload
async def call(
    policy: RetryPolicy, operation: Callable[P, R], /, *args: P.args, **kwargs: P.kwargs
) -> R: ...
async def call(
    policy: RetryPolicy, operation: Callable[..., Any], /, *args: Any, **kwargs: Any
) -> Any:
    """Call ``operation`` under ``policy``; returns its result or raises its own last exception.

    Raises:
        DeadlineExceededError: the policy's deadline ended the call in the middle of an attempt.
        AttemptTimeoutError: the last attempt allowed took longer than ``attempt_timeout``.
        TypeError: ``operation`` is a generator or can't be called.
    """
    policy = with_breaker_of(operation, policy)
    run = as_coroutine_function(operation)
    return await retried(policy, run, policy.name or name_of(operation))(*args, **kwargs)
