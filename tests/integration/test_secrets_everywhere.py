"""A secret that is in every message: it is in no table, but where records are stored whole."""

import asyncpg
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from seawall import ErrorRecoveryManager, retry

# Stored whole, as they were given: docs/payloads.md says how to encrypt or mask them.
WHOLE = {"quarantined_records", "quarantine_edits", "run_steps", "outbox_messages", "parked_calls"}
LETTERS = st.text(
    "abcdefghijkmnopqrstuvwxyzABCDEFGHJKLMNPQRSTUVWXYZ23456789", min_size=12, max_size=20
)
FORMS = [
    "password={0}", "postgresql://etl:{0}@db/x", "Authorization: Bearer {0}", "api_key: {0}",
    "connect(password='{0}') failed", '{{"token": "{0}"}}', "https://u:{0}@host/path?x=1",
]  # fmt: skip


async def everything(manager, text):
    """Every path that writes what a user or a service says."""

    @retry(max_retries=1, initial_delay=0.001, bus=manager.bus, classifier=manager.classifier)
    async def fail():
        raise ConnectionResetError(text)

    async def step():
        raise TimeoutError(text)

    try:
        async with manager.run("p", tags={"note": "x"}) as run:
            await manager.log_error_details(run.run_id, ValueError(text), {"said": text})
            for call in (fail, lambda: run.step("s", step)):
                try:
                    await call()
                except (ConnectionResetError, TimeoutError):
                    pass
            await manager.quarantine_bad_records(run.run_id, [{"n": 1}], text)
            breaker = manager.circuit_breaker("b", failure_threshold=1, timeout=60)
            try:
                await breaker.call(step)
            except Exception:
                pass

            async def refuse(tx, record):
                raise ValueError(text)

            await manager.reprocess_quarantined_records(run.run_id, processor=refuse)
            await manager.raise_alert("k", text, text, labels={"said": text})
            raise RuntimeError(text)
    except RuntimeError:
        pass


async def found(dsn, secret):
    connection = await asyncpg.connect(dsn)
    tables = await connection.fetch(
        "SELECT relname FROM pg_class WHERE relnamespace = 'seawall'::regnamespace "
        "AND relkind IN ('r', 'p') AND NOT relispartition"
    )
    places = []
    for (table,) in tables:
        rows = await connection.fetch(f"SELECT t::text AS row FROM seawall.{table} t")
        places += [table for row in rows if secret in row["row"]]
    await connection.close()
    return set(places)


@pytest.mark.slow
@pytest.mark.timeout(120)
@settings(
    max_examples=3, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(secret=LETTERS, form=st.sampled_from(FORMS))
def test_secret_in_every_message_is_in_no_table(database_dsn, secret, form):
    import asyncio

    async def work():
        config = {"pattern_flush_seconds": 3600}
        async with ErrorRecoveryManager(database_dsn, pipeline_id="p", config=config) as manager:
            await everything(manager, f"marker {form.format(secret)}")
        assert await found(database_dsn, secret) - WHOLE == set(), form
        # The search itself finds what isn't secret, in each of these.
        assert await found(database_dsn, "marker") >= {
            "alerts", "error_details", "error_patterns", "quarantine_attempts", "retry_attempts",
            "runs", "quarantined_records",
        }  # fmt: skip

    asyncio.run(work())
