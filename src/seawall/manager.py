"""ErrorRecoveryManager: the thin front door. Each method is a few lines over a part."""

import functools
from collections.abc import Callable, Mapping, Sequence
from types import TracebackType
from typing import TYPE_CHECKING, Any, ParamSpec, Self, TypeVar
from uuid import UUID

from seawall.checkpoint import Checkpoint, Step, StepKey, StreamReport, Tolerance
from seawall.checkpoint.stream import Sink, StreamSource, Transform, stream
from seawall.circuitbreaker import BreakerRegistry, CircuitBreaker, CircuitState
from seawall.classification import Classifier, ErrorType, default_classifier, should_retry
from seawall.config import RecoveryConfig
from seawall.events import EventBus
from seawall.fallback import call_with_fallback
from seawall.parking import ParkingLot
from seawall.pipeline import Policy
from seawall.policies import PolicyRegistry
from seawall.postgres.database import Database
from seawall.quarantine.reprocess import Processor, RecordFilter, ReprocessMetrics
from seawall.ratelimiter import RateLimiter
from seawall.retry import RetryBudget, RetryPolicy, call, retry
from seawall.run import Run
from seawall.services import Services

if TYPE_CHECKING:
    import asyncpg

P = ParamSpec("P")
T = TypeVar("T")


class ErrorRecoveryManager:
    """Retry, breakers, checkpoints, quarantine and their records, over one database.

    Can be made at import time, before any event loop runs; its policies work from then on.
    ``async with manager`` starts what needs the database. May be shared between the tasks of one
    event loop.

    Args:
        dsn: a DSN, an asyncpg pool of your own, ``embedded:///folder``, or None for
            ``SEAWALL_DSN``, else the embedded PostgreSQL.
        config: a ``RecoveryConfig`` or a mapping of its keys.
        pipeline_id: the pipeline that work outside ``run`` belongs to.
        schema: where seawall's tables are.

    Raises:
        InvalidConfigError: a key, value or the DSN is wrong; the message says what would be right.
    """

    def __init__(
        self,
        dsn: "str | asyncpg.Pool[Any] | None" = None,
        *,
        config: RecoveryConfig | Mapping[str, Any] | None = None,
        pipeline_id: str = "default",
        schema: str = "seawall",
        classifier: Classifier = default_classifier,
    ) -> None:
        self.config = RecoveryConfig.of(config)
        self.pipeline_id = pipeline_id
        self.bus = EventBus()
        self.classifier = classifier
        self._breakers = BreakerRegistry(bus=self.bus, classifier=classifier)
        self.policies = PolicyRegistry(breakers=self._breakers, retry=self._policy, bus=self.bus)
        self.policies.configure(self.config.policies)
        self._services = Services(
            dsn, self.config, pipeline_id, schema, self.bus, classifier, self._breakers
        )

    async def start(self) -> Self:
        """Connect to the database, migrate it, and start recording.

        Raises:
            DatabaseUnavailableError, UnsupportedServerError, MigrationError, EmbeddedServerError
        """
        await self._services.start()
        return self

    async def aclose(self) -> None:
        """Write what waits and close what was opened."""
        await self._services.aclose()

    async def __aenter__(self) -> Self:
        return await self.start()

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.aclose()

    @property
    def database(self) -> Database:
        """The database, for queries of your own: ``async with manager.database.acquire()``."""
        return self._services.database

    @property
    def parking(self) -> ParkingLot:
        """Calls put aside in the database until their service can take them."""
        return self._services.parking

    # -- runs ----------------------------------------------------------------------------------

    def run(
        self,
        pipeline_id: str,
        run_id: str | None = None,
        *,
        release: str | None = None,
        tags: Mapping[str, Any] | None = None,
    ) -> Run:
        """The scope of one run: ``async with manager.run("flights") as run``.

        Args:
            pipeline_id: the pipeline.
            run_id: a run to go on with; None for a new one.
            release: version of the worker's code.
            tags: anything else to find it by.
        """
        return Run(
            self._services.runs,
            pipeline_id,
            run_id,
            classify=self.classifier.classify,
            release=release,
            tags=tags,
            bus=self.bus,
        )

    # -- policies ------------------------------------------------------------------------------

    async def execute_with_retry(
        self, operation: Callable[..., Any], *args: Any, **options: Any
    ) -> Any:
        """Call ``operation(*args)`` under the retry policy; its result, or its last exception.

        Options are those of ``retry``; the manager's config gives their defaults. Keyword
        arguments for the operation go in with ``functools.partial``.
        """
        return await call(self._policy(options), operation, *args)

    def retry_on_failure(self, **options: Any) -> Callable[[Callable[P, Any]], Callable[P, Any]]:
        """``execute_with_retry`` as a decorator."""
        return retry(**self._options(options))

    async def implement_circuit_breaker(
        self, operation: Callable[..., Any], *args: Any, service_name: str, **options: Any
    ) -> Any:
        """Call ``operation(*args)`` through the named breaker.

        Raises:
            CircuitOpenError: the breaker is open.
        """
        return await self._breaker(service_name, options).call(operation, *args)

    def circuit_breaker(self, service_name: str, **options: Any) -> CircuitBreaker:
        """The named breaker: a decorator, and ``async with breaker:``, and ``breaker.call``.

        While the manager is started it is shared by every worker on the same database, unless
        made with ``scope="local"``. Options are those of ``BreakerOptions``.

        Raises:
            InvalidConfigError: the breaker exists with other options, or one is out of range.
        """
        return self._breaker(service_name, options)

    async def force_circuit_breaker(
        self, service_name: str, state: CircuitState, *, reason: str, seconds: float = 300.0
    ) -> None:
        """Take the whole fleet's breaker to ``state``, whatever it was.

        Args:
            service_name: the breaker; no worker need have it yet.
            state: FORCED_OPEN and DISABLED stay until the next ``force_circuit_breaker``; CLOSED
                and OPEN go on by the rules; METRICS_ONLY counts and lets all calls through.
            reason: who and why, for those who look at it.
            seconds: how long OPEN lasts.
        """
        await self._services.force_circuit_breaker(service_name, state, seconds, reason)

    def rate_limiter(self, name: str, **options: Any) -> RateLimiter:
        """A rate limiter whose tokens are the whole fleet's while the manager is started.

        Options are those of ``RateLimiter``; every worker gives the same.
        """
        limiter = RateLimiter(name, bus=self.bus, **options)
        self._services.share(limiter)
        return limiter

    def retry_budget(self, name: str, **options: Any) -> RetryBudget:
        """A retry budget whose tokens are the whole fleet's while the manager is started.

        Options are those of ``RetryBudget``; every worker gives the same.
        """
        budget = RetryBudget(name, **options)
        self._services.share(budget)
        return budget

    def policy(self, name: str) -> Policy:
        """The policy that the config's ``policies`` (or ``manager.policies.add``) names.

        Raises:
            InvalidConfigError: there is none of that name.
        """
        return self.policies.get(name)

    async def implement_fallback_strategy(
        self, primary: Callable[..., Any], *fallbacks: Callable[..., Any], **options: Any
    ) -> Any:
        """The first of ``primary`` and ``fallbacks`` that succeeds, in order.

        Raises:
            ExceptionGroup: none does; it holds the exception of each.
        """
        return await call_with_fallback(primary, *fallbacks, bus=self.bus, **options)

    def classify_error(self, exc: BaseException) -> ErrorType:
        """What kind of failure ``exc`` is."""
        return self.classifier.classify(exc)

    def should_retry(self, error_type: ErrorType, retry_count: int) -> bool:
        """Whether the decision matrix allows another retry after ``retry_count`` of them."""
        return should_retry(error_type, retry_count, self.config.max_retries)

    # -- records -------------------------------------------------------------------------------

    async def log_error_details(
        self,
        run_id: str | None,
        error: BaseException,
        context: Mapping[str, Any] | None = None,
        *,
        step: str | None = None,
        operation: str | None = None,
        attempt: int | None = None,
    ) -> UUID:
        """Write the error, classified and masked; it is on disk when this returns."""
        return await self._services.log_error(
            run_id, error, context, step=step, operation=operation, attempt=attempt
        )

    async def quarantine_bad_records(
        self,
        run_id: str,
        bad_data: Any,
        error_reason: str,
        error_type: ErrorType = ErrorType.DATA,
        *,
        step: str | None = None,
        positions: Sequence[Any] | None = None,
    ) -> UUID:
        """Set records aside; they are on disk when this returns.

        Args:
            run_id: the run they belong to.
            bad_data: a list (or iterator) of records, or one record (mapping, tuple, text, …).
            error_reason: why; the same text for the same fault, so that it can be counted.
            error_type: what kind of failure.
            step: where; the current step without it.
            positions: each record's position in its source.

        Returns:
            The id of the set, ``quarantined_records.quarantine_id``.

        Raises:
            CodecError: a record can't be stored so that it comes back equal.
        """
        return await self._services.quarantine(
            run_id, bad_data, error_reason, error_type, step=step, positions=positions
        )

    def register_processor(self, step: str, processor: Processor) -> Processor:
        """Reprocess the quarantined records of ``step`` by ``async processor(tx, record)``."""
        self._services.processors[step] = processor
        return processor

    async def reprocess_quarantined_records(
        self,
        run_id: str,
        quarantine_id: UUID | None = None,
        processor: Processor | None = None,
        *,
        step: str | None = None,
        reason: str | None = None,
        error_type: ErrorType | None = None,
        sqlstate: str | None = None,
        size: int = 100,
        limit: int | None = None,
        actor: str | None = None,
    ) -> ReprocessMetrics:
        """Run a run's quarantined records again, each once; those that fail stay, with a trace.

        Several workers may do so at once: none takes a record that another holds. What the
        processor writes through ``tx`` commits with the record's outcome.

        Args:
            run_id: the run that set them aside.
            quarantine_id: one set of them.
            processor: ``async (tx, record)``, ``tx`` an asyncpg connection in a transaction; an
                exception fails the record. None: the one registered for the record's step.
            step: of this step only.
            reason: set aside for this reason only.
            error_type: of this kind only.
            sqlstate: refused with this code only.
            size: records a transaction.
            limit: records at the most.
            actor: who does it; this worker's host and process id without it.

        Raises:
            InvalidConfigError: there is no processor for a record.
        """
        which = RecordFilter(
            run_id=run_id,
            quarantine_id=quarantine_id,
            step=step,
            reason=reason,
            error_type=error_type,
            sqlstate=sqlstate,
        )
        return await self._services.reprocess(which, processor, size=size, limit=limit, actor=actor)

    async def discard_quarantined_records(
        self,
        run_id: str,
        quarantine_id: UUID | None = None,
        *,
        why: str,
        step: str | None = None,
        reason: str | None = None,
        actor: str | None = None,
    ) -> int:
        """Give quarantined records up; they stay to be looked at. How many there were.

        Args:
            run_id: the run that set them aside.
            quarantine_id: one set of them.
            why: kept with each record.
            step: of this step only.
            reason: set aside for this reason only.
            actor: who does it; this worker's host and process id without it.
        """
        which = RecordFilter(run_id=run_id, quarantine_id=quarantine_id, step=step, reason=reason)
        return await self._services.discard(which, why, actor)

    # -- checkpoints ---------------------------------------------------------------------------

    async def checkpoint_progress(
        self, run_id: str, step: str, progress_data: Any, *, partition: int = 0
    ) -> UUID:
        """Save ``progress_data`` (any JSON shape) for the step; its checkpoint's id."""
        key = StepKey(run_id, step, partition)
        return await self._services.checkpoints.save_data(key, progress_data)

    async def resume_from_checkpoint(
        self, run_id: str, step: str | None = None, *, partition: int = 0
    ) -> Checkpoint | None:
        """The step's checkpoint, or the run's latest one; None where there is none."""
        return await self._services.checkpoints.load(run_id, step, partition)

    def checkpoint(
        self,
        run_id: str,
        step: str,
        *,
        partition: int = 0,
        size: int | None = None,
        interval: float | None = None,
        tolerance: float | None = None,
        retry_options: Mapping[str, Any] | None = None,
    ) -> Step:
        """The streaming checkpoint: ``async with manager.checkpoint("run", "load") as cp``.

        Args:
            run_id: the run.
            step: its step.
            partition: the part of the step's source that this is; each has its own position.
            size: records a batch (``checkpoint_batch_size``).
            interval: seconds after which a batch that is not full is committed
                (``checkpoint_interval_minutes``).
            tolerance: share (0 to 1) of the records that may be quarantined.
            retry_options: options of ``retry`` for the batches of ``for_each``.
        """
        policy = self._policy({"name": f"batch of {step}", **(retry_options or {})})
        return Step(
            self._services.checkpoints,
            StepKey(run_id, step, partition),
            size=size or self.config.checkpoint_batch_size,
            interval=interval or self.config.checkpoint_interval_minutes * 60,
            tolerance=self._tolerance(tolerance),
            retrying=functools.partial(call, policy),
            bus=self.bus,
        )

    async def stream(
        self,
        source: StreamSource,
        sink: Sink,
        *,
        run_id: str,
        step: str = "stream",
        size: int | None = None,
        position: Callable[[Any], Any] | None = None,
        transform: Transform | None = None,
        columns: Sequence[str] | None = None,
        partition: int = 0,
        tolerance: float | None = None,
        retry_options: Mapping[str, Any] | None = None,
    ) -> StreamReport:
        """The whole job in one call: read, load, quarantine, checkpoint, retry, resume.

        Args:
            source: called with the last position (None at first); returns an iterable or async
                iterable of the records after it.
            sink: a table's name, or ``async (tx, batch)``.
            run_id: the run.
            step: its step.
            partition: the part of the step's source that this is; each has its own position.
            size: records a batch.
            position: a record's position; the number of records read so far without it.
            transform: called with each record; its exceptions quarantine that record.
            columns: the table's columns, where the sink is a table.
            tolerance: share (0 to 1) of the records that may be quarantined.
            retry_options: options of ``retry`` for the batches.
        """
        step_ = self.checkpoint(
            run_id,
            step,
            partition=partition,
            size=size,
            tolerance=tolerance,
            retry_options=retry_options,
        )
        return await stream(
            step_, source, sink, position=position, transform=transform, columns=columns
        )

    def _tolerance(self, share: float | None) -> Tolerance:
        if share is not None:
            return Tolerance(share)
        return Tolerance(self.config.bad_record_tolerance, self.config.bad_record_allowance)

    # -- defaults ------------------------------------------------------------------------------

    def _breaker(self, service_name: str, options: Mapping[str, Any]) -> CircuitBreaker:
        defaults = {
            "failure_threshold": self.config.circuit_breaker_threshold,
            "timeout": self.config.circuit_breaker_timeout,
        }
        return self._breakers.get(service_name, **{**defaults, **options})

    def _options(self, given: Mapping[str, Any]) -> dict[str, Any]:
        options = dict(given)
        if "retry_strategy" in options:  # the facade's own word
            options["strategy"] = options.pop("retry_strategy")
        return {
            "max_retries": self.config.max_retries,
            "backoff_factor": self.config.backoff_factor,
            "initial_delay": self.config.initial_delay,
            "max_delay": self.config.max_delay,
            "jitter_range": self.config.jitter_range,
            "classifier": self.classifier,
            "bus": self.bus,
            **options,
        }

    def _policy(self, options: Mapping[str, Any]) -> RetryPolicy:
        return RetryPolicy(**self._options(options))
