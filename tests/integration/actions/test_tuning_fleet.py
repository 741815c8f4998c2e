"""Auto-tuning on a real database: counted by all, decided by one, followed by all."""

import asyncpg
import pytest

from seawall import ErrorRecoveryManager, ErrorType
from seawall.events import RetryExhausted, RetrySucceeded
from seawall.scope import Scope


@pytest.fixture
def manager(database_dsn):
    def make(**config):
        return ErrorRecoveryManager(database_dsn, config={"pool_size": 3, **config})

    return make


@pytest.fixture
async def connection(database_dsn):
    connection = await asyncpg.connect(database_dsn)
    yield connection
    await connection.close()


async def emit_calls(worker, connection, rounds=12):
    """Of twenty calls twelve recover at the first retry, the others at none, in each round."""
    scope = Scope("flights")
    for _ in range(rounds):
        for n in range(20):
            if n < 12:
                event = RetrySucceeded(
                    scope=scope,
                    operation="load",
                    attempt=2,
                    elapsed_seconds=1.0,
                    waits=(1.0,),
                    error_type="transient",
                )
            else:
                event = RetryExhausted(
                    scope=scope,
                    operation="load",
                    attempt=4,
                    elapsed_seconds=7.0,
                    waits=(1.0, 2.0, 4.0),
                    error_type="transient",
                    exception_type="OSError",
                    message="reset",
                    stop_reason="max_retries",
                )
            worker.bus.emit(event)
        worker._services.analytics.tuning._counter._sampled.clear()  # ten minutes later
        await worker.retry_advice()
        await connection.execute(
            "UPDATE seawall.retry_tuning SET last_slot = last_slot - interval '10 minutes'"
        )


async def test_advice_is_given_and_nothing_is_changed_unless_it_may_act(manager, connection):
    async with manager(tuning_failure_seconds=20) as worker:
        assert await worker.retry_advice() == []
        await emit_calls(worker, connection)
        (advice,) = await worker.retry_advice("flights")
        assert (advice.operation, advice.error_type) == ("load", ErrorType.TRANSIENT)
        assert (advice.cases, advice.successes) == (240, 144)
        assert advice.now.max_retries == 3
        assert advice.advised.max_retries == 2
        assert "retries succeeded in 60% of 240 calls" in advice.reason
        assert await worker.retry_advice("other") == []
        await worker._services.analytics.jobs.run_due()
        assert await worker.tuning_changes() == []
        assert worker._policy({}).tuner is None


async def test_act_changes_the_next_calls_of_every_worker_and_records_why(manager, connection):
    options = {"auto_tuning": "act", "tuning_failure_seconds": 20}
    async with manager(**options) as one, manager(**options) as two:
        await emit_calls(one, connection)
        await one._services.analytics.tuning.tune()
        (change,) = await one.tuning_changes("flights")
        assert change.before.max_retries == 3
        assert change.after.max_retries == 2
        assert change.reason.startswith("retries succeeded in 60% of 240 calls")
        assert (change.revision, change.reverts) == (1, False)
        (taken,) = await one.list_recovery_actions("flights")
        assert (taken.action, taken.automatic, taken.operation) == ("tune", True, "load")
        await two._services.analytics.tuning.exchange()
        for worker in (one, two):
            assert await attempts_of(worker, {}) == 3
            assert await attempts_of(worker, {"max_retries": 1}) == 2  # the call's own word wins
        # Nothing more is changed before enough calls were seen under the new numbers.
        await one._services.analytics.tuning.tune()
        assert len(await one.tuning_changes()) == 1
        assert await one.reset_tuning() == 1
        assert await attempts_of(one, {}) == 4


async def attempts_of(worker, options):
    calls = []

    async def load():
        calls.append(1)
        raise ConnectionResetError(104, "reset")

    load.__qualname__ = "load"
    with pytest.raises(ConnectionResetError):
        async with worker.run("flights"):
            await worker.execute_with_retry(load, **{"initial_delay": 0, **options})
    return len(calls)


async def test_cap_stops_tuning_and_escalates(manager, connection):
    options = {"auto_tuning": "act", "tuning_failure_seconds": 20, "automatic_actions_per_hour": 0}
    async with manager(**options) as worker:
        await emit_calls(worker, connection)
        await worker._services.analytics.tuning.tune()
        assert await worker.tuning_changes() == []
        (taken,) = await worker.list_recovery_actions("flights")
        assert taken.action == "escalate"
        assert "tune was not done: retries succeeded in 60%" in taken.summary


async def test_off_counts_nothing(manager, connection):
    async with manager(auto_tuning="off") as worker:
        await emit_calls(worker, connection, rounds=1)
    assert await connection.fetchval("SELECT count(*) FROM seawall.retry_timings") == 0
