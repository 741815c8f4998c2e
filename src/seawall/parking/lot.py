"""ParkingLot: where a service can't answer in time, the call waits in the database instead.

At least once: a worker that dies in the middle of a call leaves it to another, so that operations
that are parked must bear to run twice. One that calls another of them catches its ``ParkedError``:
it would be made again with each new taking of its caller.
"""

import asyncio
import logging
from collections.abc import Callable
from typing import Any
from uuid import UUID

import anyio
from anyio.abc import TaskGroup

from seawall.classification import Classifier, ErrorType, default_classifier
from seawall.clock import SYSTEM_CLOCK, Clock, is_being_cancelled, uuid7
from seawall.config import Range
from seawall.errors import ParkedError
from seawall.masking import Masker, default_masker
from seawall.operation import OperationDecorator, like
from seawall.parking.registry import Operations, ParkOn, Rules
from seawall.parking.store import ParkedCall, ParkingStore, TakenCall
from seawall.redelivery import reason_of
from seawall.scope import current_scope
from seawall.shield import finish

_logger = logging.getLogger("seawall.parking")

_REPORT_SECONDS = 10.0
# Trying again would not help against these: a manager that isn't started, a table that is missing.
_FINAL = (ErrorType.CONFIGURATION, ErrorType.DATA)


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
        masker: Masker = default_masker,
    ) -> None:
        self._masker = masker
        self._store, self._encode, self._decode = store, encode, decode
        self._worker_id, self._lease_seconds = worker_id, lease_seconds
        self._classifier, self._clock = classifier, clock
        self._operations = Operations()

    def register(
        self,
        name: str,
        *,
        max_attempts: int = 5,
        delay: float = 60.0,
        max_delay: float = 86_400.0,
        park_on: ParkOn | None = None,
    ) -> OperationDecorator:
        """Decorate an operation that can be parked under ``name``.

        A call that its retries gave up on because its deadline came, or that was refused until
        later (an open breaker), is parked instead of lost: ``ParkedError`` says so. Where it can't
        be parked either, its own failure leaves, with a note. Put it above the retry.

        Args:
            name: the same in every worker, and in every release that may take a call up.
            max_attempts: takings after which a call that still fails, or whose workers died in it,
                is given up (``dead``).
            delay: seconds until the next one, twice as many each time; a server's Retry-After
                counts where it is longer.
            max_delay: seconds that the computed wait never passes.
            park_on: exception types that park a call, in place of those said above.

        Raises:
            InvalidConfigError: the name is taken, or an option is out of range.
        """
        rules = Rules(max_attempts=max_attempts, delay=delay, max_delay=max_delay, park_on=park_on)
        self._operations.check(name)

        def decorate(operation: Callable[..., Any]) -> Callable[..., Any]:
            run = self._operations.add(name, operation, rules)

            async def parked(*args: Any, **kwargs: Any) -> Any:
                try:
                    return await run(*args, **kwargs)
                except Exception as error:
                    if not rules.parks(error):
                        raise
                    wait = rules.first_wait(error)
                    call_id = await self._park_failed(name, args, kwargs, wait, error)
                    if call_id is None:
                        raise
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
            key: the same call parked again under it, while it waits, is one call; one that was
                given up is parked anew.
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
        Range(int, 1).check("limit", limit)
        calls = await self._due(limit)
        async with anyio.create_task_group() as tasks:
            for call in calls:
                tasks.start_soon(self._take_up, call)
        return len(calls)

    async def run(self, *, poll_seconds: float = 5.0, concurrency: int = 4) -> None:
        """Take up calls until cancelled: a task of your own, beside the worker's others.

        A store that can't be reached is asked again at the next look.

        Args:
            poll_seconds: between two looks where nothing is due.
            concurrency: calls at a time; a long one keeps no other waiting.

        Raises:
            InvalidConfigError: an option is out of range.
            NotStartedError: the manager is not started, or was closed.
        """
        Range(float, low_open=True).check("poll_seconds", poll_seconds)
        Range(int, 1).check("concurrency", concurrency)
        final: list[Exception] = []
        async with anyio.create_task_group() as tasks:
            try:
                await self._dispatch(tasks, poll_seconds, anyio.Semaphore(concurrency))
            except Exception as error:  # naked: as itself, not as the group's member
                final.append(error)
                tasks.cancel_scope.cancel()
        if final:
            raise final.pop()

    async def _dispatch(
        self, tasks: TaskGroup, poll_seconds: float, slots: anyio.Semaphore
    ) -> None:
        while True:
            async with slots:
                pass  # one is free; others only give slots back
            calls: list[TakenCall] = []
            try:
                calls = await self._due(slots.value)
            except Exception as error:
                if self._classifier.classify(error) in _FINAL:
                    raise
                _logger.warning("parked calls are out of reach: %s", error)
            for call in calls:
                slots.acquire_nowait()
                tasks.start_soon(self._in_slot, slots, call)
            if not calls:
                await self._clock.sleep(poll_seconds)

    async def _in_slot(self, slots: anyio.Semaphore, call: TakenCall) -> None:
        try:
            await self._take_up(call)
        finally:
            slots.release()

    async def _due(self, limit: int) -> list[TakenCall]:
        return await self._store.take(
            self._worker_id, self._operations.names(), limit, self._lease_seconds
        )

    async def _park_failed(
        self,
        name: str,
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
        seconds: float,
        error: Exception,
    ) -> UUID | None:
        """Park the call that failed; None, with a note on its error, where that can't be done."""
        try:
            return await self._park(name, args, kwargs, seconds, None, error)
        except Exception as obstacle:
            error.add_note(f"{name} could not be parked: {reason_of(obstacle, self._masker)}")
            return None

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
                reason=None if error is None else reason_of(error, self._masker),
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
                await self._give_back(tasks, call)
                raise
            finally:
                tasks.cancel_scope.cancel()

    async def _give_back(self, tasks: TaskGroup, call: TakenCall) -> None:
        """Cancelled: another's at once, given back by a task that outlives this one."""
        try:
            await finish(tasks, lambda: self._store.give_back(call), _REPORT_SECONDS)
        except Exception as error:  # in the cancellation's place it would hide it
            _logger.warning("%s %s keeps its lease: %s", call.operation, call.call_id, error)

    async def _run(self, tasks: TaskGroup, call: TakenCall) -> None:
        operation = self._operations[call.operation]
        if call.attempts > operation.rules.max_attempts:
            await self._give_up(call)
            return
        tasks.start_soon(self._keep, call)
        try:
            args, kwargs = self._decode(call.arguments)
            await operation.run(*args, **kwargs)
        except Exception as error:
            await self._failed(operation.rules, call, error)
        except asyncio.CancelledError as error:
            if is_being_cancelled():
                raise
            await self._failed(operation.rules, call, error)  # its own doing, not this task's end
        else:
            if not await self._store.done(call):
                _logger.warning("%s %s ran for longer than its lease", call.operation, call.call_id)

    async def _failed(
        self, rules: Rules, call: TakenCall, error: Exception | asyncio.CancelledError
    ) -> None:
        dead = call.attempts >= rules.max_attempts
        wait = rules.next_wait(call.attempts, error)
        kind, reason = self._classifier.classify(error), reason_of(error, self._masker)
        if dead:
            _logger.error("%s %s is given up: %s", call.operation, call.call_id, reason)
        await self._store.failed(call, wait, kind, reason, dead=dead)

    async def _give_up(self, call: TakenCall) -> None:
        """End a call that ended its workers, or outlived their leases: none of them reported."""
        reason = f"taken up {call.attempts - 1} times; the last worker did not report an outcome"
        _logger.error("%s %s is given up: %s", call.operation, call.call_id, reason)
        await self._store.failed(call, 0.0, ErrorType.UNKNOWN, reason, dead=True)

    async def _keep(self, call: TakenCall) -> None:
        """Renew the lease while the call runs and this worker lives."""
        while True:
            await self._clock.sleep(self._lease_seconds / 3)
            try:
                await self._store.renew(call, self._lease_seconds)
            except Exception as error:
                _logger.warning("the lease of %s could not be renewed: %s", call.call_id, error)
