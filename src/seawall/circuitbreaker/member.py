"""One breaker of one worker as a member of its fleet: it votes, asks for trials and follows."""

import asyncio
import math
import random
from collections import deque
from collections.abc import Callable, Coroutine
from typing import Any, Protocol
from uuid import UUID

import anyio

from seawall.circuitbreaker.breaker import CircuitBreaker
from seawall.circuitbreaker.fleet_store import FleetState, FleetStore, Report, Rule
from seawall.circuitbreaker.link import FleetTrial, Verdict
from seawall.circuitbreaker.state import CircuitState
from seawall.circuitbreaker.window import Counts, Permit
from seawall.clock import Clock, uuid7
from seawall.errors import CircuitOpenError

_TRIAL_STATES = (CircuitState.OPEN, CircuitState.HALF_OPEN)
# What PostgreSQL's integers and intervals can hold; more is as much.
_MOST, _LONGEST_BREAK = 2**31 - 1, 1e9
_LOOK_AGAIN = 0.25  # seconds between looks at a run of failures that has been told
# Votes at once, and seconds between two where so many were cast in the last ten: a service that
# fails a little all the time must not keep the fleet's row locked.
_VOTES, _WITHIN, _SPACING = 20, 10.0, 0.5


class Fleet(Protocol):
    """What a member needs of the fleet that it is in."""

    worker_id: str
    store: FleetStore
    clock: Clock
    quorum: int
    live_seconds: float
    lease_seconds: float

    @property
    def connected(self) -> bool:
        """Whether the store can be asked, from here and now."""
        ...

    def spawn(
        self, work: Callable[..., Coroutine[Any, Any, None]], *args: object, lasting: bool = False
    ) -> None:
        """Run ``work`` in the background; it outlives the caller, and leaving waits for it.

        Args:
            work: an async function.
            *args: its arguments.
            lasting: leaving doesn't wait for it.
        """
        ...

    def hear(self, state: FleetState) -> None:
        """A state that the store has answered with."""
        ...

    def lost(self) -> None:
        """The store didn't answer."""
        ...


class Trial(FleetTrial):
    """One of the fleet's trial calls, held by this worker."""

    __slots__ = ("_member", "machine_epoch", "over", "permit_id")

    def __init__(self, member: "Member", permit_id: UUID, epoch: int, machine_epoch: int) -> None:
        super().__init__(epoch)
        self._member, self.permit_id = member, permit_id
        self.machine_epoch = machine_epoch
        self.over = anyio.Event()

    def end(self, verdict: Verdict) -> None:
        if not self.over.is_set():
            self.over.set()
            self._member.ended(self, verdict)


class Member:
    """A breaker's ``FleetLink``. Belongs to the event loop of its fleet.

    Attributes:
        epoch: the number of the fleet's state that it goes by; -1 until it knows one.
        state: that state; None until it knows one.
    """

    def __init__(self, fleet: Fleet, breaker: CircuitBreaker) -> None:
        self._fleet, self._breaker = fleet, breaker
        self.epoch = -1
        self.state: CircuitState | None = None
        self._claims = 0  # trials asked for or held
        self._trials: set[Trial] = set()  # those held
        # What an operator wants of it, not yet told; also where that was before it joined.
        self._forced: tuple[CircuitState, str] | None = None
        self._forcing = False
        if breaker.forced_here is not None:
            self._forced = (breaker.machine.state, breaker.forced_here)
        self._hold_until = -math.inf  # until when asking for one is in vain
        self._voting = False
        self._told = Counts()
        self._telling = anyio.Lock()
        self._failed = anyio.Event()
        self._votes: deque[float] = deque(maxlen=_VOTES)
        self._last_seen: tuple[int, int, int, int] | None = None

    # -- following -----------------------------------------------------------------------------

    @property
    def governs(self) -> bool:
        return self._fleet.connected and self.state in _TRIAL_STATES

    def follow(self, fleet: FleetState, age: float, *, joining: bool = False) -> None:
        """Go by the fleet's state, said ``age`` seconds ago; a late message changes nothing.

        Args:
            fleet: the state.
            age: seconds since it was said.
            joining: the worker was away, or is new: what it did alone meanwhile counts where the
                fleet is closed, and where it isn't the fleet's state holds.
        """
        if fleet.epoch < self.epoch and not joining:
            return
        self._hold_until = -math.inf  # said again in the same state: a permit is free
        same = fleet.epoch == self.epoch
        if same and not joining:
            return
        if not same:
            self._told = Counts()
        self.epoch, self.state = fleet.epoch, fleet.state
        machine = self._breaker.machine
        by_itself = machine.epoch != self._breaker.followed_epoch
        if joining and self._forced is not None:
            return  # what an operator wants is told next
        if joining and fleet.state is CircuitState.CLOSED and (same or by_itself):
            if self._counts() != Counts():
                self.failed()
            return
        self._breaker.follow(
            fleet.state, max(0.0, fleet.open_seconds - age), f"fleet: {fleet.reason}"
        )
        self._breaker.followed_epoch = machine.epoch

    def force(self, state: CircuitState, reason: str) -> None:
        self._forced = (state, reason)
        self.tell_force()

    def tell_force(self) -> None:
        """Tell what an operator wants, where it could not be told yet."""
        if self._forced is not None and not self._forcing:
            self._forcing = True
            self._fleet.spawn(self._force)

    async def _force(self) -> None:
        try:
            while (wanted := self._forced) is not None:
                state, reason = wanted
                answer = await self._fleet.store.force(self._breaker.name, state, 0.0, reason)
                if self._forced is wanted:
                    self._forced = None  # nothing else was wanted meanwhile
                self._fleet.hear(answer)
        finally:
            self._forcing = False

    # -- votes ---------------------------------------------------------------------------------

    def failed(self) -> None:
        self._failed.set()
        if not self._voting and self._fleet.connected and self.state is CircuitState.CLOSED:
            self._voting = True
            self._fleet.spawn(self._vote, lasting=True)

    async def _vote(self) -> None:
        """Tell of this worker's failures as they change, until there are none to tell of."""
        self._told = Counts()
        try:
            while self.state is CircuitState.CLOSED and self._fleet.connected:
                self._failed = anyio.Event()
                counts = self._counts()
                if (counts.failures, counts.slow) != (self._told.failures, self._told.slow):
                    await self._spaced()
                    await self._tell()
                elif not (counts.failures or counts.slow):
                    return
                else:
                    # A success reports nothing (it must cost nothing): so this looks at it.
                    with anyio.move_on_after(_LOOK_AGAIN):
                        await self._failed.wait()
        finally:
            self._voting = False

    def release_trials(self) -> None:
        """Give back every permit that this worker holds."""
        for trial in tuple(self._trials):
            trial.end(Verdict.RELEASED)

    async def leave(self) -> None:
        """Tell what hasn't been told yet: a worker that ends has no later."""
        if self.state is CircuitState.CLOSED:
            await self._tell()

    async def _tell(self) -> None:
        async with self._telling:
            fleet, counts = self._fleet, self._counts()
            if counts == self._told:
                return  # told by another task, while this one waited
            report, epoch = self._report(counts), self.epoch
            state = await fleet.store.vote(fleet.worker_id, report, self._rule(), self._reason())
            if self.epoch == epoch:
                self._told = counts
            fleet.hear(state)

    async def _spaced(self) -> None:
        """Wait where many votes were cast of late, unless this worker's own breaker has opened."""
        monotonic = self._fleet.clock.monotonic
        if len(self._votes) == _VOTES and monotonic() - self._votes[0] < _WITHIN:
            end = self._votes[-1] + _SPACING
            while self._breaker.machine.window is not None and (left := end - monotonic()) > 0:
                self._failed = anyio.Event()
                with anyio.move_on_after(left):
                    await self._failed.wait()
        self._votes.append(monotonic())

    def report(self) -> Report:
        """What this worker sees of the service, for the fleet's regular exchange."""
        counts, machine = self._counts(), self._breaker.machine
        window = machine.window
        succeeded = 0 if window is None else window.successes + window.rolled
        seen = (machine.epoch, succeeded, counts.calls, counts.failures)
        # Open, nothing is called; the worker is waiting for the service all the same.
        called = seen != self._last_seen or window is None
        self._last_seen = seen
        return self._report(counts, called=called)

    def _report(self, counts: Counts, *, called: bool = True) -> Report:
        return Report(
            service_name=self._breaker.name,
            epoch=self.epoch,
            calls=min(counts.calls, _MOST),
            failures=min(counts.failures, _MOST),
            slow=min(counts.slow, _MOST),
            called=called,
        )

    def _counts(self) -> Counts:
        machine = self._breaker.machine
        if machine.window is None:
            return machine.tripped_by  # open by itself: what it saw still stands
        return machine.window.counts(self._fleet.clock.monotonic())

    def _reason(self) -> str:
        seen = self._breaker.snapshot()
        return seen.reason or f"failures of {self._breaker.name} in several workers"

    def _rule(self) -> Rule:
        options = self._breaker.options
        return Rule(
            quorum=self._fleet.quorum,
            live_seconds=self._fleet.live_seconds,
            failure_threshold=min(options.failure_threshold, _MOST),
            minimum_calls=min(options.minimum_calls, _MOST),
            failure_rate=options.failure_rate_threshold,
            slow_rate=options.slow_call_rate_threshold,
            timeout=min(options.timeout, _LONGEST_BREAK),
            timeout_factor=min(options.timeout_factor, _LONGEST_BREAK),
            max_timeout=min(options.max_timeout, _LONGEST_BREAK),
            spread=1 + options.timeout_jitter * (2 * random.random() - 1),  # noqa: S311
        )

    # -- trials --------------------------------------------------------------------------------

    async def claim(self) -> Permit | None:
        now = self._fleet.clock.monotonic()
        if self._claims >= self._breaker.options.permitted_calls or now < self._hold_until:
            raise CircuitOpenError(self._breaker.name, max(0.0, self._hold_until - now))
        self._claims += 1
        answer: asyncio.Future[Trial | float | None] = asyncio.get_running_loop().create_future()
        self._fleet.spawn(self._claim, answer)
        try:
            permit = await answer
        except BaseException:
            # Cancelled or closed: the claim goes on by itself and gives back what it is granted,
            # unless that has happened already, in this very tick.
            if not answer.cancel() and not answer.cancelled():
                granted = answer.result()
                if isinstance(granted, Trial):
                    granted.end(Verdict.RELEASED)
            raise
        if isinstance(permit, float):
            raise CircuitOpenError(self._breaker.name, permit)
        return permit

    async def _claim(self, answer: "asyncio.Future[Trial | float | None]") -> None:
        fleet, name, permit_id = self._fleet, self._breaker.name, uuid7()
        try:
            claim = await fleet.store.claim(
                name,
                fleet.worker_id,
                permit_id,
                min(self._breaker.options.permitted_calls, _MOST),
                fleet.lease_seconds,
            )
        except BaseException:
            self._claims -= 1
            _settle(answer, None)
            raise
        fleet.hear(claim.state)
        if claim.granted:
            trial = Trial(self, permit_id, claim.state.epoch, self._breaker.machine.epoch)
            self._trials.add(trial)
            if not _settle(answer, trial):
                trial.end(Verdict.RELEASED)
            fleet.spawn(self._keep, trial, lasting=True)
            return
        self._claims -= 1
        if self.state in _TRIAL_STATES:
            self._hold_until = fleet.clock.monotonic() + claim.wait
            _settle(answer, claim.wait)
        else:
            _settle(answer, None)  # closed meanwhile: the breaker looks again

    async def _keep(self, trial: Trial) -> None:
        """Renew the trial's lease while its call goes on and this worker lives."""
        fleet, limit = self._fleet, self._breaker.options.max_wait
        started = fleet.clock.monotonic()
        while True:
            pause = fleet.lease_seconds / 3
            if limit is not None:
                pause = min(pause, max(0.0, started + limit - fleet.clock.monotonic()))
            with anyio.move_on_after(pause):
                await trial.over.wait()
            if trial.over.is_set():
                return
            if limit is not None and fleet.clock.monotonic() - started >= limit:
                trial.end(Verdict.FAILED)
            elif not await self._renewed(trial) and not trial.over.is_set():
                # Frozen or cut off for longer than the lease: its outcome decides nothing.
                trial.over.set()
                self._trials.discard(trial)
                self._claims -= 1

    async def _renewed(self, trial: Trial) -> bool:
        """Whether the trial is still this worker's, as far as can be known."""
        try:
            return await self._fleet.store.renew(trial.permit_id, self._fleet.lease_seconds)
        except Exception:
            self._fleet.lost()  # out of reach: asked again, while the call goes on
            return True

    def ended(self, trial: Trial, verdict: Verdict) -> None:
        """A trial of this worker has ended; called by the trial, once."""
        self._trials.discard(trial)
        self._fleet.spawn(self._settle, trial, verdict)

    async def _settle(self, trial: Trial, verdict: Verdict) -> None:
        name = self._breaker.name
        reason = f"a trial call {verdict}"
        try:
            self._fleet.hear(
                await self._fleet.store.settle(name, trial.permit_id, verdict, self._rule(), reason)
            )
        except BaseException:
            if trial.machine_epoch == self._breaker.machine.epoch:
                self._alone(verdict, f"{reason}; the fleet can't be reached")
            raise
        finally:
            self._claims -= 1

    def _alone(self, verdict: Verdict, reason: str) -> None:
        if verdict is Verdict.SUCCEEDED:
            self._breaker.follow(CircuitState.CLOSED, math.inf, reason)
        elif verdict is Verdict.FAILED:
            count = self._breaker.machine.opened_count
            seconds = self._breaker.options.open_seconds(max(1, count))
            self._breaker.follow(CircuitState.OPEN, seconds, reason)


def _settle(answer: "asyncio.Future[Any]", value: object) -> bool:
    """Give the answer; False where its caller is gone."""
    if answer.done():
        return False
    answer.set_result(value)
    return True
