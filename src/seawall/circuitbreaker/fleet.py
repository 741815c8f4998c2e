"""All breakers of one worker, tied to those of the other workers on the same database.

Nothing here stands on a call's way: closed and open, a breaker looks at its own memory. Failures
are told in the background, changes are heard by notification, and a slow regular exchange mends
what a lost message left out. While the database is out of reach each breaker goes on by itself.
"""

import asyncio
import logging
import os
import random
from collections.abc import Callable, Coroutine, Iterable
from typing import Any

import anyio
from anyio.abc import TaskGroup

from seawall.circuitbreaker.breaker import CircuitBreaker
from seawall.circuitbreaker.fleet_store import FleetState, FleetStore
from seawall.circuitbreaker.member import Member
from seawall.circuitbreaker.state import CircuitState
from seawall.clock import MACHINE_CLOCK, SYSTEM_CLOCK, BackgroundTask, Clock, is_in_a_task

_logger = logging.getLogger("seawall.circuitbreaker")

_Work = tuple[Callable[..., Coroutine[Any, Any, None]], tuple[object, ...], bool]


class BreakerFleet:
    """One worker's place in the fleet, from ``start`` to ``aclose``; belongs to one event loop.

    Args:
        store: where the fleet keeps its breakers.
        worker_id: this worker, told apart from all others.
        quorum: workers that must see failures before the fleet's breaker opens.
        lease_seconds: how long a trial call's permit outlives its worker.
        poll_seconds: between two regular exchanges.
        live_seconds: how long after its last call a worker counts as one that calls the service.
        clock: measures them.
    """

    def __init__(
        self,
        store: FleetStore,
        *,
        worker_id: str,
        quorum: int = 2,
        lease_seconds: float = 10.0,
        poll_seconds: float = 5.0,
        live_seconds: float = 60.0,
        clock: Clock = SYSTEM_CLOCK,
    ) -> None:
        self.store, self.worker_id, self.quorum, self.clock = store, worker_id, quorum, clock
        self.lease_seconds, self.live_seconds = lease_seconds, live_seconds
        self._poll_seconds = poll_seconds
        self._is_connected = False
        self._heard: dict[str, int] = {}  # epochs told on the present connection
        self._home: tuple[int, asyncio.AbstractEventLoop] | None = None
        self._members: dict[str, Member] = {}
        self._breakers: dict[str, CircuitBreaker] = {}
        self._known: dict[str, tuple[FleetState, float]] = {}  # with the moment each was heard
        self._tasks: TaskGroup | None = None
        self._task: BackgroundTask | None = None
        self._telling = 0
        self._late: list[_Work] = []
        self._comes_late = anyio.Event()
        self._idle = anyio.Event()
        self._first_exchange = anyio.Event()

    async def start(self, breakers: Iterable[CircuitBreaker], seconds: float) -> None:
        """Join, with ``breakers``; returns when their state in the fleet is known, or can't be.

        Args:
            breakers: those that there are already; ``attach`` adds later ones.
            seconds: to wait for the store; after that it goes on in the background.
        """
        for breaker in breakers:
            self.attach(breaker)
        self._home = (os.getpid(), asyncio.get_running_loop())
        self._task = BackgroundTask(self._run(), "seawall breakers")
        with anyio.move_on_after(seconds):
            await self._first_exchange.wait()

    async def aclose(self, seconds: float = 2.0) -> None:
        """Leave: what is to be told is told, for at most ``seconds``; the breakers go on alone."""
        with anyio.move_on_after(seconds):
            for member in self._members.values():
                member.release_trials()
                self.spawn(member.leave)
            await self._told_all()
            self.spawn(self._forget)
            await self._told_all()
        self._is_connected = False
        if self._task is not None:
            await self._task.stop()
        for breaker in self._breakers.values():
            breaker.link = None

    async def _told_all(self) -> None:
        while self._telling:
            self._idle = anyio.Event()
            await self._idle.wait()

    async def _forget(self) -> None:
        """Be no part of any quorum from now on: what this worker saw went with it."""
        await self.store.forget(self.worker_id)

    @property
    def connected(self) -> bool:
        """Whether the fleet's state is known and can be changed, now.

        Never after a fork, nor in another event loop: a breaker used there goes on alone.
        """
        return self._is_connected and self._home == (os.getpid(), _running_loop())

    def attach(self, breaker: CircuitBreaker) -> None:
        """Share ``breaker``; open in the fleet, it is open before its first call."""
        member = Member(self, breaker)
        self._members[breaker.name], self._breakers[breaker.name] = member, breaker
        breaker.link = member
        if (known := self._known.get(breaker.name)) is not None:
            member.follow(known[0], self.clock.monotonic() - known[1], joining=True)
        elif self.connected:
            # Every breaker that there is was heard of at the start: this is the first of its name.
            fresh = FleetState(service_name=breaker.name, state=CircuitState.CLOSED, epoch=0)
            member.follow(fresh, 0.0, joining=True)
        if self.connected:
            self.spawn(self._exchange)

    def spawn(
        self, work: Callable[..., Coroutine[Any, Any, None]], *args: object, lasting: bool = False
    ) -> None:
        """Run ``work`` in the background; what it raises means that the store is out of reach.

        Args:
            work: an async function.
            *args: its arguments.
            lasting: leaving doesn't wait for it.
        """
        if self._tasks is not None and self._home == (os.getpid(), _running_loop()):
            self._telling += not lasting
            if is_in_a_task():
                self._tasks.start_soon(self._contained, work, args, lasting)
            else:
                # A call closed by a callback or by the collector: tasks are started by tasks only.
                self._late.append((work, args, lasting))
                self._comes_late.set()

    async def _start_late(self, tasks: TaskGroup) -> None:
        """Start what could not be started where it was wanted."""
        while True:
            await self._comes_late.wait()
            self._comes_late = anyio.Event()
            late, self._late = self._late, []
            for work in late:
                tasks.start_soon(self._contained, *work)

    async def _contained(
        self,
        work: Callable[..., Coroutine[Any, Any, None]],
        args: tuple[object, ...],
        lasting: bool,
    ) -> None:
        try:
            await work(*args)
        except Exception as error:
            if not isinstance(error, ConnectionError):
                _logger.exception("the fleet's breakers could not be reached")
            self.lost()
        finally:
            self._telling -= not lasting
            if not self._telling:
                self._idle.set()

    def hear(self, state: FleetState) -> None:
        """Take a state that the store told of; a late one changes nothing."""
        heard = self._heard.get(state.service_name, state.epoch)
        self._heard[state.service_name] = max(heard, state.epoch)
        self._take(state, joining=False)

    def lost(self) -> None:
        """The store is out of reach: every breaker goes on alone."""
        if self.connected:
            self._is_connected = False
            _logger.warning("the fleet is out of reach: circuit breakers go on alone")

    def _take(self, state: FleetState, *, joining: bool) -> None:
        known = self._known.get(state.service_name)
        if joining or known is None or state.epoch >= known[0].epoch:
            self._known[state.service_name] = (state, self.clock.monotonic())
        if (member := self._members.get(state.service_name)) is not None:
            member.follow(state, 0.0, joining=joining or member.state is None)

    async def _run(self) -> None:
        try:
            async with anyio.create_task_group() as tasks:
                self._tasks = tasks
                tasks.start_soon(self._poll)
                tasks.start_soon(self._start_late, tasks)
                await self.store.run(self.hear, self._connected, self.lost)
        finally:
            self._tasks, self._is_connected = None, False

    def _connected(self) -> None:
        self._heard.clear()
        self.spawn(self._join)

    async def _join(self) -> None:
        """The first exchange of a connection: what is said now holds, whatever was heard before."""
        states = await self._told()
        self._is_connected = True
        for state in states:
            # A notification of this connection may be newer than the answer's snapshot.
            if state.epoch >= self._heard.get(state.service_name, state.epoch):
                self._take(state, joining=True)
        for member in self._members.values():
            member.tell_force()
        self._first_exchange.set()

    async def _poll(self) -> None:
        while True:
            await MACHINE_CLOCK.sleep(self._poll_seconds * random.uniform(0.8, 1.2))  # noqa: S311
            self.spawn(self._exchange if self.connected else self._join)

    async def _exchange(self) -> None:
        for state in await self._told():
            self.hear(state)

    async def _told(self) -> list[FleetState]:
        reports = [member.report() for member in self._members.values()]
        return await self.store.sync(self.worker_id, reports)


def _running_loop() -> asyncio.AbstractEventLoop | None:
    try:
        return asyncio.get_running_loop()
    except RuntimeError:
        return None
