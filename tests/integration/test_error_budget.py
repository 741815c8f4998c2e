"""Error budgets over the real database: the counts of runs, status, alerts, and the policy."""

import asyncio
from datetime import timedelta

import asyncpg
import pytest

from seawall import (
    ErrorBudgetExhaustedError,
    ErrorRecoveryManager,
    InvalidConfigError,
    RefusedError,
)
from seawall.budget.counts import Sli
from seawall.budget.rule import DEFAULT_RULES
from seawall.events import BatchCommitted, BudgetAlert
from seawall.postgres.budget_store import PostgresBudgetStore
from seawall.scope import Scope

RUNS = """
INSERT INTO seawall.runs (run_id, pipeline_id, status, ended_at)
SELECT $1 || '-' || $2 || '-' || n, $1, $2, now() - $4 * interval '1 minute' * n / $3
FROM generate_series(1, $3::int) n
"""


@pytest.fixture
async def connection(database_dsn):
    connection = await asyncpg.connect(database_dsn)
    yield connection
    await connection.close()


@pytest.fixture
def manager(database_dsn):
    def make(**config):
        return ErrorRecoveryManager(database_dsn, config={"pool_size": 2, **config})

    return make


@pytest.fixture
def runs(connection):
    """``await runs("p", "failed", 5, 60)``: 5 runs that ended within the last 60 minutes."""

    async def add(pipeline_id, status, count, minutes=1.0):
        await connection.execute(RUNS, pipeline_id, status, count, minutes)

    return add


async def ended(manager, run_id, error=None, pipeline_id="p"):
    try:
        async with manager.run(pipeline_id, run_id):
            if error is not None:
                raise error
    except (ValueError, asyncio.CancelledError):
        pass


async def counts(manager, pipeline_id="p", days=30, **options):
    status = await manager.get_error_budget_status(pipeline_id, days, **options)
    return status["good"], status["bad"]


async def test_status_of_no_runs_is_rate_0_and_not_exceeded(manager):
    async with manager() as worker:
        status = await worker.get_error_budget_status("never")
    assert (status["total"], status["error_rate_percent"]) == (0, 0.0)
    assert not status["budget_exceeded"]
    assert status["budget_remaining_percent"] == 100.0
    assert status["exhausted_at"] is None
    assert status["burn_rates"] == dict.fromkeys(["5m", "30m", "1h", "6h", "3d"], 0.0)


async def test_run_counts_once_by_its_final_outcome(manager):
    async with manager() as worker:
        await ended(worker, "a", ValueError("x"))
        assert await counts(worker) == (0, 1)
        async with worker.run("p", "a"):
            assert await counts(worker) == (0, 0)  # under way: nobody knows
        assert await counts(worker) == (1, 0)
        await ended(worker, "a", ValueError("x"))
        assert await counts(worker) == (0, 1)
        await ended(worker, "cancelled", asyncio.CancelledError())
        assert await counts(worker) == (0, 1)  # neither
        async with worker.run("p", "b"):  # two workers, the worse end counts, once
            await ended(worker, "b", ValueError("x"))
            assert await counts(worker) == (0, 1)
        assert await counts(worker) == (0, 2)


async def test_abandoned_run_is_bad_and_good_when_it_is_taken_up(manager, connection):
    async with manager() as worker:
        run = worker.run("p", "a")
        await run.__aenter__()
        await connection.execute(
            "UPDATE seawall.run_workers SET lease_until = now() - interval '1 s'"
        )
        assert await worker.abandon_lost_runs() == ["a"]
        assert await counts(worker) == (0, 1)
        await run.__aexit__(None, None, None)  # it was frozen, and nobody had come
        assert await counts(worker) == (1, 0)


async def test_runs_of_many_pipelines_ended_by_two_at_once_do_not_wait_in_a_circle(
    database_dsn, connection
):
    """Budget rows are written in the order of their key, whatever the order of the runs."""
    await connection.execute(
        "INSERT INTO seawall.runs (run_id, pipeline_id, status)"
        " SELECT r || '-' || n, 'p' || n, 'running'"
        " FROM generate_series(1, 300) n, unnest('{a,b}'::text[]) r"
    )

    async def end(which, order):
        own = await asyncpg.connect(database_dsn)
        await own.execute(
            "UPDATE seawall.runs r SET status = 'failed', ended_at = now() FROM ("
            f"  SELECT run_id FROM seawall.runs WHERE run_id LIKE '{which}-%'"
            f"  ORDER BY run_id {order} FOR UPDATE) o WHERE o.run_id = r.run_id"
        )
        await own.close()

    await asyncio.gather(end("a", "ASC"), end("b", "DESC"))
    row = await connection.fetchrow(
        "SELECT sum(bad_runs) AS all, count(DISTINCT pipeline_id) AS pipelines"
        " FROM seawall.error_budget"
    )
    assert (row["all"], row["pipelines"]) == (600, 300)


async def test_status_says_how_much_is_left_and_how_fast_it_goes(manager, runs):
    async with manager() as worker:
        await runs("p", "succeeded", 994, 4 * 1440)
        await runs("p", "failed", 6, 50)
        status = await worker.get_error_budget_status("p", time_window_days=10)
    assert (status["good"], status["bad"], status["total"]) == (994, 6, 1000)
    assert status["error_rate_percent"] == pytest.approx(0.6)
    assert status["allowed_bad"] == pytest.approx(10)
    assert status["budget_remaining_percent"] == pytest.approx(40)
    assert not status["budget_exceeded"]
    assert status["burn_rates"]["1h"] > status["burn_rates"]["3d"] > 0
    assert status["measured_at"] < status["exhausted_at"]
    assert status["exhausted_at"] < status["measured_at"] + timedelta(hours=2)


async def test_status_of_a_spent_budget_says_so(manager, runs):
    async with manager() as worker:
        await runs("p", "succeeded", 97)
        await runs("p", "failed", 3)
        status = await worker.get_error_budget_status("p")
        assert status["budget_exceeded"]
        assert status["budget_remaining_percent"] == pytest.approx(-200)
        assert status["exhausted_at"] == status["measured_at"]
        await worker._services.analytics.budget.look_for_exhausted()
        noticed = await worker.get_error_budget_status("p")
        assert noticed["exhausted_at"] < noticed["measured_at"]


async def test_status_is_of_the_run_around_the_call_and_of_the_days_asked_for(manager, runs):
    async with manager() as worker:
        await runs("q", "failed", 3)
        async with worker.run("q"):
            assert (await worker.get_error_budget_status())["pipeline_id"] == "q"
        assert (await worker.get_error_budget_status())["pipeline_id"] == "default"
        await runs("p", "succeeded", 48, 47.5 * 60)
        good, _ = await counts(worker, days=1)
        assert good == 24
        with pytest.raises(InvalidConfigError, match="time_window_days=401: must be"):
            await worker.get_error_budget_status("p", 401)
        with pytest.raises(InvalidConfigError, match="sli='bytes': must be one of runs, rows"):
            await worker.get_error_budget_status("p", sli="bytes")


async def test_folded_minutes_count_as_before_and_take_back_what_is_run_again(
    manager, connection, runs
):
    async with manager() as worker:
        await runs("p", "succeeded", 500, 20 * 1440)
        await runs("p", "failed", 100, 20 * 1440)
        budget = worker._services.analytics.budget
        before = await counts(worker, days=40)
        await budget.fold()
        oldest = await connection.fetchval("SELECT min(minute) FROM seawall.error_budget")
        assert await connection.fetchval(
            "SELECT $1 > now() - interval '98 hours' AND $1 < now() - interval '90 hours'", oldest
        )
        assert await counts(worker, days=40) == before == (500, 100)
        await ended(worker, "p-failed-100")  # it had failed twenty days ago
        assert await counts(worker, days=40) == (501, 99)
        await budget.fold()
        assert await counts(worker, days=40) == (501, 99)
        assert await connection.fetchval(
            "SELECT min(minute) = $1 FROM seawall.error_budget", oldest
        )
        await runs("older than any window", "failed", 1, 402 * 1440)
        await budget.fold()
        assert await connection.fetchval(
            "SELECT min(hour) > now() - interval '21 days' FROM seawall.error_budget_hours"
        )


async def test_rows_of_two_workers_add_up(manager, connection):
    async with manager() as one, manager() as two:
        for worker in (one, two, two):
            worker.bus.emit(
                BatchCommitted(
                    scope=Scope("p"), partition=0, batch_id="b", read_count=100, write_count=98,
                    skip_count=2, elapsed_seconds=1.0,
                )
            )  # fmt: skip
        assert await counts(one, sli="rows") == (98, 2)
        assert await counts(two, sli="rows") == (294, 6)
        two.bus.emit(
            BatchCommitted(
                scope=Scope("p"), partition=0, batch_id="b", read_count=1, write_count=1,
                skip_count=0, elapsed_seconds=1.0,
            )
        )  # fmt: skip
    assert await connection.fetchval("SELECT sum(good_rows) FROM seawall.error_budget") == 295


async def test_objective_set_by_a_call_is_the_fleets(manager, runs):
    async with manager(budget_objectives={"p": 0.9}) as one, manager() as two:
        await runs("p", "succeeded", 8)
        await runs("p", "failed", 2)
        assert (await one.get_error_budget_status("p"))["objective"] == 0.9
        assert (await two.get_error_budget_status("p"))["objective"] == 0.99
        await one.set_error_budget_objective(0.7, "p")
        for worker in (one, two):
            status = await worker.get_error_budget_status("p")
            assert status["objective"] == 0.7
            assert not status["budget_exceeded"]
        assert (await one.get_error_budget_status("p", sli="rows"))["objective"] == 0.9
        await two.set_error_budget_objective(None, "p")
        assert (await one.get_error_budget_status("p"))["budget_exceeded"]
        with pytest.raises(InvalidConfigError, match="objective=99: must be a share"):
            await one.set_error_budget_objective(99, "p")


async def test_objective_that_a_rule_cannot_fire_for_is_refused(manager):
    rules = [{"burn_rate": 14.4, "long_seconds": 3600, "short_seconds": 300}]
    with pytest.raises(InvalidConfigError, match="can't fire for objective=0.9"):
        manager(budget_rules=rules, budget_objective=0.9)
    with pytest.raises(InvalidConfigError, match="can't fire for objective=0.5"):
        manager(budget_rules=rules, budget_objectives={"p": 0.5})
    with pytest.raises(InvalidConfigError, match="budget_rules: .* must be a mapping of burn_rate"):
        manager(budget_rules=[{"burn": 3}])
    async with manager(budget_rules=rules) as worker:
        with pytest.raises(InvalidConfigError, match="must be at most 10"):
            await worker.set_error_budget_objective(0.9, "p")


def heard(worker):
    alerts = []
    worker.bus.subscribe(lambda event: isinstance(event, BudgetAlert) and alerts.append(event))
    return alerts


async def test_outage_is_alerted_on_once_and_resolved_when_it_is_over(manager, connection, runs):
    async with manager() as one, manager() as two:
        budget, alerts = one._services.analytics.budget, heard(one)
        await runs("p", "succeeded", 100, 2000)
        await runs("healthy", "succeeded", 100, 2000)
        await runs("healthy", "failed", 2, 50)
        await budget.evaluate()
        assert alerts == []
        await runs("p", "failed", 9, 40)
        await asyncio.gather(budget.evaluate(), two._services.analytics.budget.evaluate())
        await budget.evaluate()
        (alert,) = await two.get_error_budget_alerts()
        assert (alert.pipeline_id, alert.state, alert.severity) == ("p", "firing", "page")
        assert alert.rule.startswith("14.4x 30m/5m")
        assert alert.bad >= 3
        told = [event for event in alerts if event.state == "firing"]
        assert {event.alert_id for event in told} <= {alert.alert_id}
        # Twenty good runs, the failures out of the short windows: it is over.
        await connection.execute(
            "UPDATE seawall.runs SET ended_at = ended_at - interval '50 minutes'"
        )
        await connection.execute(RUNS.replace("$1 || '-'", "'new' || $1 || '-'"),
                                 "p", "succeeded", 20, 5.0)  # fmt: skip
        await budget.evaluate()
        (resolved,) = await one.get_error_budget_alerts("p")
        assert (resolved.alert_id, resolved.state) == (alert.alert_id, "resolved")
        assert [event.state for event in alerts][-1] == "resolved"
        # What it burned is not told twice, though it still is in the long windows.
        await connection.execute(
            "UPDATE seawall.error_budget_alerts SET resolved_at = now() - interval '3 minutes'"
        )
        await connection.execute(
            "INSERT INTO seawall.runs (run_id, pipeline_id, status, ended_at)"
            " VALUES ('one more', 'p', 'failed', now())"
        )
        await budget.evaluate()
        assert len(await one.get_error_budget_alerts()) == 1


async def test_short_window_reaches_back_to_twenty_runs(manager, runs):
    """At two runs an hour five minutes hold nothing, and would end every alert at once."""
    async with manager() as worker:
        await runs("p", "failed", 5, 150)
        await runs("p", "succeeded", 30, 900)
        store = PostgresBudgetStore(worker.database)
        (suspect,) = await store.suspects(Sli.RUNS, DEFAULT_RULES, 3, 20)
        assert {reading.short.total for reading in suspect.readings[:3]} == {20}
        assert suspect.readings[0].short.bad == 5
        assert suspect.readings[2].long.total == 16  # six hours
        assert await store.suspects(Sli.RUNS, DEFAULT_RULES, 6, 20) == []


async def test_ticket_becomes_a_page_where_it_gets_worse(manager, connection, runs):
    async with manager() as worker:
        budget, alerts = worker._services.analytics.budget, heard(worker)
        await runs("p", "succeeded", 400, 4000)
        await runs("p", "failed", 18, 4000)
        await budget.evaluate()
        await connection.execute(RUNS.replace("$1 || '-'", "'new' || $1 || '-'"),
                                 "p", "failed", 8, 20.0)  # fmt: skip
        await budget.evaluate()
        assert [(event.state, event.severity) for event in alerts] == [
            ("firing", "ticket"), ("firing", "page"),
        ]  # fmt: skip
        assert len({event.alert_id for event in alerts}) == 1


async def test_alert_that_its_worker_did_not_live_to_tell_is_told_by_the_next(manager, runs):
    async with manager() as one, manager() as two:
        await runs("p", "failed", 5)

        def die(_):
            raise SystemExit

        one.bus.subscribe(die)
        with pytest.raises(SystemExit):
            await one._services.analytics.budget.evaluate()
        alerts = heard(two)
        await two._services.analytics.budget.evaluate()
        await two._services.analytics.budget.evaluate()
        assert [event.state for event in alerts] == ["firing"]


async def test_rows_are_alerted_on_only_where_an_objective_for_them_was_set(manager, connection):
    async with manager() as worker:
        budget = worker._services.analytics.budget
        await connection.execute(
            "INSERT INTO seawall.error_budget (pipeline_id, minute, good_rows, bad_rows)"
            " VALUES ('p', date_trunc('minute', now()), 700, 300)"
        )
        await budget.evaluate()
        await budget.look_for_exhausted()
        assert await worker.get_error_budget_alerts() == []
        await worker.set_error_budget_objective(0.99, "p", sli="rows")
        await budget.evaluate()
        await budget.look_for_exhausted()
        (alert,) = await worker.get_error_budget_alerts()
        assert (alert.sli, alert.bad, alert.total) == ("rows", 300, 1000)
        (gone,) = await PostgresBudgetStore(worker.database).exhausted()
        assert (gone.pipeline_id, gone.sli, gone.counts.bad) == ("p", "rows", 300)


async def test_stop_refuses_new_runs_and_lets_failed_ones_be_made_good(manager, runs):
    async with manager(on_budget_exhausted="stop") as worker:
        await ended(worker, "a", ValueError("x"))
        await runs("p", "failed", 2)
        assert not worker._guard.is_exhausted("p")
        await worker._services.analytics.budget.look_for_exhausted()
        with pytest.raises(ErrorBudgetExhaustedError, match="3 of 3 runs") as caught:
            await worker.run("p").__aenter__()
        assert isinstance(caught.value, RefusedError)
        assert "forgive_error_budget('p')" in str(caught.value)
        with pytest.raises(ErrorBudgetExhaustedError):
            await worker.run("p", "new name").__aenter__()
        async with manager(on_budget_exhausted="stop") as late, manager() as lenient:
            with pytest.raises(ErrorBudgetExhaustedError):
                await late.run("p").__aenter__()
            async with lenient.run("p"):
                pass
        async with worker.run("other"):
            pass
        await ended(worker, "a")
        assert await counts(worker) == (2, 2)
        await worker.forgive_error_budget("p")
        async with worker.run("p"):
            pass


async def test_forgiven_budget_begins_anew_and_ends_its_alert(manager, connection, runs):
    async with manager() as worker:
        budget = worker._services.analytics.budget
        await runs("p", "failed", 5)
        await budget.evaluate()
        await worker.forgive_error_budget("p")
        assert await counts(worker) == (0, 0)
        (alert,) = await worker.get_error_budget_alerts()
        assert alert.state == "resolved"
        await budget.evaluate()
        await budget.look_for_exhausted()
        assert await PostgresBudgetStore(worker.database).exhausted() == []
        assert len(await worker.get_error_budget_alerts()) == 1
        await connection.execute(
            "UPDATE seawall.error_budget_objectives SET counted_from = now() - interval '1 hour'"
        )
        assert await counts(worker) == (0, 5)


async def test_tighten_halves_the_retries_of_the_pipeline_alone(manager, runs):
    async with manager(on_budget_exhausted="tighten", initial_delay=0) as worker:
        calls = []

        async def failing():
            calls.append(1)
            raise ConnectionResetError

        async def attempts(pipeline_id):
            calls.clear()
            with pytest.raises(ConnectionResetError):
                async with worker.run(pipeline_id):
                    await worker.execute_with_retry(failing, max_retries=4)
            return len(calls)

        assert await attempts("p") == 5
        await runs("p", "failed", 3)
        await worker._services.analytics.budget.look_for_exhausted()
        assert await attempts("p") == 3
        assert await attempts("q") == 5
