"""Any table, any rows: what a load keeps is what row-by-row INSERTs would have kept."""

import asyncio

import asyncpg
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from integration.loading.conftest import Loading

PARTS = {
    "not null": "ALTER b SET NOT NULL",
    "check": "ADD CHECK (b < c)",
    "check that can raise": "ADD CHECK (10 / c > 0)",
    "unique": "ADD UNIQUE (b)",
    "unique pair": "ADD UNIQUE (b, d)",
    "unique deferrable": "ADD UNIQUE (c) DEFERRABLE INITIALLY DEFERRED",
    "nulls not distinct": "ADD UNIQUE NULLS NOT DISTINCT (c, d)",
    "foreign key": "ADD FOREIGN KEY (d) REFERENCES p (k)",
    "composite key": "ADD FOREIGN KEY (b, d) REFERENCES q (i, k)",
    "composite key, full": "ADD FOREIGN KEY (b, d) REFERENCES q (i, k) MATCH FULL",
    "short text": "ALTER d TYPE varchar(1)",
    "padded text": "ALTER d TYPE char(2)",
    "small number": "ALTER e TYPE numeric(2,1)",
    "domain": "ALTER c TYPE odd",
    "exclusion": "ADD EXCLUDE (b WITH =)",
}
INDEXES = {
    "partial": "CREATE UNIQUE INDEX ON t (c) WHERE d = 'x'",
    "expression": "CREATE UNIQUE INDEX ON t ((b + c))",
    "trigger": "CREATE TRIGGER g BEFORE INSERT ON t FOR EACH ROW EXECUTE FUNCTION g()",
}
DDL = """
DROP TABLE IF EXISTS t, p, q CASCADE;
CREATE TABLE p (k text PRIMARY KEY); INSERT INTO p VALUES ('x'), ('y');
CREATE TABLE q (i int, k text, PRIMARY KEY (i, k)); INSERT INTO q VALUES (1, 'x'), (2, 'y');
CREATE TABLE t (n int, b int, c int, d text, e numeric);
"""
ONCE = """
CREATE DOMAIN odd AS int CHECK (VALUE IS NULL OR VALUE % 2 = 1 OR VALUE = 0);
CREATE FUNCTION g() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF NEW.b = 3 THEN NEW.b := 2; END IF;
    IF NEW.c = 3 THEN RAISE EXCEPTION 'no threes'; END IF;
    RETURN NEW;
END $$;
"""
small = st.none() | st.integers(0, 4)
rows_of = st.lists(
    st.tuples(small, small, st.sampled_from([None, "x", "y", "z", "xy", "xyz", "x ", "\x00"]),
              st.sampled_from([None, 1, 9.9, 9.96, 99, "NaN"])),
    max_size=12,
)  # fmt: skip


async def by_rows(connection, rows):
    """The numbers of the rows that INSERT takes, one after the other."""
    kept = []
    async with connection.transaction():
        await connection.execute("SET CONSTRAINTS ALL IMMEDIATE")
        for row in rows:
            try:
                async with connection.transaction():
                    await connection.execute("INSERT INTO t VALUES ($1, $2, $3, $4, $5)", *row)
            except (asyncpg.PostgresError, ValueError):
                continue
            kept.append(row[0])
    return kept


async def compare(connection, parts, batches):
    await connection.execute(DDL)
    for part in parts:
        statement = INDEXES.get(part) or f"ALTER TABLE t {PARTS[part]}"
        await connection.execute(statement)
    loading = Loading(connection, "t")
    numbered, loaded = [], []
    for batch in batches:
        rows = [(len(numbered) + i, *row) for i, row in enumerate(batch)]
        numbered += rows
        told = await loading.load(rows) if rows else {}
        loaded += [row[0] for place, row in enumerate(rows) if place not in told]
    found = [row["n"] for row in await connection.fetch("SELECT n FROM t ORDER BY n")]
    assert found == loaded
    await connection.execute("DELETE FROM t")
    assert loaded == await by_rows(connection, numbered)


@pytest.mark.timeout(120)
def test_load_keeps_what_inserts_one_by_one_would_keep(empty_database_dsn):
    with asyncio.Runner() as runner:
        connection = runner.run(asyncpg.connect(empty_database_dsn))
        runner.run(connection.execute(ONCE))

        @settings(max_examples=200, deadline=None, suppress_health_check=list(HealthCheck))
        @example(
            {"exclusion", "trigger", "foreign key", "not null"},
            [[(0, None, "z", None), (0, None, None, None)]],
        )
        @given(
            st.sets(st.sampled_from([*PARTS, *INDEXES]), max_size=4),
            st.lists(rows_of, min_size=1, max_size=3),
        )
        def check(parts, batches):
            runner.run(compare(connection, sorted(parts), batches))

        check()
        runner.run(connection.close())
