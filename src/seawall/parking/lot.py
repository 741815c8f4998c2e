"""ParkingLot: where a service can't answer in time, the call waits in the database instead.

At least once: a worker that dies in the middle of a call leaves it to another, so that operations
that are parked must bear to run twice.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Coroutine
from dataclasses import dataclass
from typing import Any, ParamSpec, TypeVar
from uuid import UUID

import anyio

from seawall.classification import Classifier, default_classifier, retry_after
from seawall.classification.reading import text_of
from seawall.clock import SYSTEM_CLOCK, Clock, is_being_cancelled, uuid7
from seawall.config import Range
from seawall.errors import DeadlineExceededError, InvalidConfigError, ParkedError, RefusedError
from seawall.masking import default_masker
from seawall.operation import AsyncOperation, as_coroutine_function, like
from seawall.parking.store import ParkedCall, ParkingStore, TakenCall
from seawall.scope import current_scope
from seawall.shield import finish
from seawall.text import recordable

_logger = logging.getLogger("seawall.parking")

P = ParamSpec("P")
R = TypeVar("R")

_REPORT_SECONDS = 10.0


@dataclass(frozen=True, slots=True)
class _Operation:
    run: AsyncOperation
    max_attempts: int
    delay: float


class ParkingLot:
    """Calls put aside, by name. Belongs to one event loop; may be shared between its tasks.

    Args:
        store: where they are kept.
        encode: arguments to text that comes back equal.
        decode: and back.
        worker_id: this worker, told apart from all others.
        lease_seconds: how long a call that a dead worker had stays its own.
        classifier: decides the error type of a failure.
        clock: gives the sleep between two looks.
    """

    def __init__(
        self,
        store: ParkingStore,
        *,
        encode: Callable[[Any], str],
        decode: Callable[[str], Any],
        worker_id: str,
        lease_seconds: float = 30.0,
        classifier: Classifier = default_classifier,
        clock: Clock = SYSTEM_CLOCK,
    ) -> None:
        self._store, self._encode, self._decode = store, encode, decode
        self._worker_id, self._lease_seconds = worker_id, lease_seconds
        self._classifier, self._clock = classifier, clock
        self._operations: dict[str, _Operation] = {}

    def register(
        self, name: str, *, max_attempts: int = 5, delay: float = 60.0
    ) -> Callable[[Callable[P, Awaitable[R]]], Callable[P, Coroutine[Any, Any, R]]]:
        """Decorate an operation that can be parked under ``name``.

        A call that its retries gave up on because its deadline came, or that was refused until
        later (an open breaker), is parked instead of lost: ``ParkedError`` says so. Put it above
        the retry.

        Args:
            name: the same in every worker, and in every release that may take a call up.
            max_attempts: takings after which a call that still fails is given up (``dead``).
            delay: seconds until the next one, twice as many each time; a server's Retry-After
                counts where it is longer.

        Raises:
            InvalidConfigError: the name is taken, or an option is out of range.
        """
        Range(int, 1).check("max_attempts", max_attempts)
        Range(float, low_open=True).check("delay", delay)
        if name in self._operations or not name:
            raise InvalidConfigError(f"operation {name!r}: must be a name that isn't taken")

        def decorate(operation: Callable[P, Awaitable[R]]) -> Callable[P, Coroutine[Any, Any, R]]:
            run = as_coroutine_function(operation)
            self._operations[name] = _Operation(run, max_attempts, delay)

            async def parked(*args: Any, **kwargs: Any) -> Any:
                try:
                    return await run(*args, **kwargs)
                except Exception as error:
                    if not _came_too_early(error):
                        raise
                    wait = max(retry_after(error) or 0.0, 0.0) or delay
                    call_id = await self._park(name, args, kwargs, wait, None, error)
                    raise ParkedError(name, call_id, wait) from error

            return like(operation, parked)

        return decorate

    async def park(
        self, name: str, /, *args: Any, seconds: float = 0.0, key: str | None = None, **kwargs: Any
    ) -> UUID:
        """Put a call aside; it is on disk when this returns.

        Args:
            name: an operation that some worker registers.
            *args: its arguments; the codec must know them.
            seconds: until it may be taken up.
            key: the same call parked again under it, while it waits, is one call.
            **kwargs: its keyword arguments.

        Returns:
            The call's id, ``parked_calls.call_id``.

        Raises:
            CodecError: an argument can't be stored so that it comes back equal.
        """
        Range(float).check("seconds", seconds)
        return await self._park(name, args, kwargs, seconds, key, None)

    async def take_up(self, limit: int = 10) -> int:
        """Run calls that are due, of the operations registered here; how many were taken.

        Each call's failure is its own: it is parked again, with a longer wait, or given up.
        """
        calls = await self._store.take(
            self._worker_id, tuple(self._operations), limit, self._lease_seconds
        )
        async with anyio.create_task_group() as tasks:
            for call in calls:
                tasks.start_soon(self._take_up, call)
        return len(calls)

    async def run(self, *, poll_seconds: float = 5.0, concurrency: int = 4) -> None:
        """Take up calls until cancelled: a task of your own, beside the worker's others."""
        while True:
            try:
                taken = await self.take_up(concurrency)
            except ConnectionError as error:
                _logger.warning("parked calls are out of reach: %s", error)
                taken = 0
            if not taken:
                await self._clock.sleep(poll_seconds)

    async def _park(
        self,
        name: str,
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
        seconds: float,
        key: str | None,
        error: Exception | None,
    ) -> UUID:
        scope = current_scope.get()
        return await self._store.park(
            ParkedCall(
                call_id=uuid7(),
                operation=name,
                arguments=self._encode([list(args), kwargs]),
                key=key,
                not_before_seconds=seconds,
                error_type=None if error is None else self._classifier.classify(error),
                reason=None if error is None else _reason(error),
                pipeline_id=scope.pipeline_id,
                run_id=scope.run_id,
            )
        )

    async def _take_up(self, call: TakenCall) -> None:
        async with anyio.create_task_group() as tasks:
            try:
                await self._run(tasks, call)
            except Exception as error:
                # The store's: its lease ends by itself, and another takes the call up.
                _logger.warning("%s %s is left: %s", call.operation, call.call_id, error)
            except BaseException:
                # Cancelled: another's at once, given back by a task that outlives this one.
                await finish(tasks, lambda: self._store.give_back(call), _REPORT_SECONDS)
                raise
            finally:
                tasks.cancel_scope.cancel()

    async def _run(self, tasks: anyio.abc.TaskGroup, call: TakenCall) -> None:
        operation = self._operations[call.operation]
        tasks.start_soon(self._keep, call)
        try:
            args, kwargs = self._decode(call.arguments)
            await operation.run(*args, **kwargs)
        except Exception as error:
            await self._failed(operation, call, error)
        except asyncio.CancelledError as error:
            if is_being_cancelled():
                raise
            await self._failed(operation, call, error)  # its own doing, not this task's end
        else:
            if not await self._store.done(call):
                _logger.warning("%s %s ran for longer than its lease", call.operation, call.call_id)

    async def _failed(
        self, operation: _Operation, call: TakenCall, error: Exception | asyncio.CancelledError
    ) -> None:
        dead = call.attempts >= operation.max_attempts
        wait = max(operation.delay * 2 ** (call.attempts - 1), retry_after(error) or 0.0)
        kind, reason = self._classifier.classify(error), _reason(error)
        if dead:
            _logger.error("%s %s is given up: %s", call.operation, call.call_id, reason)
        await self._store.failed(call, wait, kind, reason, dead=dead)

    async def _keep(self, call: TakenCall) -> None:
        """Renew the lease while the call runs and this worker lives."""
        while True:
            await self._clock.sleep(self._lease_seconds / 3)
            try:
                await self._store.renew(call, self._lease_seconds)
            except Exception as error:
                _logger.warning("the lease of %s could not be renewed: %s", call.call_id, error)


def _came_too_early(error: Exception) -> bool:
    """Whether the service may well answer later: the time was up, or it is left alone for now."""
    if isinstance(error, DeadlineExceededError):
        return True
    if isinstance(error, RefusedError):
        return error.retry_after is not None
    return error.__dict__.get("seawall_stop_reason") == "deadline"


def _reason(error: BaseException) -> str:
    text = f"{type(error).__qualname__}: {text_of(error)}"
    return recordable(default_masker.mask_text(text)) or ""
