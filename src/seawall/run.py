"""One run of a pipeline: its scope, and the record of how it ended."""

import logging
from collections.abc import Callable, Mapping
from types import TracebackType
from typing import Any, Protocol, Self

import anyio

from seawall.classification import ErrorType
from seawall.clock import SYSTEM_CLOCK, Clock, uuid7
from seawall.events import EventBus, RunEnded, default_bus
from seawall.scope import Scope, current_scope
from seawall.text import recordable

_logger = logging.getLogger("seawall.run")

_END_SECONDS = 10.0  # how long a cancelled run may take to record its end


class RunStore(Protocol):
    """Where runs are kept."""

    async def begin(
        self, run_id: str, pipeline_id: str, release: str | None, tags: Mapping[str, Any] | None
    ) -> None: ...

    async def end(
        self, run_id: str, status: str, error_type: str | None, message: str | None
    ) -> None: ...


class Run:
    """``async with manager.run("flights") as run``: all inside belongs to ``run.run_id``.

    Leaving the block records ``succeeded``, ``failed`` or ``cancelled``. Belongs to the task that
    entered it.
    """

    def __init__(
        self,
        store: RunStore,
        pipeline_id: str,
        run_id: str | None,
        *,
        classify: Callable[[BaseException], ErrorType],
        release: str | None = None,
        tags: Mapping[str, Any] | None = None,
        bus: EventBus = default_bus,
        clock: Clock = SYSTEM_CLOCK,
    ) -> None:
        self.pipeline_id = pipeline_id
        self.run_id = run_id if run_id is not None else f"{pipeline_id}-{uuid7()}"
        self._store, self._classify = store, classify
        self._release, self._tags = release, tags
        self._bus, self._clock = bus, clock

    async def __aenter__(self) -> Self:
        await self._store.begin(self.run_id, self.pipeline_id, self._release, self._tags)
        self._token = current_scope.set(Scope(self.pipeline_id, self.run_id))
        self._started_at = self._clock.monotonic()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        status, error_type, message = "succeeded", None, None
        if error is not None:
            failed = isinstance(error, Exception)
            status = "failed" if failed else "cancelled"
            error_type = self._classify(error).value if failed else None
            message = recordable(f"{type(error).__name__}: {error}")
        try:
            with anyio.CancelScope(shield=True), anyio.fail_after(_END_SECONDS):
                await self._store.end(self.run_id, status, error_type, message)
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
            current_scope.reset(self._token)
