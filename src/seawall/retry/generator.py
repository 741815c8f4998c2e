"""Retry on an async generator: started again from where its reader is."""

import functools
import inspect
from collections.abc import AsyncGenerator, Callable, Coroutine
from contextlib import aclosing
from typing import Any

from seawall.errors import InvalidConfigError
from seawall.operation import name_of
from seawall.retry.attempts import Attempts
from seawall.retry.exhaustion import ledger
from seawall.retry.policy import RetryPolicy
from seawall.timer import limited


def is_generator(operation: Callable[..., Any]) -> bool:
    """Whether calling it makes an async generator."""
    return inspect.isasyncgenfunction(operation)


def generated(policy: RetryPolicy, operation: Callable[..., Any]) -> Callable[..., Any]:
    """The generator function under the policy.

    ``attempt_timeout`` bounds the time to each item.

    Raises:
        InvalidConfigError: an option makes no sense for a generator.
    """
    _refuse(policy, operation)
    name = policy.name or name_of(operation)
    signature = inspect.signature(operation)

    @functools.wraps(operation)
    async def generating(*args: Any, **kwargs: Any) -> AsyncGenerator[Any, None]:
        reading = _Reading(policy, name)
        while True:
            async with aclosing(operation(*args, **kwargs)) as stream:
                read = stream.__anext__
                if policy.attempt_timeout is not None:
                    read = limited(read, policy.attempt_timeout, name)
                while await reading.advanced(read):
                    # Out of every handler: what the reader throws in is the reader's own.
                    yield reading.item
                    reading.has_yielded = True
            if reading.is_over:
                return
            if reading.has_yielded and policy.resume_from is not None:
                bound = signature.bind(*args, **kwargs)
                bound.arguments[policy.resume_from] = reading.item
                args, kwargs = bound.args, bound.kwargs
            await reading.pause()

    return generating


class _Reading:
    """One reader's place in a generator that may be started again."""

    __slots__ = ("_attempts", "_name", "_policy", "has_yielded", "is_over", "item")

    def __init__(self, policy: RetryPolicy, name: str) -> None:
        self._policy, self._name = policy, name
        self._attempts: Attempts | None = None
        self.item: Any = None
        self.has_yielded = self.is_over = False

    async def advanced(self, read: Callable[[], Coroutine[Any, Any, Any]]) -> bool:
        """Take the next item; False where the generator ended or must be started again."""
        since = ledger.count
        try:
            self.item = await read()
        except StopAsyncIteration:
            self.is_over = True
            return False
        except Exception as error:
            if self._attempts is None:
                now = self._policy.clock.monotonic()
                self._attempts = Attempts(self._policy, self._name, since, now, timed=False)
            lost = self.has_yielded and self._policy.resume_from is None
            if lost or not self._attempts.go_on(error):
                raise
            return False
        if self._attempts is not None:
            self._attempts.succeeded()
            self._attempts = None
        return True

    async def pause(self) -> None:
        """Wait before the next start."""
        if self._attempts is not None:
            await self._attempts.pause()
            self._attempts.begins()


def _refuse(policy: RetryPolicy, operation: Callable[..., Any]) -> None:
    for option in ("deadline", "retry_if_result", "wait", "stop"):
        if getattr(policy, option) is not None:
            raise InvalidConfigError(
                f"{option}={getattr(policy, option)!r}: can't be used on the async generator"
                f" {name_of(operation)}"
            )
    name = policy.resume_from
    if name is None:
        return
    parameter = inspect.signature(operation).parameters.get(name)
    if parameter is None or parameter.kind not in (
        inspect.Parameter.KEYWORD_ONLY,
        inspect.Parameter.POSITIONAL_OR_KEYWORD,
    ):
        raise InvalidConfigError(
            f"resume_from={name!r}: {name_of(operation)} must have a parameter of that name that"
            " can be given by keyword"
        )
