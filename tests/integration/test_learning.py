"""What retries have shown, shared by a fleet through ``learned_outcomes``."""

import asyncpg
import pytest

from seawall import ErrorRecoveryManager, ErrorType
from seawall.classification import Fingerprint, Verdict
from seawall.classification.fingerprint import fingerprint_of
from seawall.learning import Delta
from seawall.postgres.outcome_store import PostgresOutcomeStore


class LoadError(Exception):
    pass


def failing(times, text="zork {} flibber"):
    left = [times]

    async def load():
        left[0] -= 1
        if left[0] >= 0:
            raise LoadError(text.format(left[0]))
        return "rows"

    load.__qualname__ = "load"
    return load


@pytest.fixture
def manager(database_dsn):
    def make():
        return ErrorRecoveryManager(database_dsn, config={"initial_delay": 0, "pool_size": 2})

    return make


async def test_outcomes_of_two_workers_add_up_and_teach_both(manager):
    async with manager() as one, manager() as two:
        for worker in (one, two, one, two):
            assert await worker.execute_with_retry(failing(1)) == "rows"
        await one.learned_classifications()  # each writes what it counted
        (known,) = await two.learned_classifications()
        assert (known.operation, known.recovered, known.lasting) == ("load", 4, 0)
        assert known.fingerprint.template == "zork <*> flibber"
        assert known.verdict is Verdict.PASSES
        assert known.first_seen <= known.last_seen
        await one.learned_classifications()
        for worker in (one, two):
            found = worker.explain_error(LoadError("zork 7 flibber"), "load")
            assert found.error_type is ErrorType.TRANSIENT
            assert worker.classify_error(LoadError("zork 7 flibber")) is ErrorType.UNKNOWN


async def test_outcomes_are_written_at_the_end_and_found_by_the_next_run(manager):
    async with manager() as first:
        await first.execute_with_retry(failing(2))
    async with manager() as second:
        (known,) = await second.learned_classifications()
        assert known.recovered == 1


async def test_reset_forgets_for_every_worker(manager):
    async with manager() as one, manager() as two:
        for _ in range(4):
            await one.execute_with_retry(failing(1))
        (known,) = await one.learned_classifications()
        await two.learned_classifications()
        assert await one.reset_learned_classifications("other") == 0
        assert await one.reset_learned_classifications("load", known.fingerprint.key) == 1
        assert await two.learned_classifications() == []
        assert (
            two.explain_error(LoadError("zork 7 flibber"), "load").error_type is ErrorType.UNKNOWN
        )


async def test_outcomes_count_for_fourteen_days_and_are_deleted_after_sixty(manager, database_dsn):
    connection = await asyncpg.connect(database_dsn)
    async with manager() as worker:
        store = PostgresOutcomeStore(worker.database)
        fingerprint = fingerprint_of(LoadError("zork"))
        await store.add([Delta("load", fingerprint, 1, 2), Delta("load", fingerprint, 0, 3)])
        for days in (1, 13, 14, 61):
            await connection.execute(
                "INSERT INTO seawall.learned_outcomes SELECT operation, fingerprint, day - $1::int,"
                " exception_type, code, template, recovered, lasting FROM seawall.learned_outcomes"
                " WHERE day = (now() AT TIME ZONE 'UTC')::date",
                days,
            )
        (known,) = await store.load()
        assert (known.recovered, known.lasting, known.lasting_days) == (3, 15, 3)
        assert await connection.fetchval("SELECT count(*) FROM seawall.learned_outcomes") == 4
    await connection.close()


async def test_template_is_stored_without_secrets_or_nul(manager):
    async with manager() as worker:
        store = PostgresOutcomeStore(worker.database)
        fingerprint = Fingerprint("0" * 16, "x.Error", "", "password=hunter-two \x00")
        await store.add([Delta("load", fingerprint, 1, 0)])
        (known,) = await store.load()
        assert "hunter" not in known.fingerprint.template
