"""Every error that seawall raises of its own.

All can be pickled and carry what a handler needs as attributes; an operation's own exception is
never wrapped in one of these.
"""

from uuid import UUID


class SeawallError(Exception):
    """The base of seawall's own errors."""


class InvalidConfigError(SeawallError, ValueError):
    """Raised when an option is unknown or out of range; names the key, the value, what is right."""


class NotStartedError(SeawallError, RuntimeError):
    """Raised when the database is needed before ``async with manager:`` (or after its end)."""


class RefusedError(SeawallError):
    """The base of refusals: a policy did not let the call through.

    Attributes:
        retry_after: seconds until another try can make sense, or None where nobody knows.
    """

    retry_after: float | None = None


class CircuitOpenError(RefusedError):
    """Raised instead of calling a service whose circuit breaker is open.

    Attributes:
        service_name: the breaker's name.
        retry_after: seconds until the breaker admits a trial call; 0.0 while one is under way.
    """

    @property
    def service_name(self) -> str:
        return str(self.args[0])

    @property
    def retry_after(self) -> float | None:  # type: ignore[override]
        value = self.args[1]
        return None if value is None else float(value)

    def __str__(self) -> str:
        wait = "" if self.retry_after is None else f"; next trial call in {self.retry_after:.3f} s"
        return f"circuit breaker {self.service_name!r} is open{wait}"


class BulkheadFullError(RefusedError):
    """Raised instead of calling where a bulkhead has no slot, and no room or time to wait for one.

    Attributes:
        bulkhead: its name.
    """

    @property
    def bulkhead(self) -> str:
        return str(self.args[0])

    def __str__(self) -> str:
        return f"bulkhead {self.bulkhead!r} is full"


class RateLimitedError(RefusedError):
    """Raised instead of calling where a rate limiter has no token in time.

    Attributes:
        limiter: its name.
        retry_after: seconds until it has one.
    """

    @property
    def limiter(self) -> str:
        return str(self.args[0])

    @property
    def retry_after(self) -> float | None:  # type: ignore[override]
        value = self.args[1]
        return None if value is None else float(value)

    def __str__(self) -> str:
        wait = "" if self.retry_after is None else f"; next token in {self.retry_after:.3f} s"
        return f"rate limiter {self.limiter!r} refused the call{wait}"


class RetryBudgetExhaustedError(RefusedError):
    """Raised by ``RetryBudget.acquire_permission`` where the service's retries are used up.

    Attributes:
        service_name: the budget's name.
        retry_after: seconds until it has a token again, or None where only successes fill it.
    """

    @property
    def service_name(self) -> str:
        return str(self.args[0])

    @property
    def retry_after(self) -> float | None:  # type: ignore[override]
        value = self.args[1]
        return None if value is None else float(value)

    def __str__(self) -> str:
        return f"the retry budget of {self.service_name!r} is used up"


class ErrorBudgetExhaustedError(RefusedError):
    """Raised instead of beginning a run of a pipeline whose error budget is gone.

    Only where ``on_budget_exhausted`` is ``stop``. A run that was begun before may go on.

    Attributes:
        pipeline_id: the pipeline.
        sli: what was counted: ``runs`` or ``rows``.
        bad: bad ones in the window.
        total: all in it.
        objective: share of good ones that is aimed at.
        window_days: days of the window.
    """

    def __init__(
        self,
        pipeline_id: str,
        sli: str,
        bad: int,
        total: int,
        objective: float,
        window_days: float,
    ) -> None:
        super().__init__(pipeline_id, sli, bad, total, objective, window_days)
        self.pipeline_id, self.sli, self.bad, self.total = pipeline_id, sli, bad, total
        self.objective, self.window_days = objective, window_days

    def __str__(self) -> str:
        return (
            f"the error budget of pipeline {self.pipeline_id!r} is gone: {self.bad} of {self.total}"
            f" {self.sli} of the last {self.window_days:g} days were bad, and the objective is "
            f"{self.objective:.6g}. Make failed runs good (run them again under their run_id), or "
            f"begin anew once the cause is gone: manager.forgive_error_budget({self.pipeline_id!r})"
        )


class ParkedError(RefusedError):
    """Raised instead of an operation's failure where the call was parked, to be made later.

    Attributes:
        operation: its registered name.
        call_id: its key in ``parked_calls``.
        retry_after: seconds until it may be taken up.
    """

    @property
    def operation(self) -> str:
        return str(self.args[0])

    @property
    def call_id(self) -> UUID:
        return UUID(str(self.args[1]))

    @property
    def retry_after(self) -> float | None:  # type: ignore[override]
        return float(self.args[2])

    def __str__(self) -> str:
        return f"{self.operation} is parked for {self.retry_after:g} s as {self.call_id}"


class DeadlineExceededError(SeawallError, TimeoutError):
    """Raised when a call's ``deadline`` ended it in the middle of an attempt."""


class AttemptTimeoutError(SeawallError, TimeoutError):
    """Raised inside a retried call when one attempt took longer than ``attempt_timeout``."""


class StaleRunError(SeawallError):
    """Raised when a newer worker has taken over this step: nothing of this one can commit."""


class StepHeldError(SeawallError):
    """Raised when another worker holds the step's lease; says who, and for how long at least."""


class ShutdownError(SeawallError):
    """Raised when a step was stopped (``stop()``, a signal) before its source ended.

    What was committed stays, and the step goes on from there when it is started again.
    """


class StepError(SeawallError):
    """Raised when ``run.step`` is used wrongly, its result is too large, or there is none."""


class UnknownPatternError(SeawallError, LookupError):
    """Raised when there is no error pattern of that id."""


class TooManyBadRecordsError(SeawallError):
    """Raised when a run's share of bad records passes what it tolerates; its position is intact.

    Attributes:
        bad_count: bad records so far, those of the refused batch included.
        read_count: records read so far.
        tolerance: the share (0 to 1) that was allowed.
    """

    def __init__(self, message: str, bad_count: int, read_count: int, tolerance: float) -> None:
        super().__init__(message, bad_count, read_count, tolerance)
        self.bad_count, self.read_count, self.tolerance = bad_count, read_count, tolerance

    def __str__(self) -> str:
        return str(self.args[0])


class CheckpointError(SeawallError):
    """Raised when a checkpoint is used wrongly: a batch left uncommitted, a repeated position."""


class CodecError(SeawallError, TypeError):
    """Raised when a record holds a value that can't be stored and brought back equal."""


class SinkError(SeawallError):
    """Raised when a sink's files are not as its checkpoint says: gone, cut off, in the way."""


class JournalFullError(SeawallError):
    """Raised when a durable row could go neither to PostgreSQL nor to the journal: it has no room.

    Says where the journal is and what its bound is; nothing was written.
    """


class AlertDeliveryError(SeawallError):
    """Raised when a receiver didn't take a notification; it is tried again later."""


class QuarantineError(SeawallError):
    """Raised when a quarantined record can't be edited, imported or run as asked; says why."""


class MissingProcessorError(InvalidConfigError):
    """Raised at the end of a reprocessing when records of some steps had no processor.

    Those of the other steps are done by then.

    Attributes:
        steps: how many records of each step were left.
        metrics: what was done, a ``ReprocessMetrics``.
    """

    def __init__(self, message: str, steps: dict[str, int], metrics: object) -> None:
        super().__init__(message, steps, metrics)
        self.steps, self.metrics = steps, metrics

    def __str__(self) -> str:
        return str(self.args[0])


class DiscardRecordError(SeawallError):
    """Raised by a processor to give its record up for good; what it wrote for it is undone.

    Its text says why, and is kept with the record.
    """


class RecordRefusedError(SeawallError):
    """Raised inside a processor when ``tx.load`` meets a record that the table refuses.

    Attributes:
        sqlstate: the server's code, where there is one.
    """

    def __init__(self, message: str, sqlstate: str | None = None) -> None:
        super().__init__(message, sqlstate)
        self.sqlstate = sqlstate

    def __str__(self) -> str:
        return str(self.args[0])


class InvalidRecordError(SeawallError, ValueError):
    """Raised by a ``transform`` for a record that isn't as it must be: it is quarantined.

    Any exception does that; this one's reasons are stored as they are. The first should be the same
    text for the same fault, so that records can be counted by it.

    Args:
        *reasons: at least one; every fault found, the worst first.
        column: the field of the first fault.
    """

    def __init__(self, *reasons: str, column: str | None = None) -> None:
        if not reasons:
            raise TypeError("InvalidRecordError needs one reason at least")
        super().__init__(*reasons)
        self.reasons, self.column = reasons, column

    def __str__(self) -> str:
        return "; ".join(self.reasons)


class TransactionEndedError(SeawallError):
    """Raised when a batch, step or processor has ended the transaction that records its outcome."""


class QuarantineKeyError(SeawallError, LookupError):
    """Raised when a quarantined record's key is missing, or is another one than it was.

    Attributes:
        key_id: the key's id, as ``quarantined_records.key_id`` has it.
    """

    def __init__(self, message: str, key_id: str) -> None:
        super().__init__(message, key_id)
        self.key_id = key_id

    def __str__(self) -> str:
        return str(self.args[0])


class PayloadTooLargeError(SeawallError, ValueError):
    """Raised when a record is larger than ``quarantine_max_bytes``; nothing was written.

    Attributes:
        size: the record's size in bytes, written out.
        limit: what was allowed.
    """

    def __init__(self, message: str, size: int, limit: int) -> None:
        super().__init__(message, size, limit)
        self.size, self.limit = size, limit

    def __str__(self) -> str:
        return str(self.args[0])


class DatabaseUnavailableError(SeawallError, ConnectionError):
    """Raised when PostgreSQL can't be reached; says which server and what to do."""


class UnsupportedServerError(SeawallError):
    """Raised when the server is older than PostgreSQL 15."""


class MigrationError(SeawallError):
    """Raised when the schema is missing, newer than this library, or was altered by hand."""


class MissingTableError(SeawallError, LookupError):
    """Raised when the table to load into, or one of the named columns, does not exist."""


class EmbeddedServerError(SeawallError):
    """Raised when the embedded PostgreSQL can't be started; says why and what to do."""


class SourceError(SeawallError):
    """Raised when a source can't be read on; names it and where. What it gave before is good."""


class SourceChangedError(SourceError):
    """Raised when a source no longer has the position to go on from: shortened, replaced, gone."""
