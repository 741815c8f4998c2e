"""Steps: a function called once in a run, whose result a restarted run gets instead."""

import asyncio
import functools
import logging
from collections.abc import Awaitable, Callable, Mapping
from contextvars import ContextVar
from typing import Any

import anyio
from anyio.abc import TaskGroup

from seawall.clock import MACHINE_CLOCK, Clock, is_being_cancelled
from seawall.errors import InvalidConfigError, ShutdownError, StaleRunError, StepError
from seawall.operation import as_coroutine_function, is_async
from seawall.redelivery import reason_of
from seawall.scope import current_scope
from seawall.shield import finish
from seawall.step_ends import StepEnds
from seawall.steps.call import difference, step_call
from seawall.steps.store import KeptResult, StepCall, StepClaim, StepStore

_logger = logging.getLogger("seawall.steps")

RESULT_BYTES = 1_048_576  # of a result in the codec's form
_REPORT_SECONDS = 10.0
_FIRST_LOOK, _LONGEST_LOOK = 0.05, 1.0

Operation = Callable[..., Awaitable[Any]]
Retrying = Callable[[Operation, Mapping[str, Any]], Awaitable[Any]]

_open_steps: ContextVar[frozenset[tuple[str, str]]] = ContextVar(
    "seawall_open_steps", default=frozenset()
)


class Steps:
    """The steps of one run. Belongs to one event loop; may be shared between its tasks.

    Args:
        store: where results are kept.
        run_id: the run.
        encode: a result to text that comes back equal.
        decode: and back.
        owner: this worker, for people.
        lease_seconds: how long a step that a dead worker had stays its own.
        retrying: calls an operation under a retry policy of the given options.
        ends: tells how they end; its classifier and masker serve the record of a failure too.
        clock: gives the sleep between two looks.
    """

    def __init__(
        self,
        store: StepStore,
        run_id: str,
        *,
        encode: Callable[[Any], str],
        decode: Callable[[str], Any],
        owner: str,
        lease_seconds: float,
        retrying: Retrying,
        ends: StepEnds | None = None,
        clock: Clock = MACHINE_CLOCK,
    ) -> None:
        self._store, self._run_id, self._owner = store, run_id, owner
        self._encode, self._decode = encode, decode
        self._lease_seconds, self._retrying = lease_seconds, retrying
        self._clock, self.ends = clock, ends or StepEnds()
        self._calls: dict[str, StepCall] = {}

    async def run(
        self,
        step: str,
        function: Callable[..., Any],
        args: tuple[Any, ...],
        *,
        transactional: bool,
        retry_options: Mapping[str, Any] | None,
    ) -> Any:
        """See ``Run.step``."""
        operation = as_coroutine_function(function)
        if transactional and not is_async(function):
            raise InvalidConfigError(
                f"step {step!r}: a transactional step must be an async function, since its "
                "transaction belongs to this event loop"
            )
        call = self._checked(step_call(self._run_id, step, function, args, self._encode))
        inside = _open_steps.get()
        if (self._run_id, step) in inside:
            raise StepError(f"step {step!r} calls itself: it would wait for its own end")
        token = _open_steps.set(inside | {(self._run_id, step)})
        try:
            got = await self._kept_or_claimed(call)
            if isinstance(got, KeptResult):
                return self._decode(got.text)
            attempt = _Attempt(self, got, operation, args)
            return await self._told(attempt, transactional, retry_options)
        finally:
            _open_steps.reset(token)

    async def _told(
        self, attempt: "_Attempt", transactional: bool, retry_options: Mapping[str, Any] | None
    ) -> Any:
        began, ended_by = self._clock.monotonic(), None
        try:
            return await attempt.run(transactional, retry_options)
        except BaseException as error:
            ended_by = error
            raise
        finally:
            self.ends.emit(
                current_scope.get(),
                ended_by,
                seconds=self._clock.monotonic() - began,
                failed=attempt.failed,
            )

    async def result_of(self, step: str) -> Any:
        """See ``Run.result_of``."""
        found = await self._store.look(self._run_id, step)
        if isinstance(found, KeptResult):
            return self._decode(found.text)
        state = "it was never called"
        if found is not None:
            failure = "" if found.message is None else f"; last failure: {found.message}"
            state = f"it is {found.status}{failure}"
        raise StepError(f"step {step!r} of run {self._run_id!r} has no kept result: {state}")

    async def forget(self, step: str) -> bool:
        """See ``Run.forget_step``."""
        self._calls.pop(step, None)
        return await self._store.forget(self._run_id, step)

    def _checked(self, call: StepCall) -> StepCall:
        """Refuse another call under a name that this process has used: it would get that result."""
        before = self._calls.setdefault(call.step, call)
        if (what := difference(before, call)) is not None:
            raise StepError(
                f"step {call.step!r} of run {call.run_id!r} is two different calls: {what}. Give "
                "each call a name of its own, such as f'load {day}'"
            )
        return call

    async def _kept_or_claimed(self, call: StepCall) -> KeptResult | StepClaim:
        pause = _FIRST_LOOK
        while True:
            found = await self._store.look(call.run_id, call.step)
            if isinstance(found, KeptResult):
                if (what := difference(found, call)) is not None:
                    _logger.warning(
                        "step %r of run %r goes by a result that was kept of another call: %s; "
                        "forget_step drops it",
                        call.step, call.run_id, what,
                    )  # fmt: skip
                return found
            if found is None or found.seconds <= 0:
                claim = await self._store.claim(call, self._owner, self._lease_seconds)
                if claim is not None:
                    return claim
                continue  # another was quicker: look what it does
            await self._clock.sleep(min(pause, found.seconds))
            pause = min(2 * pause, _LONGEST_LOOK)

    def encoded(self, step: str, result: Any) -> str:
        """The result in the codec's form.

        Raises:
            CodecError: it holds what can't come back equal.
            StepError: it is too large.
        """
        text = self._encode(result)
        size = len(text.encode())
        if size > RESULT_BYTES:
            raise StepError(
                f"the result of step {step!r} takes {size:,} bytes, and {RESULT_BYTES:,} are kept "
                "at the most: write it to a table or file, and return where it is"
            )
        return text


class _Attempt:
    """One taking of a step, from its claim to its result."""

    def __init__(
        self, steps: Steps, claim: StepClaim, operation: Operation, args: tuple[Any, ...]
    ) -> None:
        self._steps, self._claim = steps, claim
        self._operation, self._args = operation, args
        self.failed = False  # by an exception of its own
        self._store, self._called = steps._store, 0  # noqa: SLF001 - its other half

    async def run(self, transactional: bool, retry_options: Mapping[str, Any] | None) -> Any:
        failure: Exception | None = None
        text = ""
        async with anyio.create_task_group() as tasks:
            with anyio.CancelScope() as scope:
                tasks.start_soon(self._keep, scope)
                try:
                    if transactional:
                        work = functools.partial(self._in_transaction, tasks)
                        text = await self._under_policy(work, retry_options)
                    else:
                        result = await self._under_policy(self._called_once, retry_options)
                        text = await self._saved(tasks, result)
                except Exception as error:  # naked: as itself, not as the group's member
                    failure = error
                    await self._failed(error)
                except asyncio.CancelledError as error:
                    if is_being_cancelled():
                        await self._give_back(tasks)
                        raise
                    await self._failed(error)  # the function's own doing, not this task's end
                    raise
            tasks.cancel_scope.cancel()
        if scope.cancelled_caught:
            raise self._stale()
        if failure is not None:
            raise failure
        # What a restart would get, so that the first run can't go by more than later ones.
        return self._steps._decode(text)  # noqa: SLF001

    async def _under_policy(
        self, work: Callable[[], Awaitable[Any]], options: Mapping[str, Any] | None
    ) -> Any:
        if options is None:
            return await work()
        return await self._steps._retrying(  # noqa: SLF001
            work, {"name": f"step {self._claim.step}", **options}
        )

    async def _called_once(self) -> Any:
        self._called += 1
        return await self._operation(*self._args)

    async def _in_transaction(self, tasks: TaskGroup) -> str:
        self._called += 1

        async def work(tx: Any) -> str:
            result = await self._operation(tx, *self._args)
            return self._encoded(result, "its work is rolled back")

        return await self._store.in_transaction(self._claim, work, self._called - 1, tasks)

    async def _saved(self, tasks: TaskGroup, result: Any) -> str:
        text = self._encoded(result, "its work is done, and would be done again by the next call")

        async def save() -> bool:
            return await self._store.save(self._claim, text, self._called - 1)

        async def until_saved() -> Any:
            # Losing it would do the work again: worth more than one try.
            return await self._steps._retrying(save, {"name": "saving a step"})  # noqa: SLF001

        if not await finish(tasks, until_saved, self._steps._lease_seconds):  # noqa: SLF001
            raise self._stale()
        return text

    def _encoded(self, result: Any, consequence: str) -> str:
        try:
            return self._steps.encoded(self._claim.step, result)
        except Exception as error:
            error.add_note(
                f"step {self._claim.step!r} ran to its end, but what it returned can't be kept: "
                f"{consequence}. Let it return plain values, or nothing"
            )
            raise

    async def _failed(self, error: BaseException) -> None:
        if isinstance(error, StaleRunError):
            return
        self.failed = not isinstance(error, ShutdownError)
        ends = self._steps.ends
        kind = ends.classifier.classify(error)
        reason = reason_of(error, ends.masker)
        more = max(0, self._called - 1)
        try:
            await self._store.failed(self._claim, kind, reason, more)
        except Exception as obstacle:  # in the failure's place it would hide it
            _logger.warning("step %s: its failure is not on record: %s", self._claim.step, obstacle)

    async def _give_back(self, tasks: TaskGroup) -> None:
        """Cancelled: another's at once, given back by a task that outlives this one."""
        try:
            await finish(tasks, lambda: self._store.give_back(self._claim), _REPORT_SECONDS)
        except Exception as error:  # in the cancellation's place it would hide it
            _logger.warning("step %s keeps its lease: %s", self._claim.step, error)

    async def _keep(self, scope: anyio.CancelScope) -> None:
        """Renew the lease while the function runs; lost, there is no use in going on."""
        seconds = self._steps._lease_seconds  # noqa: SLF001
        while True:
            await self._steps._clock.sleep(seconds / 3)  # noqa: SLF001
            try:
                if not await self._store.renew(self._claim, seconds):
                    scope.cancel()
                    return
            except Exception as error:
                _logger.warning(
                    "the lease of step %s could not be renewed: %s", self._claim.step, error
                )

    def _stale(self) -> StaleRunError:
        return StaleRunError(
            f"step {self._claim.step!r} of run {self._claim.run_id!r} was taken over by another "
            "worker: the result of this one is not kept"
        )
