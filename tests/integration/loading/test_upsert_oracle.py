"""Any table, any rows, any upsert: what a load leaves is what loading one by one would have left."""

import asyncio

import asyncpg
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from integration.loading.conftest import Loading
from integration.loading.test_oracle import INDEXES, ONCE, PARTS
from seawall.conflict import OnConflict

KEYS = {
    "primary": "ALTER TABLE t ADD PRIMARY KEY (k)",
    "unique": "ALTER TABLE t ADD CONSTRAINT key UNIQUE (k)",
    "not distinct": "ALTER TABLE t ADD CONSTRAINT key UNIQUE NULLS NOT DISTINCT (k)",
    "partial": "CREATE UNIQUE INDEX key ON t (k) WHERE c > 1",
    "pair": "ALTER TABLE t ADD CONSTRAINT key UNIQUE (b, k)",
}
TARGETS = {
    "primary": "(k)", "unique": "(k)", "not distinct": "(k)", "partial": "(k) WHERE c > 1",
    "pair": "(b, k)",
}  # fmt: skip
ALL = "n = excluded.n, b = excluded.b, c = excluded.c, d = excluded.d, e = excluded.e"
MODES = {
    "all": ({}, f"UPDATE SET {ALL}"),
    "some": ({"update": ("n", "d")}, "UPDATE SET n = excluded.n, d = excluded.d"),
    "where": ({"where": "excluded.n % 2 = 0 OR t.c > 2"},
              f"UPDATE SET {ALL} WHERE excluded.n % 2 = 0 OR t.c > 2"),
    "none": ({"update": ()}, "NOTHING"),
}  # fmt: skip
TRIGGERS = {
    **{name: INDEXES[name] for name in INDEXES},
    "trigger on update": "CREATE TRIGGER u BEFORE UPDATE ON t FOR EACH ROW EXECUTE FUNCTION g()",
    "trigger after": "CREATE TRIGGER a AFTER INSERT OR UPDATE ON t FOR EACH ROW EXECUTE FUNCTION a()",
}
MORE = """
CREATE FUNCTION a() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF NEW.c = 4 THEN RAISE EXCEPTION 'no fours'; END IF;
    RETURN NULL;
END $$;
"""
DDL = """
DROP TABLE IF EXISTS t, p, q CASCADE;
CREATE TABLE p (k text PRIMARY KEY); INSERT INTO p VALUES ('x'), ('y');
CREATE TABLE q (i int, k text, PRIMARY KEY (i, k)); INSERT INTO q VALUES (1, 'x'), (2, 'y');
CREATE TABLE t (n int, k int, b int, c int, d text, e numeric);
"""
small = st.none() | st.integers(0, 4)
rows_of = st.lists(
    st.tuples(st.none() | st.integers(0, 5), small, small,
              st.sampled_from([None, "x", "y", "z", "xyz", "x ", "\x00"]),
              st.sampled_from([None, 1, 9.96, "NaN"])),
    max_size=14,
)  # fmt: skip


async def by_rows(connection, rows, clause):
    """The numbers of the rows that are taken, one after the other."""
    kept = []
    async with connection.transaction():
        await connection.execute("SET CONSTRAINTS ALL IMMEDIATE")
        for row in rows:
            try:
                async with connection.transaction():
                    await connection.execute(
                        f"INSERT INTO t VALUES ($1, $2, $3, $4, $5, $6) ON CONFLICT {clause}", *row
                    )
            except (asyncpg.PostgresError, ValueError) as error:
                if isinstance(error, asyncpg.SyntaxOrAccessError):
                    raise
                continue
            kept.append(row[0])
    return kept


def options_of(key, mode):
    if mode == "nothing":
        return "nothing", "DO NOTHING"
    options, action = MODES[mode]
    if key == "primary":
        return OnConflict(**options), f"(k) DO {action}"
    if key == "pair":
        return OnConflict(constraint="key", **options), f"ON CONSTRAINT key DO {action}"
    return OnConflict(columns=("k",), **options), f"{TARGETS[key]} DO {action}"


async def compare(connection, oracle, key, mode, parts, batches):
    option, clause = options_of(key, mode)
    if key == "pair" and mode in ("all", "where"):
        clause = clause.replace(", b = excluded.b", "")
    await connection.execute(DDL)
    await connection.execute(KEYS[key])
    for part in parts:
        await connection.execute(TRIGGERS.get(part) or f"ALTER TABLE t {PARTS[part]}")
    loading = Loading(connection, "t")
    numbered, loaded = [], []
    for batch in batches:
        rows = [(len(numbered) + i, *row) for i, row in enumerate(batch)]
        numbered += rows
        told = await loading.load(rows, on_conflict=option) if rows else {}
        loaded += [row[0] for place, row in enumerate(rows) if place not in told]
    content = "SELECT t::text FROM t ORDER BY 1"
    found = await connection.fetch(content)
    await connection.execute("DELETE FROM t")
    assert loaded == await by_rows(oracle, numbered, clause)
    assert found == await connection.fetch(content)


@pytest.mark.timeout(240)
def test_upsert_leaves_what_upserts_one_by_one_would_leave(empty_database_dsn):
    with asyncio.Runner() as runner:
        connection = runner.run(asyncpg.connect(empty_database_dsn))
        runner.run(connection.execute(ONCE + MORE))
        # Tables come and go: a plan of the last one would fail here, and pass for a bad row.
        oracle = runner.run(asyncpg.connect(empty_database_dsn, statement_cache_size=0))

        @settings(max_examples=200, deadline=None, suppress_health_check=list(HealthCheck))
        @example(  # who takes a freed key: the second record has what the third gives up
            "primary", "all", {"unique"},
            [[(1, 4, 0, None, None)], [(2, 1, 0, None, None), (2, 4, 0, None, None),
                                       (1, 0, 0, None, None)]],
        )  # fmt: skip
        @given(
            st.sampled_from(sorted(KEYS)),
            st.sampled_from(["nothing", *MODES]),
            st.sets(st.sampled_from([*PARTS, *TRIGGERS]), max_size=3),
            st.lists(rows_of, min_size=1, max_size=3),
        )
        def check(key, mode, parts, batches):
            if mode == "nothing":  # a deferrable constraint can't decide: it is refused
                parts -= {"unique deferrable"}
            runner.run(compare(connection, oracle, key, mode, sorted(parts), batches))

        check()
        runner.run(connection.close())
        runner.run(oracle.close())
