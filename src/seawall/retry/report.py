"""What a call tells of its retries: events, hooks and the record that somebody gathers.

Made only where somebody listens.
"""

import logging
from typing import TypedDict

from seawall.classification import ErrorType, Fingerprint
from seawall.classification.reading import text_of
from seawall.events import RetryExhausted, RetryScheduled, RetrySucceeded
from seawall.marks import put_told, was_told
from seawall.retry.exhaustion import ledger
from seawall.retry.policy import Hook, RetryPolicy
from seawall.retry.record import CallRecord, FailedAttempt, RetryInfo
from seawall.retry.strategy import StopReason
from seawall.stack import lone_member, speaks, stack_fingerprint

_logger = logging.getLogger("seawall.retry")

_MOST_WAITS = 32  # of a call that is retried for hours the first ones tell enough
_RESULT = "(result)"  # stands for the exception's type where a result was not wanted


class Report:
    """Tells of one call. Keeps no exception."""

    __slots__ = (
        "_failures", "_fingerprints", "_last", "_last_type", "_name", "_policy", "_record",
        "_since", "_waits",
    )  # fmt: skip

    def __init__(
        self, policy: RetryPolicy, name: str, gathered: list[CallRecord] | None, since: int
    ) -> None:
        self._policy, self._name, self._since = policy, name, since
        self._failures = 0
        self._fingerprints: dict[Fingerprint, int] = {}
        self._waits: list[float] = []
        self._last: _Described = _described(None)
        self._last_type: ErrorType = ErrorType.UNKNOWN
        self._record: CallRecord | None = None
        if gathered is not None:
            self._record = CallRecord(name)
            gathered.append(self._record)

    def begins(self, attempt: int, elapsed: float) -> None:
        """An attempt after the first begins."""
        if self._policy.before_attempt is not None:
            _call(
                self._policy.before_attempt,
                RetryInfo(operation=self._name, attempt=attempt, elapsed_seconds=elapsed),
            )

    def waits(
        self,
        attempt: int,
        wait: float,
        elapsed: float,
        error: Exception | None,
        error_type: ErrorType | None,
    ) -> None:
        """An attempt failed and another follows."""
        self._failed(error, error_type, wait)
        if len(self._waits) < _MOST_WAITS:
            self._waits.append(wait)
        policy = self._policy
        if policy.bus.listeners:
            self._last, self._last_type = _described(error), error_type or ErrorType.UNKNOWN
            policy.bus.emit(
                RetryScheduled(
                    operation=self._name,
                    attempt=attempt,
                    wait_seconds=wait,
                    elapsed_seconds=elapsed,
                    error_type=self._last_type,
                    counted=error is not None and was_told(error, policy.bus.token, self._since),
                    **self._last,
                )
            )
        if policy.before_wait is not None:
            _call(
                policy.before_wait,
                RetryInfo(
                    operation=self._name,
                    attempt=attempt,
                    elapsed_seconds=elapsed,
                    error=error,
                    wait_seconds=wait,
                ),
            )

    def gives_up(
        self,
        attempt: int,
        reason: StopReason,
        elapsed: float,
        error: Exception | None,
        error_type: ErrorType | None,
    ) -> None:
        """The last attempt failed."""
        self._failed(error, error_type, None)
        if self._record is not None:
            self._record.stop_reason, self._record.elapsed_seconds = reason, elapsed
        policy = self._policy
        if policy.bus.listeners:
            policy.bus.emit(
                RetryExhausted(
                    operation=self._name,
                    attempt=attempt,
                    elapsed_seconds=elapsed,
                    error_type=error_type or ErrorType.UNKNOWN,
                    stop_reason=reason,
                    fingerprints=tuple(self._fingerprints),
                    same_failure=self._failures in self._fingerprints.values(),
                    counted=error is not None and was_told(error, policy.bus.token, self._since),
                    waits=tuple(self._waits),
                    **_described(error),
                )
            )
            if error is not None:
                ledger.count += 1
                put_told(error, policy.bus.token, ledger.count)
        if policy.on_give_up is not None:
            _call(
                policy.on_give_up,
                RetryInfo(
                    operation=self._name,
                    attempt=attempt,
                    elapsed_seconds=elapsed,
                    error=error,
                    stop_reason=reason,
                ),
            )

    def succeeded(self, attempt: int, elapsed: float) -> None:
        """An attempt after the first succeeded."""
        if self._record is not None:
            self._record.succeeded, self._record.elapsed_seconds = True, elapsed
        bus = self._policy.bus
        if bus.listeners:
            bus.emit(
                RetrySucceeded(
                    operation=self._name,
                    attempt=attempt,
                    elapsed_seconds=elapsed,
                    fingerprints=tuple(self._fingerprints),
                    waits=tuple(self._waits),
                    error_type=self._last_type,
                    message=self._last["message"],
                    stack=self._last["stack"],
                )
            )

    def _failed(
        self, error: Exception | None, error_type: ErrorType | None, wait: float | None
    ) -> None:
        if self._record is not None:
            name = None if error is None else type(error).__qualname__
            self._record.failed.append(FailedAttempt(error_type, name, wait))
        self._failures += 1
        if error is not None and self._policy.classifier.outcomes is not None:
            fingerprint = self._policy.classifier.fingerprint(error)
            if fingerprint is not None:
                self._fingerprints[fingerprint] = self._fingerprints.get(fingerprint, 0) + 1


class _Described(TypedDict):
    exception_type: str
    message: str
    stack: str | None


def _described(error: Exception | None) -> _Described:
    """What an event says of the error; of a group with one member, of that."""
    if error is None:
        return {"exception_type": _RESULT, "message": "", "stack": None}
    lone = lone_member(error)
    message = text_of(lone)
    return {
        "exception_type": type(lone).__qualname__,
        "message": message,
        "stack": None if speaks(message) else stack_fingerprint(lone),
    }


def _call(hook: Hook, info: RetryInfo) -> None:
    try:
        hook(info)
    except Exception:
        _logger.exception("the hook %r failed", hook)
