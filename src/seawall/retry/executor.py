"""Running an operation under a policy: a bare ``try`` until something fails (R1)."""

from typing import Any

from anyio import CancelScope, current_time

from seawall.errors import AttemptTimeoutError
from seawall.operation import AsyncOperation
from seawall.retry.attempts import Attempts
from seawall.retry.exhaustion import ledger
from seawall.retry.policy import RetryPolicy


def retried(policy: RetryPolicy, operation: AsyncOperation, name: str) -> AsyncOperation:
    """The coroutine function that runs ``operation`` under ``policy``."""
    if policy.attempt_timeout is not None:
        operation = limited(operation, policy.attempt_timeout, name)
    if is_plain(policy):
        return _plain(policy, operation, name)
    return _bounded(policy, operation, name)


def is_plain(policy: RetryPolicy) -> bool:
    """Whether nothing is to be done before the first failure, and then nothing to be awaited."""
    return policy.deadline is None and not policy.uses_tenacity


def limited(operation: AsyncOperation, seconds: float, name: str) -> AsyncOperation:
    """``operation``, cancelled after ``seconds`` with ``AttemptTimeoutError``.

    A ``TimeoutError`` of the operation's own passes as it is.
    """

    async def attempt(*args: Any, **kwargs: Any) -> Any:
        with CancelScope(deadline=current_time() + seconds):
            return await operation(*args, **kwargs)
        # Reached only where the scope cancelled the attempt.
        raise AttemptTimeoutError(f"{name}: no result within attempt_timeout={seconds:g} s")

    return attempt


def _plain(policy: RetryPolicy, operation: AsyncOperation, name: str) -> AsyncOperation:
    async def retrying(*args: Any, **kwargs: Any) -> Any:
        since = ledger.count
        try:
            return await operation(*args, **kwargs)
        except Exception as error:
            attempts = Attempts(policy, name, since)
            if not attempts.go_on(error):
                raise
        # Out of the handler: the failed attempt's frames are free, and no exception of a later
        # attempt has this one for its context.
        return await resume(attempts, operation, args, kwargs)

    return retrying


def _bounded(policy: RetryPolicy, operation: AsyncOperation, name: str) -> AsyncOperation:
    async def retrying(*args: Any, **kwargs: Any) -> Any:
        attempts = Attempts(policy, name, ledger.count, policy.clock.monotonic())
        if policy.deadline is None:
            return await resume(attempts, operation, args, kwargs)
        with CancelScope(deadline=current_time() + policy.deadline):
            return await resume(attempts, operation, args, kwargs)
        # Reached only where the scope cancelled the call.
        raise attempts.deadline_exceeded()

    return retrying


async def resume(
    attempts: Attempts, operation: AsyncOperation, args: tuple[Any, ...], kwargs: dict[str, Any]
) -> Any:
    """Attempt until ``attempts`` gives up, after the wait that it holds."""
    while True:
        await attempts.pause()
        try:
            result = await operation(*args, **kwargs)
        except Exception as error:
            answers = None
            if attempts.asks_tenacity:
                answers = await attempts.tenacity(operation, args, kwargs).ask(
                    error, attempts.number
                )
            if not attempts.go_on(error, answers):
                raise
        else:
            attempts.succeeded()
            return result
