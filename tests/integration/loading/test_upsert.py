"""Upserts: what they go by, what they refuse, and the bad records among them."""

import datetime as dt
import json

import asyncpg
import pytest

from integration.loading.test_every_fault import DDL, FAULTS, PLACES, N, good, spoil
from seawall.conflict import OnConflict
from seawall.errors import InvalidConfigError, MissingTableError


async def rows(loaded, query="SELECT * FROM t ORDER BY 1"):
    return [tuple(row) for row in await loaded.connection.fetch(query)]


@pytest.mark.parametrize("place", ["alone", "first", "adjacent", "all", "one in three"])
@pytest.mark.parametrize("fault", [fault for fault in FAULTS if fault != "present key"])
async def test_upsert_bad_rows_are_rejected_and_all_others_loaded(loading, fault, place):
    """Half of the keys are there already: a bad record leaves its row as it was."""
    loaded = await loading(DDL)
    before = [(i, f"old{i}"[:5], *good(i)[2:]) for i in range(0, N, 2)]
    assert await loaded.load(before) == {}
    records = [good(i) for i in range(N)]
    bad = PLACES[place](N)
    if bad is None:
        records, bad = [good(0)], {0}
    records = [spoil(fault, row) if i in bad else row for i, row in enumerate(records)]
    for _ in range(2):  # the second batch knows what to expect
        told = await loaded.load(records, on_conflict="update")
        assert set(told) == bad
        _, _, sqlstate, words = FAULTS[fault]
        for rejection in told.values():
            assert sqlstate is None or rejection.sqlstate == sqlstate
            assert words in rejection.reason
        expected = {row[0]: row[1] for row in before}
        expected |= {i: f"n{i}" for i, _ in enumerate(records) if i not in bad}
        assert dict(await rows(loaded, "SELECT id, name FROM t ORDER BY id")) == expected


async def test_upsert_other_unique_index_is_violated_in_the_records_order(loading):
    """A key that an earlier record gives up is free for a later one, and not before."""
    loaded = await loading(
        "CREATE TABLE t (k int PRIMARY KEY, b int UNIQUE, v text);"
        "INSERT INTO t VALUES (1, 10), (2, 20), (3, 30)"
    )
    batch = [(4, 10, "a"), (1, 11, "b"), (5, 10, "c"), (2, 30, "d"), (3, 33, "e"), (6, 6, "f"),
             (7, 6, "g"), (8, 8, "h")]  # fmt: skip
    told = await loaded.load(batch, on_conflict="update")
    assert set(told) == {0, 3, 6}
    assert {each.constraint_name for each in told.values()} == {"t_b_key"}
    assert "Key (b)=(10) already exists" in told[0].reasons[0]
    assert await rows(loaded) == [
        (1, 11, "b"), (2, 20, None), (3, 33, "e"), (5, 10, "c"), (6, 6, "f"), (8, 8, "h"),
    ]  # fmt: skip


@pytest.mark.parametrize("count", [2, 5, 40])
async def test_upsert_repeated_keys_the_last_good_one_stays(loading, count):
    loaded = await loading("CREATE TABLE t (k int PRIMARY KEY, v int CHECK (v >= 0), w int)")
    for start in (0, 1000):
        batch = [(i % 7, start + i, i) for i in range(7 * count)]
        batch[-1] = (6, -1, 0)
        assert set(await loaded.load(batch, on_conflict="update")) == {7 * count - 1}
        last = 7 * count - 7
        expected = [(k, start + last + k, last + k) for k in range(6)]
        assert await rows(loaded) == [*expected, (6, start + last - 1, last - 1)]


async def test_upsert_some_columns_of_repeated_keys_as_if_one_by_one(loading):
    """The first of two new records inserts, the second updates what is named: not simply the last."""
    loaded = await loading("CREATE TABLE t (k int PRIMARY KEY, a int, b int)")
    option = OnConflict(update=("a",))
    assert await loaded.load([(1, 1, 1), (1, 2, 2), (2, 9, 9)], on_conflict=option) == {}
    assert await rows(loaded) == [(1, 2, 1), (2, 9, 9)]


async def test_upsert_where_keeps_newer_rows(loading):
    loaded = await loading("CREATE TABLE t (k int PRIMARY KEY, at date)")
    day = lambda n: dt.date(2013, 1, n)  # noqa: E731
    option = OnConflict(where="excluded.at > t.at")
    await loaded.load([(1, day(5)), (2, day(5))], on_conflict=option)
    await loaded.load([(1, day(4)), (2, day(6)), (2, day(3))], on_conflict=option)
    assert await rows(loaded) == [(1, day(5)), (2, day(6))]


async def test_upsert_column_that_is_not_loaded_takes_its_default(loading):
    loaded = await loading(
        "CREATE TABLE t (k int PRIMARY KEY, v int, seen int DEFAULT 7); INSERT INTO t VALUES (1, 1, 1)"
    )
    option = OnConflict(columns=("k",), update=("v", "seen"))
    await loaded.load([{"k": 1, "v": 2}], on_conflict=option)
    await loaded.load([{"k": 2, "v": 2}], on_conflict="update")
    await loaded.load([{"k": 2, "v": 3}], on_conflict="update")
    assert await rows(loaded) == [(1, 2, 7), (2, 3, 7)]


async def test_upsert_nothing_passes_over_any_key(loading):
    loaded = await loading(
        "CREATE TABLE p (k int PRIMARY KEY); CREATE TABLE t (k int PRIMARY KEY, b int UNIQUE, "
        "c int REFERENCES p CHECK (c < 9)); INSERT INTO t VALUES (1, 1)"
    )
    batch = [(1, 5, None), (2, 1, 4), (3, 3, None), (3, 4, None), (4, 4, 4), (4, 7, None),
             (1, 1, 9)]  # fmt: skip
    told = await loaded.load(batch, on_conflict="nothing")
    assert {n: each.sqlstate for n, each in told.items()} == {4: "23503", 6: "23514"}
    assert await rows(loaded) == [(1, 1, None), (3, 3, None), (4, 7, None)]


@pytest.mark.parametrize(
    ("ddl", "option", "expected"),
    [
        ("CREATE TABLE t (k int, v int); CREATE UNIQUE INDEX live ON t (k) WHERE v > 0",
         OnConflict(columns=["k"]), [(1, 0), (1, 0), (1, 2)]),
        ("CREATE TABLE t (k int, v int); CREATE UNIQUE INDEX live ON t ((k % 2)) WHERE v > 0",
         OnConflict(constraint="live", update=("v",)), [(1, 0), (1, 0), (1, 2)]),
        ("CREATE TABLE t (k int, v int, EXCLUDE (k WITH =) WHERE (v > 0))",
         OnConflict(constraint="t_k_excl", update=()), [(1, 0), (1, 0), (1, 1)]),
        ("CREATE TABLE t (k int, v int, PRIMARY KEY (v, k))", "update", [(1, 0), (1, 1), (1, 2)]),
        ("CREATE TABLE t (k int, v int, PRIMARY KEY (k)) PARTITION BY HASH (k); CREATE TABLE t0 "
         "PARTITION OF t FOR VALUES WITH (MODULUS 2, REMAINDER 0); CREATE TABLE t1 PARTITION OF t "
         "FOR VALUES WITH (MODULUS 2, REMAINDER 1)", "update", [(1, 2)]),
        ("CREATE TABLE t (k int PRIMARY KEY, v int); CREATE UNIQUE INDEX twin ON t (k)",
         "update", [(1, 2)]),
        ("CREATE DOMAIN small AS int CHECK (VALUE < 9); CREATE TABLE t (k small PRIMARY KEY, v small)",
         "update", [(1, 2)]),
        ("CREATE TABLE t (k int GENERATED ALWAYS AS IDENTITY PRIMARY KEY, v int, "
         "w int GENERATED ALWAYS AS (v * 2) STORED)", "update", [(1, 2, 4)]),
        ("CREATE TEMP TABLE t (k int PRIMARY KEY, v int)", "update", [(1, 2)]),
        ("CREATE TABLE t (k int PRIMARY KEY, v int); CREATE TABLE child () INHERITS (t)",
         "update", [(1, 2)]),
    ],
    ids=["partial", "expression", "exclusion", "pair", "partitioned", "twin", "domain",
         "generated", "temporary", "inherited"],
)  # fmt: skip
async def test_upsert_goes_by_any_index(loading, ddl, option, expected):
    loaded = await loading(ddl)
    for _ in range(2):
        await loaded.load([(1, 0)], on_conflict=option)
        assert await loaded.load([(1, 0), (1, 1), (1, 2)], on_conflict=option) == {}
        found = await rows(loaded, "SELECT * FROM t ORDER BY k, v")
        assert sorted(set(found)) == sorted(set(expected))
        told = await loaded.load([(7, 1), ("x", 2), (7, 3)], on_conflict=option)
        assert set(told) == {1}
        await loaded.connection.execute("DELETE FROM t")


async def test_upsert_lists_where_a_number_belongs_make_no_more_rows(loading):
    """An array of lists is one of two dimensions to the driver, and would be laid flat."""
    loaded = await loading("CREATE TABLE t (k int, v int, PRIMARY KEY (k))")
    told = await loaded.load([([1, 2], [1, 2]), ([3, 4], [3, 4])], on_conflict="update")
    assert set(told) == {0, 1}
    assert await loaded.count() == 0


async def test_upsert_arrays_and_users_codecs_arrive_whole(loading):
    loaded = await loading(
        "CREATE TABLE t (k int PRIMARY KEY, v int[], j jsonb, b bit(3), c char(2))"
    )
    await loaded.connection.set_type_codec(
        "jsonb", encoder=json.dumps, decoder=json.loads, schema="pg_catalog"
    )
    batch = [
        (1, [1, 2], [[1], [2]], asyncpg.BitString("101"), "a"),
        (2, [], {"a": [1]}, None, "b "),
    ]
    for _ in range(2):
        assert await loaded.load(batch, on_conflict="update") == {}
        assert await rows(loaded, "SELECT k, v, j, b, trim(c) FROM t ORDER BY 1") == [
            (*row[:4], row[4].strip()) for row in batch
        ]
    assert set(await loaded.load([(1, [], 1, None, "abc"), (2, [], 2, asyncpg.BitString("1"), "")],
                                 on_conflict="update")) == {0, 1}  # fmt: skip


async def test_upsert_weird_names_and_conditions_are_quoted(loading):
    loaded = await loading(
        'CREATE TABLE "my ""t" ("k {0}" int PRIMARY KEY, "SELECT" text NOT NULL, "it\'s $$" int '
        'CHECK ("it\'s $$" > 0))',
        '"my ""t"',
    )
    option = OnConflict(where="excluded.\"SELECT\" <> E'it''s \\\\ {x} $$'")
    batch = [(1, "a", 1), (1, "it's \\ {x} $$", 2), (2, None, 1), (1, "c", 0)]
    for _ in range(2):
        assert set(await loaded.load(batch, on_conflict=option)) == {2, 3}
    assert await rows(loaded, 'SELECT * FROM "my ""t"') == [(1, "a", 1)]


async def test_upsert_triggers_are_fired_for_each_record(loading):
    loaded = await loading(
        """
        CREATE TABLE t (k int PRIMARY KEY, v int); CREATE TABLE log (what text, k int, v int);
        CREATE FUNCTION note() RETURNS trigger LANGUAGE plpgsql AS $$
        BEGIN
            IF NEW.v = 13 THEN RAISE EXCEPTION USING ERRCODE = 'UX001', MESSAGE = 'unlucky'; END IF;
            INSERT INTO log VALUES (TG_OP, NEW.k, NEW.v); RETURN NULL;
        END $$;
        CREATE TRIGGER note AFTER INSERT OR UPDATE ON t FOR EACH ROW EXECUTE FUNCTION note();
        """
    )
    batch = [(1, 1), (2, 13), (1, 13), (1, 2), (3, 3)]
    told = await loaded.load(batch, on_conflict="update")
    assert {n: (each.sqlstate, each.reason) for n, each in told.items()} == {
        1: ("UX001", "unlucky"), 2: ("UX001", "unlucky"),
    }  # fmt: skip
    assert sorted(await rows(loaded, "SELECT * FROM log")) == [
        ("INSERT", 1, 1), ("INSERT", 3, 3), ("UPDATE", 1, 2),
    ]  # fmt: skip


async def test_upsert_twice_in_a_transaction_and_beside_other_statements(loading):
    loaded = await loading("CREATE TABLE t (k int PRIMARY KEY, v int NOT NULL)")

    async def before(tx):
        await tx.execute("INSERT INTO t VALUES (9, 9)")
        assert await tx.load("t", [(1, 1), (2, 2), (1, 3)], on_conflict="update") == 3
        assert await tx.load("t", [(1, 4), (3, 3)], on_conflict="nothing") == 2

    assert set(await loaded.load([(1, 5), (4, None)], after=before, on_conflict="update")) == {1}
    assert await rows(loaded) == [(1, 5), (2, 2), (3, 3), (9, 9)]


async def test_upsert_without_temporary_tables_is_slower_and_right(loading):
    loaded = await loading(
        "CREATE TABLE t (k int PRIMARY KEY, v int NOT NULL); CREATE ROLE no_temp_{0}; "
        "GRANT ALL ON t TO no_temp_{0}".format(id(loading))
    )
    database = await loaded.connection.fetchval("SELECT current_database()")
    await loaded.connection.execute(f'REVOKE TEMPORARY ON DATABASE "{database}" FROM public')
    await loaded.connection.execute(f"SET ROLE no_temp_{id(loading)}")
    assert set(await loaded.load([(1, 1), (1, None), ("x", 1), (1, 2)], on_conflict="update")) == {
        1,
        2,
    }
    assert await rows(loaded) == [(1, 2)]
    await loaded.connection.execute("RESET ROLE; REVOKE ALL ON t FROM no_temp_{0}; "
                                    "DROP ROLE no_temp_{0}".format(id(loading)))  # fmt: skip


async def test_upsert_index_dropped_between_batches_is_told(loading):
    loaded = await loading("CREATE TABLE t (k int PRIMARY KEY, v int)")
    await loaded.load([(1, 1)], on_conflict="update")
    await loaded.connection.execute("ALTER TABLE t DROP CONSTRAINT t_pkey")
    with pytest.raises(asyncpg.PostgresError, match="no unique or exclusion constraint"):
        await loaded.load([(1, 2)], on_conflict="update")


@pytest.mark.parametrize(
    ("option", "kind", "words"),
    [
        ("upsert", InvalidConfigError, "must be 'nothing', 'update', an OnConflict, or None"),
        (["k"], InvalidConfigError, "must be 'nothing'"),
        (OnConflict(columns=("v",)), InvalidConfigError, r"no unique index .* is on \(v\); it has: t_pkey \(k\); late \(b\)"),
        (OnConflict(columns=("vv",)), MissingTableError, "did you mean 'v'"),
        (OnConflict(update=("vv",)), MissingTableError, "did you mean 'v'"),
        (OnConflict(constraint="nope"), InvalidConfigError, "is called 'nope'"),
        (OnConflict(constraint="late"), InvalidConfigError, "late .* is deferrable and can't decide"),
        ("nothing", InvalidConfigError, "late .* is deferrable .* name the key"),
        (OnConflict(constraint="apart"), InvalidConfigError, r"give update=\(\)"),
        (OnConflict(update=("w",)), InvalidConfigError, "generated always"),
    ],
)  # fmt: skip
async def test_upsert_that_does_not_fit_the_table_says_what_would(loading, option, kind, words):
    loaded = await loading(
        "CREATE TABLE t (k int PRIMARY KEY, v int, b int, w int GENERATED ALWAYS AS (v) STORED, "
        "CONSTRAINT late UNIQUE (b) DEFERRABLE, CONSTRAINT apart EXCLUDE (v WITH =))"
    )
    with pytest.raises(kind, match=words):
        await loaded.load([(1, 1, 1)], on_conflict=option)
    assert await loaded.count() == 0


async def test_upsert_table_without_key_view_or_unloaded_key_is_told(loading):
    loaded = await loading(
        "CREATE TABLE t (k int, v int); CREATE VIEW w AS TABLE t; CREATE TABLE u (k int PRIMARY KEY, v int)"
    )
    with pytest.raises(
        InvalidConfigError, match="no unique index .* is its primary key; it has: none"
    ):
        await loaded.load([(1, 1)], on_conflict="update")
    loaded.table = "w"
    with pytest.raises(InvalidConfigError, match="is a view"):
        await loaded.load([(1, 1)], on_conflict="nothing")
    loaded.table = "u"
    with pytest.raises(InvalidConfigError, match="the load has no column 'k'"):
        await loaded.load([{"v": 1}], on_conflict="update")


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"columns": "id"}, "must be a list of column names"),
        ({"columns": ()}, "must name the columns"),
        ({"update": ("a", "a")}, "different column names"),
        ({"update": [1]}, "different column names"),
        ({"columns": ("a",), "constraint": "b"}, "give one of them"),
        ({"constraint": ""}, "must be a text"),
        ({"where": 7}, "must be a text"),
        ({"update": (), "where": "true"}, "leaves nothing to it"),
    ],
)
def test_on_conflict_of_wrong_options_says_what_is_right(options, words):
    with pytest.raises(InvalidConfigError, match=words):
        OnConflict(**options)
