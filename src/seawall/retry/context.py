"""``async for attempt in retrying(...)``: a block of code, tried again."""

from types import TracebackType
from typing import Any, Self, Unpack

from anyio import CancelScope, current_time

from seawall.deadline import current_deadline, sooner
from seawall.errors import AttemptTimeoutError, InvalidConfigError
from seawall.retry.attempts import Attempts
from seawall.retry.exhaustion import ledger
from seawall.retry.policy import RetryOptions, RetryPolicy


def retrying(policy: RetryPolicy | None = None, /, **options: Unpack[RetryOptions]) -> "Retrying":
    """Retry a block: each attempt runs it anew.

    ::

        async for attempt in retrying(max_retries=3):
            with attempt:
                rows = await fetch()

    ``with attempt`` keeps an exception that is to be retried inside and lets every other out, with
    its note. The loop ends after the first attempt that succeeds.

    Args:
        policy: the options as an object, in place of keywords.
        **options: those of ``RetryPolicy``.

    Raises:
        InvalidConfigError: an option is unknown or out of range.
    """
    policy = policy if policy is not None else RetryPolicy(**options)
    if policy.retry_if_result is not None:
        raise InvalidConfigError("retry_if_result: a block has no result; use retry() or call()")
    return Retrying(policy)


class Retrying:
    """What ``retrying`` gives; may be kept and looped over again, by several tasks at once."""

    __slots__ = ("_policy",)

    def __init__(self, policy: RetryPolicy) -> None:
        self._policy = policy

    def __aiter__(self) -> "AttemptLoop":
        return AttemptLoop(self._policy)


class AttemptLoop:
    """The attempts of one loop; belongs to one task."""

    __slots__ = ("_attempts", "_open", "_policy")

    def __init__(self, policy: RetryPolicy) -> None:
        self._policy = policy
        name = policy.name or "retrying"
        self._attempts = Attempts(policy, name, ledger.count, policy.clock.monotonic(), timed=True)
        self._open = True

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> "Attempt":
        if not self._open:
            raise StopAsyncIteration
        if self._attempts.number > 1:
            await self._attempts.pause()
            self._attempts.begins()
        self._open = False  # until an attempt fails and is to be retried
        return Attempt(self, self._policy, self._attempts)

    def reopen(self) -> None:
        """Let one more attempt follow."""
        self._open = True


class Attempt:
    """One attempt: ``with attempt:`` (or ``async with``) around the work. Use it once.

    Only ``async with`` can await a tenacity object that is async.
    """

    __slots__ = ("_attempts", "_loop", "_outer_deadline", "_policy", "_scope")

    def __init__(self, loop: AttemptLoop, policy: RetryPolicy, attempts: Attempts) -> None:
        self._loop, self._policy, self._attempts = loop, policy, attempts
        self._scope: CancelScope | None = None
        self._outer_deadline: float | None = None

    @property
    def number(self) -> int:
        """Which attempt this is, from 1."""
        return self._attempts.number

    def __enter__(self) -> Self:
        remaining = self._attempts.remaining()
        self._outer_deadline = current_deadline.get()
        if remaining is not None:
            ends_at = self._policy.clock.monotonic() + remaining
            current_deadline.set(sooner(self._outer_deadline, ends_at))
        limits = [self._policy.attempt_timeout, remaining]
        known = [limit for limit in limits if limit is not None]
        if known:
            self._scope = CancelScope(deadline=current_time() + min(known))
            self._scope.__enter__()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> bool:
        failure = self._ended(kind, error, traceback)
        if failure is None:
            return False
        answers: Any = None
        if self._policy.uses_tenacity:
            answers = self._attempts.tenacity().ask_now(failure, self.number)
        return self._failed(failure, answers, error)

    async def __aenter__(self) -> Self:
        return self.__enter__()

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> bool:
        failure = self._ended(kind, error, traceback)
        if failure is None:
            return False
        answers: Any = None
        if self._policy.uses_tenacity:
            answers = await self._attempts.tenacity().ask(failure, self.number)
        return self._failed(failure, answers, error)

    def _ended(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> Exception | None:
        """What the attempt failed by; None where it succeeded or was left by an exit."""
        current_deadline.set(self._outer_deadline)
        if self._scope is not None and self._scope.__exit__(kind, error, traceback):
            remaining = self._attempts.remaining()
            if remaining is not None and remaining <= 0:
                raise self._attempts.deadline_exceeded() from None
            return AttemptTimeoutError(
                f"no result within attempt_timeout={self._policy.attempt_timeout} s"
            )
        if error is None:
            self._attempts.succeeded()
        return error if isinstance(error, Exception) else None

    def _failed(self, failure: Exception, answers: Any, raised: BaseException | None) -> bool:
        if self._attempts.go_on(failure, answers):
            self._loop.reopen()
            return True
        try:
            if failure is not raised:
                raise failure from None
        finally:
            del failure, raised  # what is raised here holds this frame
        return False
