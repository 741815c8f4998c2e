"""What one call's retries did, for whoever asks: hooks get it as it happens, records afterwards."""

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field

from seawall.classification import ErrorType
from seawall.retry.strategy import StopReason


@dataclass(frozen=True, slots=True, kw_only=True)
class RetryInfo:
    """One moment of a call, as a hook sees it.

    Attributes:
        operation: its name.
        attempt: the attempt that begins or has failed, from 1.
        elapsed_seconds: since the call's start (or its first failure, where nothing was timed).
        error: what the attempt raised; None where it begins, or its result was not wanted.
        wait_seconds: the wait that follows.
        stop_reason: why no attempt follows.
    """

    operation: str
    attempt: int
    elapsed_seconds: float
    error: Exception | None = None
    wait_seconds: float | None = None
    stop_reason: StopReason | None = None


@dataclass(frozen=True, slots=True)
class FailedAttempt:
    """One attempt that failed; the exception itself isn't kept.

    Attributes:
        error_type: its class; None where a result was not wanted.
        exception_type: its type's name.
        wait_seconds: the wait after it; None after the last.
    """

    error_type: ErrorType | None
    exception_type: str | None
    wait_seconds: float | None


@dataclass(slots=True)
class CallRecord:
    """One call that needed a retry, or was given up.

    Attributes:
        operation: its name.
        failed: its failed attempts, in order.
        succeeded: whether the last attempt succeeded.
        stop_reason: why it was given up.
        elapsed_seconds: until its end.
    """

    operation: str
    failed: list[FailedAttempt] = field(default_factory=list)
    succeeded: bool = False
    stop_reason: StopReason | None = None
    elapsed_seconds: float = 0.0

    @property
    def attempts(self) -> int:
        """How often the operation was called."""
        return len(self.failed) + self.succeeded


records: ContextVar[list[CallRecord] | None] = ContextVar("seawall_call_records", default=None)


@contextmanager
def record_calls() -> Iterator[list[CallRecord]]:
    """Gather the record of each call in the block that needed a retry or was given up.

    ::

        with record_calls() as calls:
            await fetch()
        print(calls[0].attempts)

    Belongs to the context: other tasks' calls aren't in it, those of tasks begun inside are. A
    call that succeeds at once leaves no record.
    """
    gathered: list[CallRecord] = []
    outer = records.get()
    records.set(gathered)
    try:
        yield gathered
    finally:
        records.set(outer)
