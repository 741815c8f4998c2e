"""tenacity's ``wait_*``, ``stop_*`` and ``retry_if_*`` objects: the only module that knows them.

Entered on a call's first failure. Each call has its own ``RetryCallState``, so that a policy may
be shared; an object is never shown anything but an ``Exception``.
"""

import inspect
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

from tenacity import RetryCallState
from tenacity.asyncio import AsyncRetrying

from seawall.classification import retry_after
from seawall.retry.decision import wait_for
from seawall.retry.matching import is_tenacity_object
from seawall.retry.policy import RetryPolicy


@dataclass(frozen=True, slots=True)
class Answers:
    """What is answered to one failure.

    Attributes:
        matched: whether to retry it; None where no tenacity object was asked.
        wait: seconds before the next attempt, the server's or the policy's own where they hold.
        stop: whether to end here.
    """

    matched: bool | None
    wait: float
    stop: bool


class TenacityCall:
    """One call's conversation with tenacity's objects; belongs to that call alone."""

    __slots__ = ("_policy", "_state")

    def __init__(
        self,
        policy: RetryPolicy,
        operation: Callable[..., Any] | None,
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
        started: float,
    ) -> None:
        self._policy = policy
        self._state = RetryCallState(AsyncRetrying(), operation, args, kwargs)
        self._state.start_time = started

    async def ask(self, error: Exception, attempt: int) -> Answers:
        """Put one failure to the objects, in tenacity's order: retry, wait, stop."""
        policy, state = self._policy, self._state
        now = policy.clock.monotonic()
        state.attempt_number = attempt
        try:
            matched = None
            if is_tenacity_object(policy.retry_on):
                matched = await self._matches(policy.retry_on, error, now)
            self._show(error, now)
            if policy.wait is None:
                computed = policy.waits(policy, attempt, state.upcoming_sleep)
            else:
                computed = float(await _answer(policy.wait(state)))
            # Known before the stop is asked: `stop_before_delay` looks at the wait to come.
            state.upcoming_sleep = wait_for(error, computed, retry_after(error))
            stop = policy.stop is not None and bool(await _answer(policy.stop(state)))
            state.idle_for += state.upcoming_sleep
            return Answers(matched, state.upcoming_sleep, stop)
        finally:
            # The outcome holds the exception, and with it the frames of the failed attempt.
            state.outcome = None

    def ask_now(self, error: Exception, attempt: int) -> Answers:
        """The same where nothing can be awaited.

        Raises:
            TypeError: one of the objects is async.
        """
        coroutine = self.ask(error, attempt)
        try:
            coroutine.send(None)
        except StopIteration as done:
            answers: Answers = done.value
            return answers
        coroutine.close()
        raise TypeError("`with attempt` can't await a tenacity object; use `async with attempt`")

    async def _matches(self, question: Any, error: Exception, now: float) -> bool:
        self._show(error, now)
        if await _answer(question(self._state)):
            return True
        if not isinstance(error, ExceptionGroup):
            return False
        for member in error.exceptions:
            if not await self._matches(question, member, now):
                return False
        return True

    def _show(self, error: Exception, now: float) -> None:
        self._state.set_exception((type(error), error, error.__traceback__))
        self._state.outcome_timestamp = now


async def _answer(value: Any | Awaitable[Any]) -> Any:
    return await value if inspect.isawaitable(value) else value
