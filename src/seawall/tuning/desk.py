"""Auto-tuning in a fleet: every worker counts and follows, one decides."""

import logging
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass

import anyio.lowlevel

from seawall.classification import ErrorType
from seawall.clock import SYSTEM_CLOCK, Clock
from seawall.config import Range
from seawall.events import Event
from seawall.service import Periodic
from seawall.tuning.advice import Advice, advise, clamped
from seawall.tuning.counter import TimingCounter
from seawall.tuning.model import AutoTuning, Bounds, Timing
from seawall.tuning.store import State, TuningChange, TuningStore
from seawall.tuning.tuner import Tuner

_logger = logging.getLogger("seawall.tuning")

_MOST_DAYS = 90
_MOST_LISTED = 1_000

Permission = Callable[[str, str, str, str], Awaitable[bool]]


@dataclass(frozen=True, slots=True, kw_only=True)
class RetryAdvice:
    """What the retries of an operation show, and what would be better.

    Attributes:
        pipeline_id, operation, error_type: the operation, and how it failed.
        now: the numbers that hold where the user gave none with the call.
        advised: better numbers; None where those of now are good, or too few calls were seen.
        reason: one sentence with the evidence.
        cases: retried calls under the numbers of now, and ``successes`` of them (sampled).
    """

    pipeline_id: str
    operation: str
    error_type: ErrorType
    now: Timing
    advised: Timing | None
    reason: str
    cases: int
    successes: int


class TuningDesk:
    """Counts when retried calls recover, advises, and acts where it may; a service.

    Args:
        store: where counts, numbers and changes are.
        tuner: gives the numbers to the policies.
        mode: off, advise or act.
        default: the configured numbers.
        bounds: what the user allows.
        permission: is asked before each change (pipeline, operation, error type, reason): the cap
            on automatic actions.
        pipeline_id: of calls outside any run.
        flush_seconds: between two exchanges with the store.
        clock: for the waits.
    """

    def __init__(
        self,
        store: TuningStore,
        tuner: Tuner,
        *,
        mode: AutoTuning,
        default: Timing,
        bounds: Bounds,
        permission: Permission,
        pipeline_id: str,
        flush_seconds: float = 15.0,
        clock: Clock = SYSTEM_CLOCK,
    ) -> None:
        self._store, self._tuner, self._mode = store, tuner, mode
        self._default, self._bounds, self._permission = default, bounds, permission
        self._counter = TimingCounter(tuner, pipeline_id=pipeline_id, clock=clock)
        self._periodic = Periodic(
            self.exchange, every=flush_seconds, name="auto-tuning", clock=clock
        )

    def hear(self, event: Event) -> None:
        """The listener."""
        self._counter.hear(event)

    async def start(self) -> None:
        """Take over the fleet's numbers, if the database gives them, and begin to count."""
        if self._mode is AutoTuning.OFF:
            return
        try:
            await self._follow()
        except Exception as error:
            # Policies work without; the next exchange makes up for it.
            _logger.warning("tuned retries could not be read: %s", error)
        await self._periodic.start()

    async def aclose(self) -> None:
        await self._periodic.aclose()

    async def exchange(self) -> None:
        """Add what was counted to the store, and take the fleet's numbers from it."""
        deltas = self._counter.take()
        if deltas:
            try:
                await self._store.add(deltas)
            except BaseException:
                self._counter.put_back(deltas)
                raise
        await self._follow()

    async def tune(self) -> None:
        """Change what is to be changed: work for one worker of the fleet."""
        for state in await self._store.states(None):
            await anyio.lowlevel.checkpoint()  # some milliseconds for each: others get their turn
            advice = self._advice_of(state)
            if advice is not None and not state.is_held:
                await self._change(state, advice)
        await self._store.prune()
        await self._follow()

    async def advice(self, pipeline_id: str | None) -> list[RetryAdvice]:
        """What the retries show, operation by operation."""
        await self.exchange()
        found: list[RetryAdvice] = []
        for state in await self._store.states(pipeline_id):
            await anyio.lowlevel.checkpoint()
            found.append(self._shown(state))
        return found

    async def changes(
        self, pipeline_id: str | None, days: int, limit: int
    ) -> Sequence[TuningChange]:
        """The last changes, the latest first.

        Raises:
            InvalidConfigError: ``days`` isn't 1 to 90, or ``limit`` 1 to 1,000.
        """
        Range(int, 1, _MOST_DAYS).check("days", days)
        Range(int, 1, _MOST_LISTED).check("limit", limit)
        return await self._store.changes(pipeline_id, days, limit)

    async def reset(self, pipeline_id: str | None, operation: str | None) -> int:
        """Go back to the configured numbers; how many there were that could be tuned."""
        self._counter.take()
        forgotten = await self._store.forget(pipeline_id, operation)
        await self._follow()
        return forgotten

    async def _follow(self) -> None:
        if self._tuner.is_on:
            self._tuner.put(await self._store.tuned())

    async def _change(self, state: State, advice: Advice) -> None:
        key = state.key
        if await self._permission(key.pipeline_id, key.operation, key.error_type, advice.reason):
            now = self._now(state)
            await self._store.change(
                state, now, advice.timing, advice.reason, reverts=advice.reverts
            )

    def _now(self, state: State) -> Timing:
        tuned = state.timing if self._tuner.is_on else None
        return tuned or self._default

    def _advice_of(self, state: State) -> Advice | None:
        before = None if state.timing is None else state.timing_before
        advice = advise(
            state.evidence, self._now(state), self._bounds, state.key.error_type, before=before
        )
        if advice is None or advice.reverts:
            return advice
        timing = clamped(advice.timing, self._bounds)
        return None if timing == self._now(state) else Advice(timing, advice.reason)

    def _shown(self, state: State) -> RetryAdvice:
        advice, evidence = self._advice_of(state), state.evidence
        reason = (
            f"the numbers stay: {evidence.successes} of {evidence.cases} retried calls succeeded"
            if advice is None
            else advice.reason
        )
        return RetryAdvice(
            pipeline_id=state.key.pipeline_id,
            operation=state.key.operation,
            error_type=state.key.error_type,
            now=self._now(state),
            advised=None if advice is None else advice.timing,
            reason=reason,
            cases=evidence.cases,
            successes=evidence.successes,
        )
