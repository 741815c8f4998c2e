"""One call's retries: what was tried, whether to go on, what to wait and what to report.

Made on the first failure (R1), never shared, and never holding an exception: a failed attempt's
frames are free before the wait begins.
"""

from typing import TYPE_CHECKING, Any

from seawall.classification import ErrorType, retry_after
from seawall.classification.reading import text_of
from seawall.errors import DeadlineExceededError
from seawall.events import RetryExhausted, RetryScheduled, RetrySucceeded
from seawall.retry.backoff import wait_before
from seawall.retry.decision import reason_to_stop, wait_for
from seawall.retry.exhaustion import is_exhausted, mark_exhausted
from seawall.retry.note import replace_note
from seawall.retry.policy import RetryPolicy
from seawall.retry.strategy import RetryStrategy, StopReason

if TYPE_CHECKING:
    from seawall.retry.tenacity_adapter import Answers, TenacityCall


class Attempts:
    """The state of one call.

    Attributes:
        asks_tenacity: whether ``go_on`` needs the answers of tenacity's objects.
        number: the attempt under way or the last one, from 1.
        wait: seconds before the next attempt.
        stop_reason: why there is none; None while the call goes on or has succeeded.
    """

    __slots__ = (
        "_name", "_policy", "_since", "_started", "_tenacity", "_timed",
        "asks_tenacity", "number", "stop_reason", "wait",
    )  # fmt: skip

    def __init__(
        self, policy: RetryPolicy, name: str, since: int, started: float | None = None
    ) -> None:
        self._policy, self._name, self._since = policy, name, since
        # Without a start given, time is counted from the first failure: a success reads no clock.
        self._timed = started is not None
        self._started = policy.clock.monotonic() if started is None else started
        self._tenacity: TenacityCall | None = None
        self.asks_tenacity = policy.uses_tenacity
        self.number = 1
        self.wait = 0.0
        self.stop_reason: StopReason | None = None

    def tenacity(
        self,
        operation: Any = None,
        args: tuple[Any, ...] = (),
        kwargs: dict[str, Any] | None = None,
    ) -> "TenacityCall":
        """This call's conversation with tenacity's objects, begun on its first failure."""
        if self._tenacity is None:
            from seawall.retry.tenacity_adapter import TenacityCall

            self._tenacity = TenacityCall(
                self._policy, operation, args, kwargs or {}, self._started
            )
        return self._tenacity

    def go_on(self, error: Exception, answers: "Answers | None" = None) -> bool:
        """Decide over a failed attempt: True with ``wait`` set, or False and the error leaves."""
        policy = self._policy
        error_type = None
        if policy.matcher is None or policy.bus.listeners:
            error_type = policy.classifier.classify(error)
        elapsed = policy.clock.monotonic() - self._started
        reason = self._reason(error, error_type, answers)
        if reason is None:
            self.wait = self._wait(error, answers)
            if policy.deadline is None or elapsed + self.wait < policy.deadline:
                if policy.bus.listeners:
                    self._report_wait(error, error_type, elapsed)
                self.number += 1
                return True
            reason = StopReason.DEADLINE
        self._give_up(error, error_type, reason, elapsed)
        return False

    def succeeded(self) -> None:
        """Report a success that took a retry."""
        policy = self._policy
        if self.number > 1 and policy.bus.listeners:
            elapsed = policy.clock.monotonic() - self._started
            policy.bus.emit(
                RetrySucceeded(operation=self._name, attempt=self.number, elapsed_seconds=elapsed)
            )

    async def pause(self) -> None:
        """Wait before the next attempt."""
        if self.wait > 0:
            await self._policy.clock.sleep(self.wait)

    def deadline_exceeded(self) -> DeadlineExceededError:
        """The error of a call that its deadline ended in the middle of an attempt."""
        policy = self._policy
        error = DeadlineExceededError(
            f"{self._name}: not done within deadline={policy.deadline:g} s"
        )
        elapsed = policy.clock.monotonic() - self._started
        error_type = policy.classifier.classify(error)
        self._give_up(error, error_type, StopReason.DEADLINE, elapsed)
        return error

    def remaining(self) -> float | None:
        """Seconds that the deadline leaves, or None where there is none."""
        deadline = self._policy.deadline
        if deadline is None:
            return None
        return deadline - (self._policy.clock.monotonic() - self._started)

    def _reason(
        self, error: Exception, error_type: ErrorType | None, answers: "Answers | None"
    ) -> StopReason | None:
        policy = self._policy
        if not policy.retry_exhausted and is_exhausted(error, self._since):
            return StopReason.NOT_RETRYABLE
        asked = policy.matcher(error) if policy.matcher is not None else None
        if answers is not None and answers.matched is not None:
            asked = answers.matched
        reason = reason_to_stop(
            error,
            error_type=error_type,
            asked=asked,
            retry_count=self.number - 1,
            max_retries=policy.retry_limit,
        )
        if reason is None and answers is not None and answers.stop:
            return StopReason.MAX_RETRIES
        if reason is None and self._breaker_opened():
            return StopReason.CIRCUIT_OPEN
        return reason

    def _breaker_opened(self) -> bool:
        policy = self._policy
        asks = policy.strategy is RetryStrategy.CIRCUIT_BREAKER
        return asks and policy.breaker is not None and policy.breaker.is_open()

    def _wait(self, error: Exception, answers: "Answers | None") -> float:
        if answers is not None:
            return answers.wait
        computed = wait_before(self.number, self._policy.strategy, self._policy)
        return wait_for(error, computed, retry_after(error))

    def _give_up(
        self,
        error: Exception,
        error_type: ErrorType | None,
        reason: StopReason,
        elapsed: float,
    ) -> None:
        policy = self._policy
        self.stop_reason = reason
        if policy.retry_exhausted or not is_exhausted(error, self._since):
            # Else an inner policy's note says what was tried; one note is enough.
            replace_note(error, self._note(reason, elapsed))
        if policy.max_retries and reason is not StopReason.NOT_RETRYABLE:
            mark_exhausted(error)
        if policy.bus.listeners:
            policy.bus.emit(
                RetryExhausted(
                    operation=self._name,
                    attempt=self.number,
                    elapsed_seconds=elapsed,
                    error_type=error_type or policy.classifier.classify(error),
                    exception_type=type(error).__qualname__,
                    message=text_of(error),
                    stop_reason=reason,
                )
            )

    def _note(self, reason: StopReason, elapsed: float) -> str:
        attempts = "1 attempt" if self.number == 1 else f"{self.number} attempts"
        since = "" if self._timed else " since the first failure"
        return f"{self._name} gave up after {attempts}, elapsed {elapsed:.3f} s{since}: {reason}"

    def _report_wait(self, error: Exception, error_type: ErrorType | None, elapsed: float) -> None:
        policy = self._policy
        policy.bus.emit(
            RetryScheduled(
                operation=self._name,
                attempt=self.number,
                wait_seconds=self.wait,
                elapsed_seconds=elapsed,
                error_type=error_type or ErrorType.UNKNOWN,
                exception_type=type(error).__qualname__,
                message=text_of(error),
            )
        )
