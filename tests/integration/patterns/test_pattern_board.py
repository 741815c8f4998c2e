"""Error patterns of a fleet, on a real database: counted once, joined, told, resolved."""

import asyncio
import random
from datetime import UTC, datetime
from uuid import UUID

import asyncpg
import pytest

from seawall import (
    ErrorRecoveryManager,
    ErrorType,
    InvalidConfigError,
    PatternStatus,
    Trend,
    UnknownPatternError,
)
from seawall.events import ErrorLogged, PatternSeen, RetryExhausted
from seawall.patterns import PatternBoard
from seawall.patterns.board import MOST_SHAPES
from seawall.postgres.pattern_store import PostgresPatternStore
from seawall.retry import RetryPolicy
from seawall.retry import call as call_with_retry


class LoadError(Exception):
    pass


@pytest.fixture
def manager(database_dsn):
    def make(**config):
        return ErrorRecoveryManager(
            database_dsn,
            config={"initial_delay": 0, "pool_size": 3, "pattern_flush_seconds": 3600, **config},
        )

    return make


@pytest.fixture
async def connection(database_dsn):
    connection = await asyncpg.connect(database_dsn)
    yield connection
    await connection.close()


def failing(text):
    async def load():
        raise LoadError(text)

    return load


def logged(message, error_type="unknown", **fields):
    return ErrorLogged(
        error_id=UUID(int=1),
        error_type=error_type,
        exception_type="x.LoadError",
        message=message,
        stack=None,
        fingerprint="f",
        **fields,
    )


def seen_by(manager):
    seen = []
    manager.bus.subscribe(lambda event: seen.append(event) if type(event) is PatternSeen else None)
    return seen


async def test_patterns_failed_attempts_and_logged_errors_are_counted_once_each(
    manager, connection
):
    async with manager() as worker:
        for n in range(5):
            with pytest.raises(LoadError) as caught:
                async with worker.run("flights", release="v7"):
                    await worker.execute_with_retry(
                        failing(f"cannot load part {n} of it"), max_retries=2, retry_on=LoadError
                    )
            # The run wrote it down; asked again, it is the same row.
            first = await worker.log_error_details("r", caught.value)
            assert await worker.log_error_details("r", caught.value) == first
        (pattern,) = await worker.get_error_patterns("flights")
        stored = await connection.fetch(
            "SELECT error_id, pattern_id, release FROM seawall.error_details"
        )
    assert pattern.error_message_pattern == "cannot load part <*> of it"
    assert pattern.frequency == 15  # three attempts each; the logged error is the last of them
    assert pattern.trend is Trend.NEW
    assert pattern.recommended_action.startswith("Let it be retried, and read the error")
    assert pattern.pipelines == {"flights": 15}
    assert pattern.releases == {"v7": 15}
    assert sum(pattern.hosts.values()) == 15
    assert pattern.daily == {datetime.now(UTC).date(): 15}
    assert "0" in dict(pattern.values[0])  # sampled, the first ones surely
    assert {row["error_id"] for row in stored} == set(pattern.sample_ids)
    assert len(stored) == 5
    assert {(row["pattern_id"], row["release"]) for row in stored} == {(pattern.pattern_id, "v7")}


async def test_patterns_nested_policies_on_one_bus_count_each_failure_once(manager):
    async with manager() as worker:
        events = []
        worker.bus.subscribe(events.append)
        inner = RetryPolicy(max_retries=1, initial_delay=0, bus=worker.bus, retry_on=LoadError)
        outer = RetryPolicy(
            max_retries=1, initial_delay=0, bus=worker.bus, retry_on=LoadError, retry_exhausted=True
        )

        async def nested():
            await call_with_retry(inner, failing("the inner call failed"))

        with pytest.raises(LoadError):
            await call_with_retry(outer, nested)
        (pattern,) = await worker.get_error_patterns()
        assert pattern.frequency == 4
        exhausted = [event.counted for event in events if isinstance(event, RetryExhausted)]
        assert exhausted == [False, False, True]


async def test_patterns_run_without_its_database_raises_the_users_exception(manager, monkeypatch):
    monkeypatch.setattr("seawall.run._LOG_SECONDS", 0.05)
    async with manager() as worker:

        async def hang(*_args):
            await asyncio.Event().wait()

        with pytest.raises(LoadError, match="mine"):
            async with worker.run("flights"):
                worker._services._recorder.put = hang
                raise LoadError("mine")
        del worker._services._recorder.put


async def test_patterns_of_two_workers_join_to_one_with_the_sum_of_counts(manager, connection):
    names = ["orders", "items", "prices", "users"]
    async with manager() as one, manager() as two:
        seen = [*map(seen_by, (one, two))]
        for worker, mine in ((one, names[:2]), (two, names[2:])):
            for name in mine:
                worker.bus.emit(logged(f"the table {name} is locked by somebody"))
        assert len(await one.get_error_patterns()) == 2
        before = {each.pattern_id for each in await one.get_error_patterns()}
        (pattern,) = await two.get_error_patterns()
        assert (pattern.frequency, len(seen[0]), len(seen[1])) == (4, 2, 0)
        assert pattern.error_message_pattern == "the table <*> is locked by somebody"
        assert sorted(pattern.values[0]) == sorted((name, 1) for name in names)
        # Who counts under an id of before counts for the pattern of now.
        one.bus.emit(logged(f"the table {names[0]} is locked by somebody"))
        (pattern,) = await one.get_error_patterns()
        assert pattern.frequency == 5
        for old in before:
            now = await one.ignore_error_pattern(old, actor="ann", reason="known")
            assert now == pattern.pattern_id
    assert await connection.fetchval("SELECT count(*) FROM seawall.error_patterns") == 1
    counted = await connection.fetch(
        "SELECT pipeline_id, from_00 + from_06 + from_12 + from_18 AS count "
        "FROM seawall.error_pattern_counts ORDER BY 1"
    )
    assert [tuple(row) for row in counted] == [("<all>", 5), ("default", 5)]


async def test_patterns_new_is_told_once_in_the_fleet_and_a_resolved_one_regresses(manager):
    async with manager() as one, manager() as two:
        seen = [*map(seen_by, (one, two))]
        for worker in (one, two):
            worker.bus.emit(logged("the disk is full again"))
            await worker.get_error_patterns()
        assert [[event.kind for event in each] for each in seen] == [["new"], []]
        (pattern,) = await one.get_error_patterns()
        await one.resolve_error_pattern(pattern.pattern_id, actor="ann", reason="disk bought")
        (pattern,) = await two.get_error_patterns(status="resolved")
        assert (pattern.status, pattern.status_reason) == (PatternStatus.RESOLVED, "disk bought")
        two.bus.emit(logged("the disk is full again"))
        (pattern,) = await two.get_error_patterns()
        assert pattern.status is PatternStatus.OPEN
        assert pattern.regressed_at is not None
        assert [event.kind for event in seen[1]] == ["regression"]
        await two.ignore_error_pattern(pattern.pattern_id, actor="ann", reason="who cares")
        two.bus.emit(logged("the disk is full again"))
        (pattern,) = await two.get_error_patterns()
        assert (pattern.status, pattern.frequency) == (PatternStatus.IGNORED, 4)
        await two.reopen_error_pattern(pattern.pattern_id, actor="bob", reason="I do")
        assert [event.kind for event in seen[1]] == ["regression"]


async def test_patterns_status_changes_are_in_the_audit_and_unknown_ids_refused(
    manager, connection
):
    async with manager() as worker:
        worker.bus.emit(logged("the disk is full again"))
        (pattern,) = await worker.get_error_patterns()
        await worker.resolve_error_pattern(pattern.pattern_id, actor="ann", reason="done")
        with pytest.raises(UnknownPatternError, match="'nope'"):
            await worker.resolve_error_pattern("nope", actor="ann", reason="done")
        for options in ({"days": 0}, {"days": 91}, {"limit": 0}):
            with pytest.raises(InvalidConfigError):
                await worker.get_error_patterns(**options)
    (line,) = await connection.fetch("SELECT * FROM seawall.audit_log")
    assert (line["actor"], line["action"]) == ("ann", "error pattern resolved")
    assert (line["subject"], line["reason"]) == (pattern.pattern_id, "done")


async def test_patterns_of_other_classes_are_apart_and_a_group_of_one_is_its_member(manager):
    async with manager() as worker:
        worker.bus.emit(logged("the same words here", "transient"))
        worker.bus.emit(logged("the same words here", "data"))
        await worker.log_error_details(None, ExceptionGroup("g", [LoadError("a member of it")]))
        await worker.log_error_details(None, LoadError("a member of it"))
        found = await worker.get_error_patterns()
    assert sorted((each.error_message_pattern, each.frequency) for each in found) == [
        ("a member of it", 2),
        ("the same words here", 1),
        ("the same words here", 1),
    ]
    assert len({each.error_type for each in found}) == 3


async def test_patterns_of_messages_that_say_nothing_go_by_their_stack(manager):
    def one():
        raise KeyError("id")

    def two():
        raise KeyError("id")

    async with manager() as worker:
        for operation in (one, two, one):
            with pytest.raises(KeyError):
                await worker.execute_with_retry(operation)
        found = await worker.get_error_patterns()
    assert [each.frequency for each in found] == [2, 1]


async def test_patterns_secrets_are_masked_in_templates_and_values(manager, connection):
    async with manager() as worker:
        for n in range(6):
            with pytest.raises(LoadError):
                await worker.execute_with_retry(
                    failing(f"login failed with password=hunter{n}x for user bob{n}")
                )
        await worker.get_error_patterns()
    text = await connection.fetchval(
        "SELECT concat(p.error_message_pattern, p.variables, (SELECT string_agg(tokens::text, '')"
        " FROM seawall.error_pattern_shapes)) FROM seawall.error_patterns p"
    )
    assert "bob1" in text
    assert "hunter" not in text


@pytest.mark.parametrize("seed", range(3))
async def test_patterns_of_three_workers_in_any_order_are_those_of_one(manager, connection, seed):
    """Same messages, other workers, other flushes: same ids, templates and counts."""
    chance = random.Random(seed)
    words = ["alpha", "beta", "gamma", "delta", "omega", "kappa"]
    messages = [
        f"cannot {verb} the {word} of {other} now"
        for verb in ("read", "write")
        for word in words
        for other in words[:5]
    ] * 2
    async with manager() as single:
        for message in messages:
            single.bus.emit(logged(message))
        wanted = await single.get_error_patterns()
    await connection.execute(
        "TRUNCATE seawall.error_patterns, seawall.error_pattern_shapes,"
        " seawall.error_pattern_counts, seawall.error_pattern_workers"
    )
    chance.shuffle(messages)
    async with manager() as one, manager() as two, manager() as three:
        workers = (one, two, three)
        for message in messages:
            worker = chance.choice(workers)
            worker.bus.emit(logged(message))
            if chance.random() < 0.2:
                await worker._services.analytics.patterns.flush()
        for worker in (*workers, *workers):
            found = await worker.get_error_patterns()

    def known(patterns):
        return sorted(
            (each.pattern_id, each.error_message_pattern, each.frequency) for each in patterns
        )

    assert known(found) == known(wanted)
    assert sum(each.frequency for each in found) == len(messages)
    total = await connection.fetchval("SELECT sum(frequency) FROM seawall.error_patterns")
    assert total == len(messages)


async def test_patterns_commit_whose_answer_is_lost_counts_once_and_is_told(manager, monkeypatch):
    async with manager() as worker:
        seen = seen_by(worker)
        board = worker._services.analytics.patterns
        real = PostgresPatternStore.session

        class Lost:
            def __init__(self, session):
                self.session = session

            async def __aenter__(self):
                return await self.session.__aenter__()

            async def __aexit__(self, *error):
                await self.session.__aexit__(*error)
                raise ConnectionResetError("the answer was lost")

        monkeypatch.setattr(PostgresPatternStore, "session", lambda self: Lost(real(self)))
        worker.bus.emit(logged("the disk is full again"))
        with pytest.raises(ConnectionResetError):
            await board.flush()
        worker.bus.emit(logged("the disk is full again"))
        monkeypatch.undo()
        await board.flush()
        assert [event.kind for event in seen] == ["new"]
        (pattern,) = await worker.get_error_patterns()
        assert pattern.frequency == 2


async def test_patterns_of_a_flush_that_failed_are_written_by_the_next(manager, monkeypatch):
    async with manager() as worker:
        board = worker._services.analytics.patterns

        def away(self):
            raise ConnectionRefusedError

        monkeypatch.setattr(PostgresPatternStore, "session", away)
        for _ in range(3):
            worker.bus.emit(logged("the disk is full again"))
            with pytest.raises(ConnectionRefusedError):
                await board.flush()
        monkeypatch.undo()
        (pattern,) = await worker.get_error_patterns()
        assert pattern.frequency == 3


async def test_prune_deletes_old_counts_and_makes_room_but_keeps_ignored_ones(manager, connection):
    async with manager() as worker:
        for n in range(20):
            kind = "".join(chr(97 + int(digit)) for digit in str(100 + n))
            worker.bus.emit(logged(f"{kind} {kind} {kind} {kind} {kind}"))
        found = await worker.get_error_patterns()
        assert len(found) == 20
        await worker.ignore_error_pattern(found[0].pattern_id, actor="ann", reason="noise")
        await connection.execute(
            "UPDATE seawall.error_patterns SET last_seen = last_seen - interval '1 day' "
            "WHERE status = 'ignored'"
        )
        store = PostgresPatternStore(worker.database)
        await store.prune(MOST_SHAPES)
        assert len(await worker.get_error_patterns()) == 20
        await store.prune(20)
        left = await worker.get_error_patterns()
        assert len(left) == 12
        kept = {each.pattern_id for each in left}
        assert found[0].pattern_id in kept
        # A pattern that was given up and comes back is written whole again.
        gone = next(each for each in found if each.pattern_id not in kept)
        worker.bus.emit(logged(gone.error_message_pattern))
        again = {each.pattern_id: each for each in await worker.get_error_patterns()}
        assert again[gone.pattern_id].frequency == 1
        assert await connection.fetchval(
            "SELECT count(*) FROM seawall.error_pattern_shapes WHERE shape_key = $1",
            gone.pattern_id,
        )
        await connection.execute(
            "UPDATE seawall.error_patterns SET last_seen = last_seen - interval '101 days'"
        )
        await store.prune(MOST_SHAPES)
    assert await connection.fetchval("SELECT count(*) FROM seawall.error_pattern_shapes") == 0


async def test_patterns_beyond_the_bound_are_counted_with_the_others(manager, monkeypatch):
    monkeypatch.setattr("seawall.patterns.board.MOST_SHAPES", 3)
    async with manager() as worker:
        for word in ("one", "two", "three", "four", "five", "six"):
            worker.bus.emit(logged(f"{word} {word} {word} {word}", "data"))
            found = await worker.get_error_patterns()
        by_text = {each.error_message_pattern: each.frequency for each in found}
    assert by_text.pop("<others>") == 3
    assert set(by_text.values()) == {1}
    assert len(by_text) == 3
    assert {each.error_type for each in found} == {ErrorType.DATA}


async def test_board_of_a_manager_listens_and_refuses_a_wrong_period(manager):
    async with manager() as worker:
        assert isinstance(worker._services.analytics.patterns, PatternBoard)
    with pytest.raises(InvalidConfigError, match="pattern_flush_seconds"):
        manager(pattern_flush_seconds=0)


async def test_patterns_error_logged_after_its_attempts_were_written_is_their_sample(manager):
    async with manager() as worker:
        with pytest.raises(LoadError) as caught:
            await worker.execute_with_retry(failing("the disk is full again"), max_retries=1)
        (before,) = await worker.get_error_patterns()
        error_id = await worker.log_error_details(None, caught.value)
        (after,) = await worker.get_error_patterns()
    assert before.sample_ids == ()
    assert after.sample_ids == (error_id,)
    assert before.frequency == after.frequency


async def test_patterns_seen_last_are_told_before_the_manager_is_closed(manager):
    worker = manager()
    seen = seen_by(worker)
    async with worker:
        worker.bus.emit(logged("the disk is full again"))
    assert [(event.kind, event.scope.pipeline_id) for event in seen] == [("new", "default")]
    assert seen[0].error_message_pattern == "the disk is full again"
