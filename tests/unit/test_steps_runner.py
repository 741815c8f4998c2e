"""Steps on virtual time, over a store in memory: waiting, leases, cancellation."""

import asyncio
import json

import pytest

from seawall.errors import DatabaseUnavailableError, StaleRunError
from seawall.retry import RetryPolicy, call
from seawall.steps import HeldStep, KeptResult, StepClaim, Steps


class Store:
    """One step, whose times are the loop's; ``broken`` maps a method's name to what it raises."""

    def __init__(self, clock):
        self._clock = clock
        self.kept, self.fence, self.until, self.status = None, 0, None, None
        self.broken, self.said, self.looks, self.renewals = {}, [], [], 0

    def _reach(self, method):
        if method in self.broken:
            raise self.broken[method]

    def _mine(self, claim):
        return claim.fence == self.fence and self.kept is None

    async def look(self, run_id, step):
        self.looks.append(self._clock.monotonic())
        if self.kept is not None:
            return self.kept
        if self.status is None:
            return None
        left = 0 if self.until is None else max(0, self.until - self._clock.monotonic())
        return HeldStep(status=self.status, seconds=left, message=None)

    async def claim(self, call, owner, lease_seconds):
        if self.until is not None and self.until > self._clock.monotonic():
            return None
        self.fence += 1
        self.status, self.until = "running", self._clock.monotonic() + lease_seconds
        return StepClaim(run_id=call.run_id, step=call.step, fence=self.fence)

    async def renew(self, claim, lease_seconds):
        self.renewals += 1
        self._reach("renew")
        if self._mine(claim):
            self.until = self._clock.monotonic() + lease_seconds
        return self._mine(claim)

    async def save(self, claim, text, more_attempts):
        self._reach("save")
        if not self._mine(claim):
            return False
        await asyncio.sleep(1)
        self.kept = KeptResult(text=text, function="f", arguments=None)
        self.said.append("saved")
        return True

    async def failed(self, claim, error_type, message, more_attempts):
        self._reach("failed")
        self.until, self.status = None, "failed"
        self.said.append((error_type, message, more_attempts))

    async def give_back(self, claim):
        self._reach("give_back")
        self.until, self.status = None, "waiting"
        self.said.append("given back")


@pytest.fixture
def store(clock):
    return Store(clock)


@pytest.fixture
def steps(store, clock):
    return made(store, clock)


def made(store, clock):
    async def retrying(operation, options):
        return await call(RetryPolicy(initial_delay=1, max_retries=2, jitter_range=0), operation)

    return Steps(
        store, "r", encode=json.dumps, decode=json.loads, owner="w", lease_seconds=30,
        retrying=retrying, clock=clock,
    )  # fmt: skip


async def run(steps, function, *args, **options):
    defaults = {"transactional": False, "retry_options": None}
    return await steps.run("s", function, args, **(defaults | options))


async def test_step_longer_than_its_lease_is_renewed(steps, store):
    async def slow():
        await asyncio.sleep(100)
        return 1

    assert await run(steps, slow) == 1
    assert store.renewals == 10


async def test_step_waits_for_another_and_gets_its_result(steps, store, clock):
    """Looks grow apart to a second: a long step costs its waiters little."""

    async def slow():
        await asyncio.sleep(60)
        return "mine"

    async def never():
        raise AssertionError

    first = asyncio.ensure_future(run(made(store, clock), slow))
    await asyncio.sleep(0)
    assert await run(steps, never) == await first == "mine"
    assert len(store.looks) < 75


async def test_step_of_a_dead_worker_is_taken_over_when_its_lease_ends(steps, store, clock):
    store.status, store.until, store.fence = "running", clock.monotonic() + 20, 4
    started = clock.monotonic()

    async def work():
        return clock.monotonic() - started

    assert await run(steps, work) == pytest.approx(20, abs=0.1)
    assert store.fence == 5


async def test_step_taken_over_stops_its_function_and_raises(steps, store, clock):
    stopped = []

    async def slow():
        try:
            await asyncio.sleep(1000)
        finally:
            stopped.append(clock.monotonic())

    task = asyncio.ensure_future(run(steps, slow))
    await asyncio.sleep(5)
    store.fence += 1
    started = clock.monotonic()
    with pytest.raises(StaleRunError, match="taken over by another worker"):
        await task
    assert stopped[0] - started < 30
    assert store.kept is None


async def test_step_whose_renewals_fail_goes_on(steps, store, caplog):
    store.broken["renew"] = DatabaseUnavailableError("gone")

    async def slow():
        await asyncio.sleep(25)
        return 1

    assert await run(steps, slow) == 1
    assert "could not be renewed: gone" in caplog.text


async def test_step_cancelled_while_its_result_is_saved_keeps_it(steps, store):
    async def work():
        return 7

    task = asyncio.ensure_future(run(steps, work))
    await asyncio.sleep(0.5)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert json.loads(store.kept.text) == 7


async def test_step_cancelled_is_given_back_though_that_fails(steps, store, caplog):
    async def hang():
        await asyncio.sleep(1000)

    for broken in ({}, {"give_back": DatabaseUnavailableError("gone")}):
        store.broken = broken
        task = asyncio.ensure_future(run(steps, hang))
        await asyncio.sleep(1)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
    assert store.said == ["given back"]
    assert "keeps its lease: gone" in caplog.text


async def test_step_whose_result_cant_be_saved_at_once_is_saved_by_another_try(steps, store):
    store.broken["save"] = DatabaseUnavailableError("gone")

    async def work():
        return 7

    task = asyncio.ensure_future(run(steps, work))
    await asyncio.sleep(0.5)
    store.broken.clear()
    assert await task == 7


async def test_step_whose_failure_cant_be_recorded_raises_its_own_error(steps, store, caplog):
    store.broken["failed"] = DatabaseUnavailableError("gone")

    async def work():
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await run(steps, work)
    assert "its failure is not on record: gone" in caplog.text


async def test_step_that_cancels_itself_has_failed(steps, store):
    async def odd():
        raise asyncio.CancelledError

    with pytest.raises(asyncio.CancelledError):
        await run(steps, odd)
    assert store.said[0][1].startswith("CancelledError")


async def test_step_retried_counts_its_attempts(steps, store):
    async def work():
        raise ConnectionError("no")

    with pytest.raises(ConnectionError):
        await run(steps, work, retry_options={})
    assert store.said == [("transient", "ConnectionError: no", 2)]
