"""The parking lot's own rules, over a store in memory: what a worker does with calls put aside."""

import asyncio
import json

import anyio
import pytest

from seawall import retry
from seawall.classification import ErrorType
from seawall.clock import uuid7
from seawall.errors import (
    CircuitOpenError,
    DatabaseUnavailableError,
    DeadlineExceededError,
    InvalidConfigError,
    NotStartedError,
    ParkedError,
    RetryBudgetExhaustedError,
)
from seawall.parking import ParkingLot
from seawall.parking.registry import Rules
from seawall.parking.store import TakenCall


class Store:
    """Calls in a dict; ``broken`` maps a method's name to what it raises."""

    def __init__(self):
        self.calls, self.taken, self.attempts = {}, set(), {}
        self.broken, self.reports, self.limits, self.renewed = {}, [], [], 0

    async def _reach(self, method):
        await asyncio.sleep(0)
        if method in self.broken:
            raise self.broken[method]

    async def park(self, call):
        await self._reach("park")
        self.calls[call.call_id] = call
        self.attempts[call.call_id] = 0
        return call.call_id

    async def take(self, worker_id, operations, limit, lease_seconds):
        await self._reach("take")
        self.limits.append(limit)
        due = [
            call
            for call in self.calls.values()
            if call.operation in operations and call.call_id not in self.taken
        ][:limit]
        for call in due:
            self.taken.add(call.call_id)
            self.attempts[call.call_id] += 1
        return [
            TakenCall(
                call_id=call.call_id,
                lease_id=uuid7(),
                operation=call.operation,
                arguments=call.arguments,
                attempts=self.attempts[call.call_id],
            )
            for call in due
        ]

    async def renew(self, call, lease_seconds):
        self.renewed += 1
        await self._reach("renew")
        return True

    async def done(self, call):
        await self._reach("done")
        self.calls.pop(call.call_id)
        self.reports.append("done")
        return True

    async def failed(self, call, not_before_seconds, error_type, reason, *, dead):
        await self._reach("failed")
        self.reports.append((not_before_seconds, error_type, reason, dead))
        return True

    async def give_back(self, call):
        await self._reach("give_back")
        self.taken.discard(call.call_id)
        self.reports.append("given back")


@pytest.fixture
def store():
    return Store()


@pytest.fixture
def lot(store, clock):
    return ParkingLot(
        store,
        encode=json.dumps,
        decode=json.loads,
        worker_id="w",
        lease_seconds=30,
        clock=clock,
    )


def gone():
    return DatabaseUnavailableError("gone")


async def ended(task):
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


async def test_parking_operation_that_succeeds_parks_nothing(lot, store):
    """A registered operation is called as it was."""

    @lot.register("add")
    async def add(a, b=1):
        return a + b

    assert (await add(1), await add(1, b=4), add.__name__) == (2, 5, "add")
    assert store.calls == {}


async def test_parking_plain_function_is_parked_and_run(lot, store):
    """It runs in a worker thread, now and when it is taken up."""
    refusing = True

    @lot.register("plain")
    def plain(n):
        if refusing:
            raise CircuitOpenError("api", 4.0)
        return n

    with pytest.raises(ParkedError):
        await plain(7)
    refusing = False
    assert await plain(8) == 8
    assert await lot.take_up() == 1
    assert store.reports == ["done"]


async def test_parking_deadline_shorter_than_retry_after_parks_for_it(lot, store):
    """The server said when: the call waits that long, in the store."""

    class BusyError(ConnectionError):
        retry_after = 120.0

    @lot.register("busy")
    @retry(deadline=10, max_retries=9)
    async def busy():
        raise BusyError

    with pytest.raises(ParkedError) as parked:
        await busy()
    (call,) = store.calls.values()
    assert (call.not_before_seconds, parked.value.retry_after) == (120.0, 120.0)
    assert isinstance(parked.value.__cause__, BusyError)


@pytest.mark.parametrize(
    ("error", "parks"),
    [
        (DeadlineExceededError("late"), True),
        (CircuitOpenError("api", 3.0), True),
        (CircuitOpenError("api", None), False),
        (RetryBudgetExhaustedError("api", None), False),
        (ConnectionError("cut"), False),
        (ParkedError("inner", uuid7(), 3.0), False),
    ],
)
def test_rules_default_parks_what_may_be_answered_later(error, parks):
    """Neither a plain failure nor a refusal without an end."""
    assert Rules().parks(error) is parks


def test_rules_park_on_takes_the_defaults_place():
    """Only the types that it names, and never what is parked already."""
    rules = Rules(park_on=(TimeoutError, ParkedError))
    assert rules.parks(TimeoutError())
    assert not rules.parks(CircuitOpenError("api", 3.0))
    assert not rules.parks(ParkedError("inner", uuid7(), 3.0))


@pytest.mark.parametrize(
    ("attempts", "wait"), [(1, 10.0), (2, 20.0), (4, 80.0), (5, 100.0), (5_000, 100.0)]
)
def test_rules_wait_doubles_up_to_its_cap(attempts, wait):
    """However often it was taken."""
    assert Rules(delay=10, max_delay=100).next_wait(attempts, ValueError()) == wait


def test_rules_retry_after_passes_the_cap():
    """What a server asked for is never cut short."""
    assert Rules(delay=1, max_delay=2).next_wait(1, CircuitOpenError("api", 50.0)) == 50.0


@pytest.mark.parametrize(
    "options",
    [
        {"max_attempts": 0},
        {"delay": 0},
        {"max_delay": 59},
        {"park_on": asyncio.CancelledError},
        {"park_on": "TimeoutError"},
    ],
)
def test_parking_option_out_of_range_is_refused(lot, options):
    """At registration, by its name."""
    with pytest.raises(InvalidConfigError, match=next(iter(options))):
        lot.register("x", **options)


def test_parking_decorator_used_for_two_functions_is_refused(lot):
    """The second would take the first one's calls."""
    decorate = lot.register("x")
    decorate(lambda: asyncio.sleep(0))
    with pytest.raises(InvalidConfigError, match="'x': must be a name that isn't taken"):
        decorate(lambda: asyncio.sleep(0))


@pytest.mark.parametrize(
    "options", [{"concurrency": 0}, {"poll_seconds": 0}, {"poll_seconds": float("nan")}]
)
async def test_parking_run_option_out_of_range_is_refused(lot, options):
    """Before anything is taken."""
    with pytest.raises(InvalidConfigError, match=next(iter(options))):
        await lot.run(**options)


@pytest.mark.parametrize("how", ["store", "codec"])
async def test_parking_that_is_impossible_leaves_the_operations_own_error(lot, store, how):
    """What the caller catches is what failed; the note says that nothing was kept."""
    failure = CircuitOpenError("api", 4.0)

    @lot.register("send")
    async def send(what):
        raise failure

    if how == "store":
        store.broken["park"] = DatabaseUnavailableError("password=hunter2 gone")
    with pytest.raises(CircuitOpenError) as caught:
        await send("x" if how == "store" else object())
    assert caught.value is failure
    (note,) = failure.__notes__
    assert note.startswith("send could not be parked: ")
    assert "hunter2" not in note


async def test_parking_call_inside_a_parked_one_is_parked_once(lot, store):
    """Parked with its caller too, it would be made twice."""

    @lot.register("inner")
    async def inner():
        raise CircuitOpenError("api", 4.0)

    @lot.register("outer")
    async def outer():
        await inner()

    with pytest.raises(ParkedError, match="inner is parked"):
        await outer()
    assert [call.operation for call in store.calls.values()] == ["inner"]


@pytest.mark.parametrize("scope", ["native", "anyio"])
async def test_parking_run_cancelled_gives_back_even_with_the_store_gone(lot, store, scope):
    """The store's error must not take the cancellation's place."""
    began = asyncio.Event()

    @lot.register("long")
    async def long():
        began.set()
        await asyncio.sleep(1_000)

    await lot.park("long")
    store.broken["give_back"] = gone()
    if scope == "native":
        task = asyncio.ensure_future(lot.run())
        await began.wait()
        await ended(task)
    else:
        with anyio.move_on_after(5) as moved:
            await lot.run()
        assert moved.cancelled_caught
    assert store.reports == []


async def test_parking_run_cancelled_gives_every_call_back(lot, store):
    """Each of those under way, at once."""

    @lot.register("long")
    async def long(n):
        await asyncio.sleep(1_000)

    for n in range(3):
        await lot.park("long", n)
    task = asyncio.ensure_future(lot.run(concurrency=3))
    await asyncio.sleep(1)
    assert len(store.taken) == 3
    await ended(task)
    assert (store.taken, store.reports) == (set(), ["given back"] * 3)


async def test_parking_run_long_call_keeps_no_other_waiting(lot, store):
    """Its slot is taken; the other one goes on, and no more than the slots are."""
    ends, most, running = {}, 0, 0
    loop = asyncio.get_running_loop()
    start = loop.time()

    @lot.register("work")
    async def work(n, seconds):
        nonlocal most, running
        running += 1
        most = max(most, running)
        await asyncio.sleep(seconds)
        running -= 1
        ends[n] = round(loop.time() - start)

    for n, seconds in enumerate([500, 2, 2, 2]):
        await lot.park("work", n, seconds)
    task = asyncio.ensure_future(lot.run(concurrency=2))
    await asyncio.sleep(600)
    await ended(task)
    assert ends == {1: 2, 2: 4, 3: 6, 0: 500}
    assert most == 2
    assert max(store.limits) == 2
    assert min(store.limits) == 1  # never asks for more than it has slots


async def test_parking_run_goes_on_when_the_store_is_back(lot, store):
    """Also after an error that is the driver's own."""

    @lot.register("x")
    async def x():
        pass

    await lot.park("x")
    task = asyncio.ensure_future(lot.run(poll_seconds=5))
    for error in (gone(), OSError("cut"), RuntimeError("odd")):
        store.broken["take"] = error
        await asyncio.sleep(12)
    store.broken.clear()
    await asyncio.sleep(6)
    await ended(task)
    assert "done" in store.reports


async def test_parking_run_without_a_started_manager_raises_it_naked(lot, store):
    """Not as a member of a group, and with the calls under way given back."""

    @lot.register("long")
    async def long():
        await asyncio.sleep(1_000)

    await lot.park("long")
    task = asyncio.ensure_future(lot.run(poll_seconds=1))
    await asyncio.sleep(0.5)
    store.broken["take"] = NotStartedError("closed")
    with pytest.raises(NotStartedError, match="closed"):
        await task
    assert store.reports == ["given back"]


async def test_parking_call_that_ends_its_workers_is_given_up_unrun(lot, store):
    """Else it would end one worker after the other for ever."""
    ran = []

    @lot.register("deadly", max_attempts=2)
    async def deadly():
        ran.append(1)

    call_id = await lot.park("deadly")
    store.attempts[call_id] = 2  # taken up twice, and never reported
    await lot.take_up()
    ((_, error_type, reason, dead),) = store.reports
    assert (ran, dead, error_type) == ([], True, ErrorType.UNKNOWN)
    assert "taken up 2 times" in reason


async def test_parking_lease_is_renewed_while_the_call_runs(lot, store):
    """Also where a renewal fails; no more once it has ended."""

    @lot.register("slow")
    async def slow():
        await asyncio.sleep(95)

    await lot.park("slow")
    store.broken["renew"] = gone()
    await lot.take_up()
    assert store.renewed == 9  # every 10 s of a lease of 30
    await asyncio.sleep(100)
    assert store.renewed == 9
    assert store.reports == ["done"]


async def test_parking_failure_is_its_own(lot, store):
    """One call's failure, or a report that can't be made, touches no other."""

    @lot.register("odd")
    async def odd(n):
        if n == 1:
            raise ValueError("no")

    for n in range(3):
        await lot.park("odd", n)
    store.broken["failed"] = gone()
    assert await lot.take_up() == 3
    assert store.reports == ["done", "done"]
