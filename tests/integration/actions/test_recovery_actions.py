"""Recovery actions of a fleet, on a real database: counted, recommended, capped."""

import asyncpg
import pytest

from seawall import ErrorRecoveryManager, ErrorType, InvalidConfigError, UnknownPatternError
from seawall.events import BreakerTransition, RecoveryActionTaken


class LoadError(Exception):
    pass


@pytest.fixture
def manager(database_dsn):
    def make(**config):
        return ErrorRecoveryManager(
            database_dsn, config={"initial_delay": 0, "pool_size": 3, **config}
        )

    return make


@pytest.fixture
async def connection(database_dsn):
    connection = await asyncpg.connect(database_dsn)
    yield connection
    await connection.close()


def failing(times, error):
    left = [times]

    async def load():
        left[0] -= 1
        if left[0] >= 0:
            raise error
        return "rows"

    load.__qualname__ = "load"
    return load


def actions_of(manager):
    seen = []
    manager.bus.subscribe(
        lambda event: seen.append(event) if type(event) is RecoveryActionTaken else None
    )
    return seen


async def test_recommendation_quotes_what_retries_did(manager, connection):
    async with manager() as worker:
        for n in range(17):
            async with worker.run("flights"):
                error = ConnectionResetError(104, f"peer {n} reset the connection")
                await worker.execute_with_retry(failing(1 + n % 2, error))
        with pytest.raises(ConnectionResetError):
            async with worker.run("flights"):
                await worker.execute_with_retry(failing(9, error), max_retries=1)
        best, *_ = await worker.recommend_recovery_actions("flights", error=error)
        stored = await connection.fetch(
            "SELECT operation, pattern_id, attempts, succeeded, failed"
            " FROM seawall.recovery_action_counts WHERE action = 'retry' AND pipeline_id = 'flights'"
            " ORDER BY attempts"
        )
        assert best.name == "retry_connection"
        assert (best.rank, best.kind, best.error_type) == (1, "retry", ErrorType.TRANSIENT)
        assert (best.cases, best.successes, best.median_attempts) == (18, 17, 2)
        assert best.evidence == "retry worked in 94% of 18 cases, median 2 attempts of this pattern"
        assert 0.7 < best.confidence < 0.94
        assert [tuple(row) for row in stored] == [("load", "", 2, 9, 1), ("load", "", 3, 8, 0)]
        # The same by the pattern, and without naming anything: the pipeline's patterns.
        by_id = await worker.recommend_recovery_actions(pattern_id=best.pattern_id)
        assert (by_id[0].name, by_id[0].cases) == ("retry_connection", 18)
        whole = await worker.recommend_recovery_actions("flights")
        assert whole[0].name == "retry_connection"
        assert [each.rank for each in whole] == list(range(1, len(whole) + 1))


async def test_recommendation_of_a_credential_names_the_fix_and_escalates_what_is_vain(manager):
    async with manager() as worker:
        error = LoadError("no answer that helps")
        for _ in range(25):
            with pytest.raises(LoadError):
                await worker.execute_with_retry(failing(9, error), max_retries=1)
        found = await worker.recommend_recovery_actions(error=error)
        assert found[0].name == "escalate"
        assert "retry hardly helps: it worked in 0% of 25 cases" in found[0].evidence
        denied = PermissionError(13, "Permission denied", "/data")
        (best, *_) = await worker.recommend_recovery_actions(error=denied)
        assert (best.name, best.command) == ("fix_file_permission", "namei -l PATH; id")
        assert best.confidence is None


async def test_recommendation_refuses_what_is_wrong(manager):
    async with manager() as worker:
        with pytest.raises(InvalidConfigError, match="days=0: must be"):
            await worker.recommend_recovery_actions(days=0)
        with pytest.raises(UnknownPatternError, match="no such pattern"):
            await worker.recommend_recovery_actions(pattern_id="0" * 16)
        assert await worker.recommend_recovery_actions("nothing failed here") == []


async def test_recorded_actions_count_once_their_outcome_is_known(manager):
    async with manager() as worker:
        seen = actions_of(worker)
        error = PermissionError(13, "Permission denied")
        first = await worker.record_recovery_action(
            "fix_file_permission",
            error=error,
            actor="ann",
            reason="chmod, password=hunter2",
            details={"token": "hunter2"},
        )
        assert await worker.finish_recovery_action(first, succeeded=True)
        assert not await worker.finish_recovery_action(first, succeeded=False)
        await worker.record_recovery_action("fix_file_permission", error=error, succeeded=True)
        best, *_ = await worker.recommend_recovery_actions(error=error)
        assert best.evidence.startswith("this worked in 100% of 2 cases")
        rows = await worker.list_recovery_actions()
        assert [(row.outcome, row.actor) for row in rows] == [
            ("succeeded", None),
            ("succeeded", "ann"),
        ]
        assert "hunter2" not in str(rows)
        assert [(each.outcome, each.error_type) for each in seen] == [
            (None, "configuration"),
            ("succeeded", "configuration"),
            ("succeeded", "configuration"),
        ]
        with pytest.raises(InvalidConfigError, match="must be a name"):
            await worker.record_recovery_action("")
        with pytest.raises(InvalidConfigError, match="must be one of transient"):
            await worker.record_recovery_action("x", error_type="odd")


async def test_resumed_runs_are_recorded_with_their_outcome(manager):
    async with manager() as worker:
        seen = actions_of(worker)
        with pytest.raises(LoadError):
            async with worker.run("flights", "r1"):
                raise LoadError("it failed")
        with pytest.raises(LoadError):
            async with worker.run("flights", "r1"):
                raise LoadError("it failed again")
        async with worker.run("flights", "r1"):
            pass
        async with worker.run("flights", "r2"):
            pass
        rows = await worker.list_recovery_actions("flights")
        # The first two ends come before the flush: the store sees the third entering alone.
        assert {(row.action, row.run_id, row.error_type) for row in rows} == {
            ("resume", "r1", "unknown")
        }
        assert seen[-1].action == "resume"
        assert await worker.list_recovery_actions("flights") == rows


async def test_breakers_that_open_are_recorded_once_and_settled_when_they_close(manager):
    async with manager() as one, manager() as two:
        for worker in (one, two):
            worker.bus.emit(
                BreakerTransition(
                    service_name="billing",
                    from_state="closed",
                    to_state="open",
                    epoch=3,
                    reason="5 failures",
                )
            )
        assert len(await one.list_recovery_actions()) == 1
        (row,) = await two.list_recovery_actions()
        assert (row.action, row.operation, row.outcome) == ("breaker_opened", "billing", None)
        one.bus.emit(
            BreakerTransition(
                service_name="billing",
                from_state="half_open",
                to_state="closed",
                epoch=5,
                reason="a trial call succeeded",
            )
        )
        (row,) = await one.list_recovery_actions()
        assert row.outcome == "succeeded"


async def test_fallbacks_and_quarantine_are_counted(manager, connection):
    async def primary():
        raise ConnectionResetError(104, "reset")

    async def second():
        return 2

    async with manager() as worker:
        assert await worker.implement_fallback_strategy(primary, second) == 2
        with pytest.raises(ExceptionGroup):
            await worker.implement_fallback_strategy(primary, primary)
    rows = await connection.fetch(
        "SELECT action, error_type, succeeded, failed FROM seawall.recovery_action_counts"
        " WHERE pipeline_id = '<all>'"
    )
    assert [tuple(row) for row in rows] == [("fallback", "transient", 1, 1)]


async def test_cap_of_automatic_actions_is_the_fleets_and_escalates_once(manager):
    async with (
        manager(automatic_actions_per_hour=3) as one,
        manager(automatic_actions_per_hour=3) as two,
    ):
        seen = [*map(actions_of, (one, two))]
        answers = [
            await worker.claim_automatic_action(
                "restart_run", pipeline_id="flights", reason="it failed"
            )
            for worker in (one, two, one, two, one)
        ]
        assert answers == [True, True, True, False, False]
        assert await two.claim_automatic_action("restart_run", pipeline_id="other")
        told = [event for events in seen for event in events if event.action == "escalate"]
        assert len(told) == 1
        assert told[0].scope.pipeline_id == "flights"
        assert "3 automatic actions an hour" in told[0].summary
        rows = await one.list_recovery_actions("flights")
        assert [(row.action, row.automatic) for row in rows] == [
            ("escalate", False),
            *[("restart_run", True)] * 3,
        ]


async def test_user_knowledge_comes_first(manager):
    own = {
        "id": "call_ann",
        "kind": "fix",
        "do": "Call Ann.",
        "why": "She knows the source.",
        "when": [{"exceptions": ["LoadError"]}],
    }
    async with manager(recovery_knowledge=[own]) as worker:
        best, *_ = await worker.recommend_recovery_actions(error=LoadError("disk is full"))
        assert best.action == "Call Ann."
    with pytest.raises(InvalidConfigError, match="entry 'call_ann': kind must be one of"):
        manager(recovery_knowledge=[{**own, "kind": "odd"}])
