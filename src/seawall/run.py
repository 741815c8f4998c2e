"""One run of a pipeline: its scope, its steps, and the record of how it ended."""

import logging
from collections.abc import Awaitable, Callable, Mapping
from types import TracebackType
from typing import Any, Protocol, Self, TypeVar, overload
from uuid import UUID

import anyio

from seawall.classification import ErrorType
from seawall.clock import MACHINE_CLOCK, SYSTEM_CLOCK, BackgroundTask, Clock, uuid7
from seawall.errors import ShutdownError, StaleRunError, StepError
from seawall.events import EventBus, RunEnded, RunStarted, default_bus
from seawall.scope import Scope, current_scope, scoped
from seawall.steps import Steps
from seawall.text import recordable
from seawall.tracing import close_span, open_span, spanned

_logger = logging.getLogger("seawall.run")

T = TypeVar("T")

_LOG_SECONDS = 5.0  # how long writing down why it failed may take
_END_SECONDS = 10.0  # how long a cancelled run may take to record its end


class RunStore(Protocol):
    """Where runs, and who is in them, are kept; times are the store's own."""

    async def begin(
        self,
        worker_id: UUID,
        run_id: str,
        pipeline_id: str,
        release: str | None,
        tags: Mapping[str, Any] | None,
        lease_seconds: float,
    ) -> None:
        """A worker enters the run; the pipeline's runs whose workers vanished are abandoned."""
        ...

    async def renew(self, worker_id: UUID, run_id: str, lease_seconds: float) -> None:
        """The worker lives; a run that was taken for abandoned is running again."""
        ...

    async def end(
        self,
        worker_id: UUID,
        run_id: str,
        status: str,
        error_type: str | None,
        message: str | None,
        *,
        replaced: bool,
    ) -> None:
        """The worker leaves; ``replaced``: others do its work, and its end tells nothing."""
        ...


class Run:
    """``async with manager.run("flights") as run``: all inside belongs to ``run.run_id``.

    Belongs to the task that entered it; ``step`` may be called from any task inside.

    Leaving the block tells how this worker ended: ``succeeded``, ``failed`` or ``cancelled``.
    Several workers may be in one run, each with its own block of the same id. It is ``running``
    while any of them is; then its status is their worst end since one entered last, so that a
    restart wipes out what it makes good. Each has a lease, renewed in the background: a worker
    that vanishes counts for nothing while others go on with its work, and if none is left, the run
    is ``abandoned``. An exception that ends the block is written into ``error_details``, once.
    """

    def __init__(
        self,
        store: RunStore,
        pipeline_id: str,
        run_id: str | None,
        *,
        classify: Callable[[BaseException], ErrorType],
        steps: Callable[[str], Steps],
        log_error: Callable[[str | None, BaseException], Awaitable[object]],
        lease_seconds: float = 30.0,
        release: str | None = None,
        tags: Mapping[str, Any] | None = None,
        bus: EventBus = default_bus,
        clock: Clock = SYSTEM_CLOCK,
        admit: Callable[[str, str | None], Awaitable[None]] | None = None,
    ) -> None:
        self.pipeline_id = pipeline_id
        self._admit, self._named = admit, run_id
        self.run_id = run_id if run_id is not None else f"{pipeline_id}-{uuid7()}"
        self._store, self._classify = store, classify
        self._make_steps, self._lease_seconds = steps, lease_seconds
        self._release, self._tags = release, tags
        self._log_error = log_error
        self._bus, self._clock = bus, clock
        self._steps: Steps | None = None

    @overload
    async def step(
        self,
        name: str,
        fn: Callable[..., Awaitable[T]],
        /,
        *args: Any,
        transactional: bool = ...,
        retry_options: Mapping[str, Any] | None = ...,
    ) -> T: ...

    @overload
    async def step(
        self,
        name: str,
        fn: Callable[..., T],
        /,
        *args: Any,
        transactional: bool = ...,
        retry_options: Mapping[str, Any] | None = ...,
    ) -> T: ...

    async def step(
        self,
        name: str,
        fn: Callable[..., Any],
        /,
        *args: Any,
        transactional: bool = False,
        retry_options: Mapping[str, Any] | None = None,
    ) -> Any:
        """Call ``fn(*args)`` once in this run and keep what it returns; later calls get that.

        At least once: a worker that dies between the function's end and the saving of its result
        leaves the step to be run again. ``transactional=True`` makes it exactly once for work in
        this database: ``fn(tx, *args)`` gets a transaction that the result commits with.

        Several workers in one run: one runs the step, the others wait and get its result. A worker
        that dies or is frozen loses it when its lease ends; what it returns then is refused.

        A failure is not kept, only counted and recorded: the step runs again when it is called
        again. A result that can't be kept (too large, or not the codec's) is such a failure,
        though the work was done: return plain values, up to 1 MiB in the codec's form, or nothing.

        The same name is the same call: in one process another function, or other arguments, are
        refused, and across restarts they are warned of. The result is what a restart would get: an
        unregistered dataclass, for one, comes back as a dict.

        Args:
            name: unique in its run, 1 to 200 characters; ``f"load {day}"`` in a loop.
            fn: async, or plain (it runs in a worker thread); keyword arguments by
                ``functools.partial``.
            *args: its arguments.
            transactional: ``fn`` takes a transaction of this database first. ``fn`` is async.
            retry_options: options of ``retry`` over the manager's defaults; None: one attempt.

        Raises:
            StepError: used wrongly, or its result is too large.
            CodecError: its result holds what can't come back equal.
            StaleRunError: another worker took the step over.
        """
        steps = self._opened()
        scope = Scope(self.pipeline_id, self.run_id, name, self._release)
        with scoped(scope), spanned(self._bus, "step"):
            return await steps.run(
                name, fn, args, transactional=transactional, retry_options=retry_options
            )

    async def result_of(self, name: str) -> Any:
        """What the step gave.

        Raises:
            StepError: there is none; says how the step stands.
        """
        return await self._opened().result_of(name)

    async def forget_step(self, name: str) -> bool:
        """Drop a step's result, so that its next call runs it; False where there is no such step.

        Whoever is running it meanwhile is refused its result.
        """
        return await self._opened().forget(name)

    async def __aenter__(self) -> Self:
        if self._admit is not None:
            await self._admit(self.pipeline_id, self._named)
        self._worker_id = uuid7()
        await self._store.begin(
            self._worker_id,
            self.run_id,
            self.pipeline_id,
            self._release,
            self._tags,
            self._lease_seconds,
        )
        self._steps = self._make_steps(self.run_id)
        self._keeper = BackgroundTask(self._keep(), f"seawall run {self.run_id}")
        self._token = current_scope.set(Scope(self.pipeline_id, self.run_id, release=self._release))
        self._started_at = self._clock.monotonic()
        self._span = open_span(self._bus, "run")
        if self._bus.listeners:
            self._bus.emit(RunStarted())
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        status, error_type, message = "succeeded", None, None
        if error is not None:
            # A step that was told to stop is this worker's end, not its failure.
            failed = isinstance(error, Exception) and not isinstance(error, ShutdownError)
            status = "failed" if failed else "cancelled"
            error_type = self._classify(error).value if failed else None
            message = recordable(f"{type(error).__name__}: {error}")
        self._steps = None
        try:
            with anyio.CancelScope(shield=True):
                await self._keeper.stop()
                if error is not None and status == "failed":
                    await self._write_down(error)
                with anyio.fail_after(_END_SECONDS):
                    await self._store.end(
                        self._worker_id,
                        self.run_id,
                        status,
                        error_type,
                        message,
                        replaced=isinstance(error, StaleRunError),
                    )
        except Exception:
            if error is None:
                raise
            # The run's own error says more than that its end could not be written down.
            _logger.exception("the end of run %s could not be recorded", self.run_id)
        finally:
            if self._bus.listeners:
                elapsed = self._clock.monotonic() - self._started_at
                self._bus.emit(
                    RunEnded(
                        status=status,
                        elapsed_seconds=elapsed,
                        error_type=error_type,
                        message=message,
                    )
                )
            close_span(self._span, error)
            current_scope.reset(self._token)

    async def _write_down(self, error: BaseException) -> None:
        """The failure as a row of ``error_details``, unless the user wrote it down before."""
        try:
            with anyio.fail_after(_LOG_SECONDS):
                await self._log_error(self.run_id, error)
        except Exception as reason:
            # Without the database there is no row; the error itself still reaches the caller.
            _logger.warning("the error of run %s was not logged: %s", self.run_id, repr(reason))

    def _opened(self) -> Steps:
        if self._steps is None:
            raise StepError(
                f"run {self.run_id!r} is not open: call its steps inside `async with manager.run`"
            )
        return self._steps

    async def _keep(self) -> None:
        """Renew the lease for as long as the block is open."""
        while True:
            await MACHINE_CLOCK.sleep(self._lease_seconds / 3)
            try:
                await self._store.renew(self._worker_id, self.run_id, self._lease_seconds)
            except Exception as error:
                _logger.warning("the lease of run %s could not be renewed: %s", self.run_id, error)
