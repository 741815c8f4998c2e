"""One call's retries: what was tried, whether to go on, what to wait and what to report.

Made on the first failure (R1), never shared, and never holding an exception: a failed attempt's
frames are free before the wait begins.
"""

from asyncio import CancelledError
from typing import TYPE_CHECKING, Any

from seawall.classification import ErrorType
from seawall.clock import is_being_cancelled
from seawall.deadline import current_deadline, sooner
from seawall.errors import DeadlineExceededError, RefusedError
from seawall.retry.decision import reason_to_stop, wait_for
from seawall.retry.exhaustion import is_exhausted, ledger, mark_exhausted
from seawall.retry.note import replace_note
from seawall.retry.policy import RetryPolicy
from seawall.retry.record import records
from seawall.retry.report import Report
from seawall.retry.strategy import StopReason

if TYPE_CHECKING:
    from seawall.retry.tenacity_adapter import Answers, TenacityCall

# Enum members are slow to look up by name, and these are asked for at every failure.
_TRANSIENT, _UNKNOWN = ErrorType.TRANSIENT, ErrorType.UNKNOWN
_MAX_RETRIES = StopReason.MAX_RETRIES
_LONGEST_CHAIN = 100
_CLOCK_TICK = 0.001  # a timer may come that many seconds early


class Attempts:
    """The state of one call.

    Args:
        policy: the options.
        name: the operation's.
        since: the exhaustion ledger at the call's start.
        started: the moment from which time is counted.
        timed: whether that is the call's beginning; else it is the first failure, so that a call
            that succeeds reads no clock.

    Attributes:
        policy: the options.
        report: tells of the call; None where nobody listens.
        number: the attempt under way or the last one, from 1.
        wait: seconds before the next attempt.
    """

    __slots__ = (
        "_name", "_since", "_started", "_tenacity", "_timed", "number", "policy",
        "report", "wait",
    )  # fmt: skip

    def __init__(
        self, policy: RetryPolicy, name: str, since: int, started: float, timed: bool
    ) -> None:
        self.policy = policy
        self._name = name
        self._since = since
        self._started = started
        self._timed = timed
        self.number = 1
        self.wait = 0.0
        self.report: Report | None = None
        if policy.bus.listeners or policy.has_hooks or records.get() is not None:
            self.report = Report(policy, name, records.get(), since)

    def tenacity(
        self,
        operation: Any = None,
        args: tuple[Any, ...] = (),
        kwargs: dict[str, Any] | None = None,
    ) -> "TenacityCall":
        """This call's conversation with tenacity's objects, begun on its first failure."""
        if not hasattr(self, "_tenacity"):
            from seawall.retry.tenacity_adapter import TenacityCall

            self._tenacity: TenacityCall = TenacityCall(
                self.policy, operation, args, kwargs or {}, self._started
            )
        return self._tenacity

    def go_on(self, error: Exception | None, answers: "Answers | None" = None) -> bool:
        """Decide over a failed attempt: True with ``wait`` set, or False and the call is over.

        Args:
            error: what the attempt raised; None where it gave a result that isn't wanted.
            answers: those of tenacity's objects, where the policy has any.
        """
        policy, number = self.policy, self.number
        if error is None:
            error_type, asked_by_server, chosen = None, None, policy
            reason = _MAX_RETRIES if number > policy.retry_limit else None
        else:
            error_type, asked_by_server = policy.classifier.judge(error, self._name)
            varies, name = policy.has_variants, self._name
            chosen = policy.options_for(error, error_type, name) if varies else policy
            matrix_bounds = error_type is not _TRANSIENT and error_type is not _UNKNOWN
            if (
                matrix_bounds
                or policy.asks_more
                or ledger.count != self._since
                or error.__context__ is not None
                or isinstance(error, RefusedError)
            ):
                reason = self._reason(chosen, error, error_type, answers)
            else:  # nothing but the number of retries can stop it
                reason = _MAX_RETRIES if number > chosen.retry_limit else None
        if reason is None:
            wait = 0.0
            if answers is not None:
                wait = answers.wait
            elif chosen.initial_delay:
                wait = chosen.waits(chosen, number, self.wait)
            if asked_by_server is not None and answers is None:
                wait = wait_for(error, wait, asked_by_server)
            if policy.is_bounded or current_deadline.get() is not None:
                reason = self._refused(wait, chosen.retry_limit)
            if reason is None:
                self.wait = wait
                if self.report is not None:
                    self.report.waits(number, wait, self._elapsed(), error, error_type)
                self.number = number + 1
                return True
        self._stop(reason, error, error_type)
        return False

    def go_on_from(self, result: object) -> bool:
        """The same over a result: False where it is wanted, or the retries are used up."""
        unwanted = self.policy.retry_if_result
        if unwanted is not None and unwanted(result):
            return self.go_on(None)
        self.succeeded()
        return False

    def begins(self) -> None:
        """Tell that an attempt begins, if it isn't the first."""
        if self.report is not None and self.number > 1:
            self.report.begins(self.number, self._elapsed())

    def succeeded(self) -> None:
        """Report a success that took a retry, and fill the budget."""
        tokens = self.policy.tokens
        if tokens is not None:
            tokens.on_success()
        if self.number > 1 and self.report is not None:
            self.report.succeeded(self.number, self._elapsed())

    async def pause(self) -> None:
        """Wait before the next attempt."""
        await self.policy.clock.sleep(self.wait)

    def deadline_exceeded(self) -> DeadlineExceededError:
        """The error of a call that its deadline ended in the middle of an attempt."""
        policy = self.policy
        error = DeadlineExceededError(
            f"{self._name}: not done within deadline={policy.deadline:g} s"
        )
        error_type = policy.classifier.classify(error)
        self._stop(StopReason.DEADLINE, error, error_type)
        return error

    def remaining(self) -> float | None:
        """Seconds that the deadline leaves, or None where there is none."""
        deadline = self.policy.deadline
        return None if deadline is None else deadline - self._elapsed()

    def _refused(self, wait: float, limit: int) -> StopReason | None:
        """Why a retry that the failure allows can't be made, or None where it can."""
        ends_at = current_deadline.get()
        if self.policy.deadline is not None:
            ends_at = sooner(self._started + self.policy.deadline, ends_at)
        if ends_at is not None and self.policy.clock.monotonic() + wait >= ends_at:
            return StopReason.DEADLINE
        cap = self.policy.cap
        if cap is not None and self.number > cap(limit):
            return StopReason.BUDGET_EXHAUSTED
        tokens = self.policy.tokens
        if tokens is not None and not tokens.try_acquire():
            return StopReason.BUDGET_EXHAUSTED
        return None

    def _elapsed(self) -> float:
        return self.policy.clock.monotonic() - self._started

    def _reason(
        self,
        chosen: RetryPolicy,
        error: Exception,
        error_type: ErrorType,
        answers: "Answers | None",
    ) -> StopReason | None:
        policy = self.policy
        if self._exhausted(error):
            return StopReason.NOT_RETRYABLE
        if _was_cancelled(error):
            left = self.remaining()
            by_deadline = left is not None and left <= _CLOCK_TICK
            return StopReason.DEADLINE if by_deadline else StopReason.NOT_RETRYABLE
        asked = policy.matcher(error) if policy.matcher is not None else None
        if answers is not None and answers.matched is not None:
            asked = answers.matched
        reason = reason_to_stop(error, error_type, asked, self.number - 1, chosen.retry_limit)
        if reason is None and answers is not None and answers.stop:
            return StopReason.MAX_RETRIES
        if reason is None and policy.asks_breaker and policy.breaker is not None:
            return StopReason.CIRCUIT_OPEN if policy.breaker.is_open() else None
        return reason

    def _stop(
        self, reason: StopReason, error: Exception | None, error_type: ErrorType | None
    ) -> None:
        elapsed = self._elapsed()
        if error is not None:
            if not self._exhausted(error):
                # Else an inner policy's note says what was tried; one note is enough.
                replace_note(error, self._note(reason, elapsed))
                error.__dict__["seawall_stop_reason"] = reason.value
            if self.policy.max_retries and reason is not StopReason.NOT_RETRYABLE:
                mark_exhausted(error)
        if self.report is not None:
            self.report.gives_up(self.number, reason, elapsed, error, error_type)

    def _exhausted(self, error: Exception) -> bool:
        """Whether an inner policy gave up on it, and this one respects that."""
        return not self.policy.retry_exhausted and is_exhausted(error, self._since)

    def _note(self, reason: StopReason, elapsed: float) -> str:
        attempts = "1 attempt" if self.number == 1 else f"{self.number} attempts"
        since = "" if self._timed else " since the first failure"
        return f"{self._name} gave up after {attempts}, elapsed {elapsed:.3f} s{since}: {reason}"


def _was_cancelled(error: BaseException) -> bool:
    """Whether the task is being cancelled, and the operation made this error of that (R2)."""
    behind, seen = error.__context__, 0
    while behind is not None and seen < _LONGEST_CHAIN:
        if isinstance(behind, CancelledError):
            return is_being_cancelled()
        behind, seen = behind.__context__, seen + 1
    return False
