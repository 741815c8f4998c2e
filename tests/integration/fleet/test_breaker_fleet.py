"""B1-B6 with several managers on one database: what one sees, all go by, and no one alone."""

import asyncio
import json
from urllib.parse import urlsplit

import anyio
import asyncpg
import pytest

from integration.fleet.conftest import QUICK, until
from seawall import CircuitOpenError, CircuitState, ErrorRecoveryManager
from support.operations import Script

CLOSED, OPEN, HALF_OPEN = CircuitState.CLOSED, CircuitState.OPEN, CircuitState.HALF_OPEN


async def fail(breaker, times):
    for _ in range(times):
        with pytest.raises(ConnectionError):
            await breaker.call(Script(ConnectionError))


def breakers_of(managers, name="api", **options):
    return [manager.circuit_breaker(name, **options) for manager in managers]


async def all_in(breakers, state):
    await until(lambda: all(breaker.state is state for breaker in breakers))


async def opened(managers, name="api", **options):
    """Breakers that the fleet has opened: two workers saw failures."""
    breakers = breakers_of(managers, name, **options)
    for breaker in breakers[:2]:
        await fail(breaker, 2)
    await all_in(breakers, OPEN)
    return breakers


async def test_fleet_opens_for_all_at_the_summed_threshold(workers):
    """Two workers with two failures each make four: no one alone reached its threshold."""
    breakers = await opened(await workers(4), failure_threshold=4, timeout=60)
    for breaker in breakers:
        with pytest.raises(CircuitOpenError) as refused:
            await breaker.call(Script(1))
        assert 50 < refused.value.retry_after <= 60
        assert breaker.snapshot().fleet_epoch == 1
        assert (
            "ConnectionError" in breaker.snapshot().reason or "fleet" in breaker.snapshot().reason
        )


async def test_one_sick_worker_opens_its_own_and_no_other(workers, database_dsn):
    """B5: below the quorum the failing worker's breaker opens alone."""
    sick, *healthy = breakers_of(await workers(4), timeout=60)
    await until_counted(database_dsn, "count(*)", 4)  # all have joined
    await fail(sick, 3)
    assert sick.state is OPEN
    await asyncio.sleep(0.6)  # several exchanges
    assert [breaker.state for breaker in healthy] == [CLOSED] * 3
    assert await healthy[0].call(Script(1)) == 1


async def test_worker_alone_in_its_fleet_is_its_quorum(workers):
    """Where one worker calls the service, it decides for those to come."""
    (manager,) = await workers(1)
    (breaker,) = breakers_of([manager], timeout=60)
    await fail(breaker, 3)
    await until(lambda: breaker.snapshot().fleet_epoch == 1)
    (late,) = breakers_of(await workers(1), timeout=60)
    assert late.state is OPEN
    with pytest.raises(CircuitOpenError):
        await late.call(Script(1))


async def test_worker_that_joins_finds_it_open_before_its_first_call(workers):
    """B2: made before the start or after it, the breaker is open at once."""
    await opened(await workers(2), timeout=60)
    (manager,) = await workers(1)
    late = manager.circuit_breaker("api", timeout=60)
    with pytest.raises(CircuitOpenError):
        await late.call(Script(1))


async def test_eight_failures_in_two_workers_are_recorded_as_eight(workers, database_dsn):
    """Trap 17: no update is lost."""
    breakers = breakers_of(await workers(2), failure_threshold=100)
    await asyncio.gather(*(fail(breaker, 4) for breaker in breakers))
    await until_counted(database_dsn, "sum(failure_count)", 8)


async def until_counted(dsn, what, number):
    """Wait until the workers' rows say so."""
    query = f"SELECT coalesce({what}, 0) FROM seawall.circuit_breaker_votes"
    connection = await asyncpg.connect(dsn)
    try:
        with anyio.fail_after(5):
            while await connection.fetchval(query) != number:
                await asyncio.sleep(0.01)
    finally:
        await connection.close()


async def test_success_ends_a_workers_run_for_the_fleet(workers, database_dsn):
    """A run that was told and then ended adds nothing to another's failures."""
    one, two = breakers_of(await workers(2), failure_threshold=4, timeout=60)
    await fail(one, 3)
    await until_counted(database_dsn, "sum(failure_count)", 3)
    await one.call(Script(1))
    await until_counted(database_dsn, "sum(failure_count)", 0)
    await fail(two, 3)
    await asyncio.sleep(0.5)
    assert (one.state, two.state) == (CLOSED, CLOSED)


async def test_half_open_admits_the_permitted_calls_of_the_fleet(workers):
    """B3: a herd in four workers, and two reach the service."""
    breakers = await opened(await workers(4), permitted_calls=2)
    reached, go = 0, asyncio.Event()

    async def service():
        nonlocal reached
        reached += 1
        await go.wait()
        return "well"

    async def caller(breaker):
        while True:
            try:
                return await breaker.call(service)
            except CircuitOpenError:
                await asyncio.sleep(0.01)

    herd = [asyncio.ensure_future(caller(breaker)) for breaker in breakers for _ in range(10)]
    await until(lambda: reached == 2)
    await asyncio.sleep(1.5)  # longer than the lease: it is renewed
    assert reached == 2
    go.set()
    assert set(await asyncio.gather(*herd)) == {"well"}
    await all_in(breakers, CLOSED)


async def test_trial_that_fails_opens_for_all_again(workers):
    """And for a break that has grown."""
    breakers = await opened(await workers(3), timeout_factor=20)
    await asyncio.sleep(0.5)
    await fail_through(breakers[2])
    await all_in(breakers, OPEN)
    await until(lambda: all(b.snapshot().fleet_epoch == 3 for b in breakers))
    assert all(5 < b.snapshot().retry_after <= 10 for b in breakers)


async def fail_through(breaker):
    with anyio.fail_after(5):
        while True:
            try:
                await breaker.call(Script(ConnectionError))
            except CircuitOpenError:
                await asyncio.sleep(0.01)
            except ConnectionError:
                return


@pytest.mark.parametrize("end", ["cancelled", "scope", "ignored"])
async def test_trial_without_a_verdict_gives_its_permit_back_at_once(workers, end):
    """B3: to any worker, well before the lease's end."""
    breakers = await opened(await workers(2, permit_lease_seconds=60), ignored=ZeroDivisionError)
    await asyncio.sleep(0.5)
    began = asyncio.Event()

    async def service():
        began.set()
        if end == "ignored":
            raise ZeroDivisionError
        await asyncio.sleep(60)

    async def trial():
        while not began.is_set():
            try:
                with anyio.move_on_after(0.3 if end == "scope" else 60):
                    await breakers[0].call(service)
            except CircuitOpenError:
                await asyncio.sleep(0.01)

    task = asyncio.ensure_future(trial())
    await began.wait()
    if end == "cancelled":
        task.cancel()
    await asyncio.wait([task])
    if end == "ignored":
        assert isinstance(task.exception(), ZeroDivisionError)
    await until_it_closes(breakers[1])
    await all_in(breakers, CLOSED)


async def until_it_closes(breaker):
    with anyio.fail_after(5):
        while True:
            try:
                return await breaker.call(Script(1))
            except CircuitOpenError:
                await asyncio.sleep(0.01)


async def test_coroutine_closed_in_a_trial_gives_its_permit_back(workers):
    """GeneratorExit, where nothing can be awaited (trap 3)."""
    breakers = await opened(await workers(2, permit_lease_seconds=60))
    await asyncio.sleep(0.5)
    parked = asyncio.get_running_loop().create_future()

    async def service():
        await parked

    loop = asyncio.get_running_loop()
    coroutine = breakers[0].call(service)
    claim = coroutine.send(None)  # the claim's future
    await asyncio.wait([claim])
    coroutine.send(None)  # now inside the service
    loop.call_soon(coroutine.close)
    await until_it_closes(breakers[1])


async def test_caller_cancelled_while_it_asks_leaves_no_permit(workers):
    """The claim is granted to nobody, and given back."""
    breakers = await opened(await workers(2, permit_lease_seconds=60))
    await asyncio.sleep(0.5)
    for _ in range(5):
        task = asyncio.ensure_future(breakers[0].call(Script(1)))
        await asyncio.sleep(0)  # it waits for the answer
        task.cancel()
        await asyncio.wait([task])
    await until_it_closes(breakers[1])
    await until_it_closes(breakers[0])


async def test_call_admitted_before_the_trip_decides_nothing(workers):
    """B4: neither its success nor its failure, in any worker."""
    breakers = breakers_of(await workers(2), failure_threshold=4, timeout=60)
    go = asyncio.Event()

    async def early(error):
        await go.wait()
        if error:
            raise error

    calls = [asyncio.ensure_future(breakers[0].call(early, e)) for e in (None, ConnectionError())]
    await asyncio.sleep(0)
    for breaker in breakers:
        await fail(breaker, 2)
    await all_in(breakers, OPEN)
    go.set()
    await asyncio.wait(calls)
    assert isinstance(calls[1].exception(), ConnectionError)
    await asyncio.sleep(0.5)
    assert [b.state for b in breakers] == [OPEN, OPEN]
    assert {b.snapshot().fleet_epoch for b in breakers} == {1}


async def test_operator_forces_the_whole_fleet(workers):
    """Open, disabled, closed; also a breaker that no worker has yet."""
    managers = await workers(3)
    await managers[0].force_circuit_breaker("api", CircuitState.FORCED_OPEN, reason="maintenance")
    breakers = breakers_of(managers)
    await all_in(breakers, CircuitState.FORCED_OPEN)
    with pytest.raises(CircuitOpenError) as refused:
        await breakers[2].call(Script(1))
    assert refused.value.retry_after is None
    assert breakers[2].snapshot().reason == "fleet: maintenance"
    await managers[1].force_circuit_breaker("api", CircuitState.DISABLED, reason="trust it")
    await all_in(breakers, CircuitState.DISABLED)
    breakers[2].reset()
    await all_in(breakers, CLOSED)


async def test_local_scope_is_not_shared(workers):
    """`scope="local"`: the others don't see it."""
    managers = await workers(2)
    one, two = breakers_of(managers, scope="local")
    await fail(one, 3)
    await asyncio.sleep(0.4)
    assert (one.state, two.state, one.link) == (OPEN, CLOSED, None)


async def test_rate_is_of_the_summed_calls(workers):
    """Half of the fleet's calls failed, though all of one worker's did."""
    options = {"failure_rate_threshold": 50, "minimum_calls": 20, "timeout": 60}
    managers = await workers(2, quorum=1)
    sick, healthy = breakers_of(managers, **options)
    for _ in range(10):
        await healthy.call(Script(1))
    await asyncio.sleep(0.5)  # its calls are told by the regular exchange
    await fail(sick, 9)
    await asyncio.sleep(0.3)
    assert (sick.state, healthy.state) == (CLOSED, CLOSED)
    await fail(sick, 2)
    await all_in([sick, healthy], OPEN)


async def test_closing_a_manager_leaves_its_breakers_working(workers, database_dsn):
    """After the end each breaker goes on alone."""
    (manager,) = await workers(1)
    (breaker,) = breakers_of([manager], timeout=0.05)
    await manager.aclose()
    assert breaker.link is None
    await fail(breaker, 3)
    await asyncio.sleep(0.06)
    assert await breaker.call(Script(1)) == 1
    assert breaker.state is CLOSED


async def test_breaker_used_in_another_event_loop_goes_on_alone(workers):
    """Its failures and trials there are its own; nothing of the fleet's loop is touched."""
    (manager,) = await workers(1)
    (breaker,) = breakers_of([manager], timeout=0.05)

    async def elsewhere():
        await fail(breaker, 3)
        await asyncio.sleep(0.06)
        return await breaker.call(Script(1))

    assert await asyncio.to_thread(asyncio.run, elsewhere()) == 1
    assert breaker.state is CLOSED


async def test_breaker_after_a_fork_goes_on_alone(workers, monkeypatch):
    """The child has neither the connection nor the tasks."""
    (manager,) = await workers(1)
    (breaker,) = breakers_of([manager], timeout=0.05)
    monkeypatch.setattr("os.getpid", lambda: -1)
    await fail(breaker, 3)
    await asyncio.sleep(0.06)
    assert await breaker.call(Script(1)) == 1
    monkeypatch.undo()
    assert breaker.snapshot().fleet_epoch == 0


async def test_calls_closed_and_open_ask_nothing(workers, monkeypatch):
    """B1 and trap 19: ten thousand calls, and only the regular exchange is heard of."""
    (manager,) = await workers(1, breaker_poll_seconds=60)
    (breaker,) = breakers_of([manager], timeout=60)
    await asyncio.sleep(0.2)  # the exchange that makes it known
    asked = []
    listener = manager._services._breaker_store._listener
    fetch = listener.fetch

    async def counted(query, *args):
        asked.append(query)
        return await fetch(query, *args)

    monkeypatch.setattr(listener, "fetch", counted)
    for _ in range(5_000):
        await breaker.call(Script(1))
    assert asked == []
    await manager.force_circuit_breaker("api", OPEN, reason="test", seconds=60)
    await all_in([breaker], OPEN)
    asked.clear()
    for _ in range(5_000):
        with pytest.raises(CircuitOpenError):
            await breaker.call(Script(1))
    assert asked == []


@pytest.mark.parametrize(("size", "shared"), [(1, False), (2, True)])
async def test_pool_of_the_users_own_is_left_a_connection(database_dsn, size, shared):
    """With one connection the breakers stay local, and everything else works."""
    async with asyncpg.create_pool(database_dsn, min_size=1, max_size=size) as pool:
        async with ErrorRecoveryManager(pool, config=QUICK) as manager:
            assert manager._services._fleet.connected is shared
            breaker = manager.circuit_breaker("api", timeout=60)
            await fail(breaker, 3)
            assert breaker.state is OPEN
            await manager.log_error_details("r", ValueError("written all the same"))


async def test_fleet_works_under_the_strictest_isolation(workers, database_dsn):
    """A database whose default is SERIALIZABLE: conflicting votes are cast again."""
    name = urlsplit(database_dsn).path.lstrip("/")
    connection = await asyncpg.connect(database_dsn)
    await connection.execute(
        f"ALTER DATABASE {name} SET default_transaction_isolation = 'serializable'"
    )
    await connection.close()
    breakers = await opened(await workers(4), failure_threshold=4)
    reached = await asyncio.gather(*map(until_it_closes, breakers))
    assert reached == [1] * 4
    await all_in(breakers, CLOSED)


async def held(manager):
    """The trial that the manager's worker holds, in a service that never ends."""
    breaker = manager.circuit_breaker("api")
    began = asyncio.Event()

    async def service():
        began.set()
        await asyncio.Event().wait()

    async def asking():
        while True:
            try:
                return await breaker.call(service)
            except CircuitOpenError:
                await asyncio.sleep(0.01)

    task = asyncio.ensure_future(asking())
    await began.wait()
    return task


def cut(breaker):
    """Lose the fleet's connection, as when the network goes."""
    breaker.link._fleet.store._listener._connection.terminate()


@pytest.mark.parametrize("end", ["cancelled", "closed"])
async def test_permit_granted_in_the_tick_of_the_callers_end_is_given_back(
    workers, monkeypatch, end
):
    """Neither the worker's own count nor the fleet's keeps it."""
    one, two = await opened(await workers(2, permit_lease_seconds=60))
    await asyncio.sleep(0.5)
    store = one.link._fleet.store
    claim = store.claim
    loop, tasks = asyncio.get_running_loop(), []

    async def claimed(*args):
        answer = await claim(*args)
        for task in tasks:
            loop.call_soon(task.cancel)
        return answer

    monkeypatch.setattr(store, "claim", claimed)
    if end == "cancelled":
        tasks.append(asyncio.ensure_future(one.call(Script(1))))
        await asyncio.wait(tasks)
    else:
        coroutine = one.call(Script(1))
        coroutine.send(None)
        coroutine.close()
    monkeypatch.undo()
    await until_it_closes(two)
    await until_it_closes(one)


async def test_trial_goes_on_through_a_blip_of_the_connection(workers):
    """Its lease is renewed again: no second trial runs beside it."""
    managers = await workers(2)
    one, two = await opened(managers)
    task = await held(managers[0])
    await asyncio.sleep(0.2)
    cut(one)
    for _ in range(30):
        with pytest.raises(CircuitOpenError):
            await two.call(Script(1))
        await asyncio.sleep(0.1)
    task.cancel()
    await until_it_closes(two)


async def test_worker_that_leaves_gives_its_trial_back_and_its_votes_with_it(workers, database_dsn):
    """And a manager that starts again goes by what the fleet is then."""
    managers = await workers(2, permit_lease_seconds=60)
    one, two = await opened(managers)
    task = await held(managers[0])
    await managers[0].aclose()
    await until_it_closes(two)
    await until_counted(database_dsn, "count(*)", 1)
    task.cancel()
    await managers[0].start()
    assert one.state is CLOSED


async def test_forced_while_away_reaches_the_fleet_afterwards(workers):
    """Also where the fleet is open: what an operator wants is not undone by coming back."""
    one, two = await opened(await workers(2))
    cut(one)
    await until(lambda: not one.link._fleet.connected)
    one.force_open()
    await all_in([one, two], CircuitState.FORCED_OPEN)
    with pytest.raises(CircuitOpenError):
        await one.call(Script(1))


async def test_forced_before_the_start_is_told_at_the_start(workers, database_dsn):
    (watcher,) = breakers_of(await workers(1))
    manager = ErrorRecoveryManager(database_dsn, config=QUICK)
    manager.circuit_breaker("api").disable()
    async with manager:
        await all_in([watcher], CircuitState.DISABLED)


async def test_same_counts_in_a_new_state_are_told_again(workers):
    """A reset forgets what was told: two failures after it are two failures."""
    one, two = breakers_of(await workers(2), failure_threshold=4, timeout=60)
    await fail(one, 2)
    await asyncio.sleep(0.3)
    two.reset()
    await until(lambda: one.link.epoch == 1)
    await fail(one, 2)
    await fail(two, 2)
    await all_in([one, two], OPEN)


@pytest.mark.parametrize(
    "options",
    [{"permitted_calls": 2**63}, {"timeout": 1e300, "max_timeout": 1e300}, {"timeout": 1e14}],
)
async def test_options_beyond_what_the_database_can_hold_are_as_much(workers, options):
    breakers = await opened(await workers(2), **({"failure_threshold": 4} | options))
    assert all(each.link._fleet.connected for each in breakers)


async def test_pool_with_a_json_codec_of_its_own_works(database_dsn):
    async def prepare(connection):
        for kind in ("json", "jsonb"):
            await connection.set_type_codec(
                kind, encoder=json.dumps, decoder=json.loads, schema="pg_catalog"
            )

    async with asyncpg.create_pool(database_dsn, min_size=1, max_size=4, init=prepare) as pool:
        async with ErrorRecoveryManager(pool, config=QUICK) as manager:
            (breaker,) = breakers_of([manager], timeout=60)
            manager.rate_limiter("api", limit=10)
            await fail(breaker, 3)
            await until(lambda: breaker.snapshot().fleet_epoch == 1)
            assert manager._services._fleet.connected


async def test_second_force_told_after_the_first_is_the_one_that_stays(workers, monkeypatch):
    """Also where the connection goes between the two."""
    one, two = breakers_of(await workers(2))
    await asyncio.sleep(0.2)
    store = one.link._fleet.store
    force = store.force

    async def slowly(*args):
        answer = await force(*args)
        monkeypatch.setattr(store, "force", force)
        one.reset()  # wanted while the first is being told
        cut(one)
        return answer

    monkeypatch.setattr(store, "force", slowly)
    one.force_open()
    await until(lambda: two.link.epoch >= 2)
    await all_in([one, two], CLOSED)


async def test_steady_caller_of_a_time_window_counts_as_one_that_calls(workers):
    """Its window is the same at every look, and its calls are not."""
    managers = await workers(1, breaker_poll_seconds=60)
    (breaker,) = breakers_of(
        managers, failure_rate_threshold=50, sliding_window_seconds=0.2, minimum_calls=5
    )
    await asyncio.sleep(0.2)  # the exchange that makes it known
    reports = []
    for _ in range(8):
        for _ in range(3):
            await breaker.call(Script(1))
        await asyncio.sleep(0.05)
        reports.append(breaker.link.report().called)
    assert all(reports)
