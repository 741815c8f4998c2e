"""Every kind of bad row, alone, first, last, adjacent, all, one in three: found, told, set aside."""

import datetime as dt
import decimal

import pytest

DDL = """
CREATE TYPE mood AS ENUM ('sad', 'ok');
CREATE DOMAIN even AS int CHECK (VALUE % 2 = 0);
CREATE TABLE parent (k text PRIMARY KEY);
INSERT INTO parent VALUES ('a'), ('b');
CREATE TABLE t (
    id int PRIMARY KEY,
    name varchar(5) NOT NULL,
    parent text REFERENCES parent,
    amount numeric(5,2) CHECK (amount >= 0),
    at timestamp,
    feel mood,
    pair even,
    tags int[],
    span int4range,
    UNIQUE (name, at)
);
"""
AT = dt.datetime(2013, 1, 1, 5, 15)
N = 60


def good(i):
    return (i, f"n{i}", "ab"[i % 2], decimal.Decimal("1.50"), AT, "ok", 2, [1, 2], None)


FAULTS = {
    "not null": (1, None, "23502", "null value in column"),
    "check": (3, decimal.Decimal("-1"), "23514", 'violates check constraint "t_amount_check"'),
    "foreign key": (2, "zz", "23503", "violates foreign key"),
    "wrong type": (0, "NA", "22000", "an integer is required"),
    "wrong type in a text": (1, 7, "22000", "expected str"),
    "nul": (1, "a\x00b", "22021", "0x00"),
    "surrogate": (1, "a\ud800", "22021", "surrogate"),
    "too long": (1, "toolong", "22001", "value too long"),
    "numeric overflow": (3, decimal.Decimal("999.995"), "22003", "numeric field overflow"),
    "bad number": (3, "12,5", "22000", "a number is required"),
    "integer overflow": (0, 2**31, "22003", "out of int32 range"),
    "bad timestamp": (4, "2013-13-45", "22000", "expected a date or datetime"),
    "zoned timestamp": (4, AT.replace(tzinfo=dt.UTC), "22000", "time zone"),
    "enum": (5, "happy", "22P02", "enum"),
    "domain": (6, 3, "23514", "even"),
    "array element": (7, ["x"], None, ""),
    "array of nothing": (7, "x", None, ""),
    "unknown to our tests": (8, "no range", None, ""),
    "present key": (0, 1_000_000, "23505", 'unique constraint "t_pkey"'),
    "short": (None, None, "22023", "fields"),
    "long": (None, None, "22023", "fields"),
}

PLACES = {
    "alone": lambda n: None,
    "first": lambda n: {0},
    "last": lambda n: {n - 1},
    "adjacent": lambda n: {20, 21, 22},
    "all": lambda n: set(range(n)),
    "one in three": lambda n: set(range(0, n, 3)),
}


def spoil(fault, row):
    place, value, *_ = FAULTS[fault]
    if fault == "short":
        return row[:-1]
    if fault == "long":
        return (*row, "extra")
    return (*row[:place], value, *row[place + 1 :])


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("fault", FAULTS)
async def test_load_bad_rows_are_rejected_and_all_others_loaded(loading, fault, place):
    loaded = await loading(DDL)
    await loaded.connection.execute("INSERT INTO t (id, name) VALUES (1000000, 'taken')")
    rows = [good(i) for i in range(N)]
    bad = PLACES[place](N)
    if bad is None:
        rows, bad = [good(0)], {0}
    rows = [spoil(fault, row) if i in bad else row for i, row in enumerate(rows)]
    for attempt in range(2):  # the second batch knows what to expect
        told = await loaded.load(rows)
        assert set(told) == bad
        _, _, sqlstate, words = FAULTS[fault]
        for rejection in told.values():
            assert sqlstate is None or rejection.sqlstate == sqlstate
            assert words in rejection.reason
        assert await loaded.count() == 1 + len(rows) - len(bad)
        await loaded.connection.execute("DELETE FROM t WHERE id < 1000000")


async def test_load_repeated_keys_first_good_record_wins(loading):
    loaded = await loading(DDL)
    rows = [good(1), good(2), good(1), (2, None, *good(2)[2:]), good(3), good(2)]
    assert set(await loaded.load(rows)) == {2, 3, 5}
    assert await loaded.column("id") == [1, 2, 3]


async def test_load_key_of_a_bad_record_is_free_for_a_later_one(loading):
    loaded = await loading(DDL)
    rows = [(1, None, *good(1)[2:]), good(1)]
    assert set(await loaded.load(rows)) == {0}


async def test_load_two_unique_indexes_are_walked_in_order(loading):
    """Record 1 falls to (a); so its b is free, and record 2 loads."""
    loaded = await loading("CREATE TABLE t (a int UNIQUE, b int UNIQUE)")
    assert set(await loaded.load([(1, 1), (1, 2), (2, 2), (None, None), (None, None)])) == {1}


async def test_load_several_faults_is_one_rejection_with_the_servers_first_reason(loading):
    loaded = await loading(DDL)
    row = (1, None, "zz", decimal.Decimal("-1"), AT, "ok", 2, [1], None)
    (rejection,) = (await loaded.load([row])).values()
    assert "null value in column" in rejection.reason
    assert len(rejection.reasons) == 3
    assert "Key (parent)=(zz) is not present" in rejection.reasons[-1]


async def test_load_foreign_key_to_itself_keeps_families_together(loading):
    loaded = await loading(
        "CREATE TABLE t (id int PRIMARY KEY, up int REFERENCES t, v int NOT NULL)"
    )
    rows = [
        (2, 1, 0),
        (1, None, 0),
        (3, 9, 0),
        (5, 4, 0),
        (4, 3, 0),
        (6, 6, 0),
        (7, 8, 0),
        (8, 1, None),
    ]
    assert set(await loaded.load(rows)) == {2, 3, 4, 6, 7}
    assert await loaded.column("id") == [1, 2, 6]


async def test_load_trigger_that_mends_a_row_is_respected(loading):
    loaded = await loading(
        """
        CREATE TABLE t (id int PRIMARY KEY, v int NOT NULL);
        CREATE FUNCTION mend() RETURNS trigger LANGUAGE plpgsql AS $$
        BEGIN
            IF NEW.v IS NULL AND NEW.id % 2 = 0 THEN NEW.v := 0; END IF;
            IF NEW.id = 7 THEN RAISE EXCEPTION 'seven is refused'; END IF;
            RETURN NEW;
        END $$;
        CREATE TRIGGER mend BEFORE INSERT ON t FOR EACH ROW EXECUTE FUNCTION mend();
        """
    )
    told = await loaded.load([(i, None if i < 6 else i) for i in range(10)])
    assert set(told) == {1, 3, 5, 7}
    assert told[7].reason == "seven is refused"


async def test_load_after_trigger_that_raises_is_found(loading):
    loaded = await loading(
        """
        CREATE TABLE t (id int PRIMARY KEY);
        CREATE FUNCTION no() RETURNS trigger LANGUAGE plpgsql AS $$
        BEGIN IF NEW.id IN (3, 4) THEN RAISE EXCEPTION 'no % for you', NEW.id; END IF; RETURN NULL; END $$;
        CREATE TRIGGER no AFTER INSERT ON t FOR EACH ROW EXECUTE FUNCTION no();
        """
    )
    assert set(await loaded.load([(i,) for i in range(10)])) == {3, 4}


async def test_load_exclusion_constraint_is_found(loading):
    loaded = await loading("CREATE TABLE t (r int4range, EXCLUDE USING gist (r WITH &&))")
    import asyncpg

    ranges = [(asyncpg.Range(i, i + 2),) for i in range(6)]
    assert set(await loaded.load(ranges)) == {1, 3, 5}


async def test_load_conflict_with_a_record_that_is_bad_itself_is_none(loading):
    """The second range overlaps the first, but that one has no parent: only the first is bad."""
    import asyncpg

    loaded = await loading(
        "CREATE TABLE p (k int PRIMARY KEY); "
        "CREATE TABLE t (r int4range, k int REFERENCES p, EXCLUDE USING gist (r WITH &&))"
    )
    rows = [(asyncpg.Range(0, 2), 9), (asyncpg.Range(1, 3), None), (asyncpg.Range(2, 4), None)]
    assert set(await loaded.load(rows)) == {0, 2}


async def test_load_deferred_constraints_are_checked_in_the_batch(loading):
    loaded = await loading(
        """
        CREATE TABLE p (k int PRIMARY KEY);
        CREATE TABLE t (id int PRIMARY KEY DEFERRABLE INITIALLY DEFERRED,
                        k int REFERENCES p DEFERRABLE INITIALLY DEFERRED);
        """
    )
    assert set(await loaded.load([(1, None), (1, None), (2, 5)])) == {1, 2}


async def test_load_generated_and_identity_columns_are_left_alone_or_taken(loading):
    loaded = await loading(
        """
        CREATE TABLE t (id int GENERATED ALWAYS AS IDENTITY PRIMARY KEY, v int NOT NULL,
                        twice int GENERATED ALWAYS AS (v * 2) STORED CHECK (twice < 100));
        """
    )
    assert set(await loaded.load([(10, 1), (11, None), (12, 60)])) == {1, 2}
    assert set(await loaded.load([{"v": 5}, {"v": None}, {"v": 7}])) == {1}
    assert await loaded.column("twice") == [2, 10, 14]


async def test_load_partitioned_target_without_a_partition_for_a_row(loading):
    loaded = await loading(
        """
        CREATE TABLE t (id int NOT NULL, at date NOT NULL) PARTITION BY RANGE (at);
        CREATE TABLE t1 PARTITION OF t (CHECK (id <> 4)) FOR VALUES FROM ('2013-01-01') TO ('2014-01-01');
        """
    )
    inside, outside = dt.date(2013, 5, 5), dt.date(2020, 1, 1)
    rows = [(1, inside), (2, outside), (3, inside), (4, inside), (None, inside)]
    assert set(await loaded.load(rows)) == {1, 3, 4}


async def test_load_partial_and_expression_indexes_are_understood(loading):
    loaded = await loading(
        """
        CREATE TABLE t (id int, name text, live bool);
        CREATE UNIQUE INDEX live_name ON t (lower(name)) WHERE live;
        INSERT INTO t VALUES (0, 'ANNA', true);
        """
    )
    rows = [
        (1, "Anna", True),
        (2, "anna", False),
        (3, "Bob", True),
        (4, "BOB", True),
        (5, "bob", False),
    ]
    assert set(await loaded.load(rows)) == {0, 3}


async def test_load_nulls_not_distinct_is_found(loading):
    loaded = await loading("CREATE TABLE t (a int, UNIQUE NULLS NOT DISTINCT (a))")
    assert set(await loaded.load([(None,), (1,), (None,), (1,)])) == {2, 3}


async def test_load_after_other_statements_keeps_them(loading):
    """A failed COPY goes back to a savepoint, not to the start of the user's transaction."""
    loaded = await loading("CREATE TABLE t (id int PRIMARY KEY); CREATE TABLE log (n int)")

    async def before(tx):
        await tx.execute("INSERT INTO log VALUES (1)")

    assert set(await loaded.load([(1,), (1,)], after=before)) == {1}
    assert await loaded.connection.fetchval("SELECT count(*) FROM log") == 1


async def test_load_mappings_that_lack_or_add_a_key_are_misfits(loading):
    loaded = await loading("CREATE TABLE t (id int, v int)")
    rows = [{"id": 1, "v": 1}, {"id": 2}, {"id": 3, "v": 3, "w": 4}, {"v": 5, "id": 4}, 7]
    told = await loaded.load(rows)
    assert set(told) == {1, 2, 4}
    assert "lacks 'v'" in told[1].reason
    assert await loaded.column("id") == [1, 4]


async def test_load_unknown_table_or_column_says_what_is_there(loading):
    from seawall.errors import MissingTableError

    loaded = await loading("CREATE TABLE t (id int, amount int)")
    with pytest.raises(MissingTableError, match="did you mean 'amount'"):
        await loaded.load([{"id": 1, "amonut": 2}])
    loaded.table = "nowhere"
    with pytest.raises(MissingTableError, match="no table 'nowhere'"):
        await loaded.load([(1, 2)])


async def test_load_weird_names_are_quoted(loading):
    loaded = await loading(
        'CREATE SCHEMA "my ""s"; CREATE TABLE "my ""s"."t.1" ("a ""b" int NOT NULL, "SELECT" int UNIQUE)',
        '"my ""s"."t.1"',
    )
    assert set(await loaded.load([(1, 1), (None, 2), (3, 1)])) == {1, 2}


async def test_load_error_that_is_no_records_fault_is_raised(loading):
    import asyncpg

    loaded = await loading(
        "CREATE TABLE t (id int PRIMARY KEY); CREATE ROLE weak_{0}".format(id(object()))
    )
    await loaded.connection.execute("ALTER TABLE t ALTER id SET DEFAULT 0")
    role = await loaded.connection.fetchval(
        "SELECT rolname FROM pg_roles WHERE rolname LIKE 'weak_%' ORDER BY oid DESC LIMIT 1"
    )
    await loaded.connection.execute(f"SET ROLE {role}")
    with pytest.raises(asyncpg.InsufficientPrivilegeError):
        await loaded.load([(1,), (1,)])
    await loaded.connection.execute("RESET ROLE")
    assert await loaded.count() == 0
    await loaded.connection.execute(f"DROP ROLE {role}")


@pytest.mark.parametrize(
    "ddl",
    [
        'CREATE TABLE t (id int PRIMARY KEY, "seawall#n" int NOT NULL)',
        "CREATE TABLE t (id int PRIMARY KEY, v int NOT NULL, CONSTRAINT w CHECK (t IS NOT NULL))",
        "CREATE TABLE t (n int PRIMARY KEY, k0 int NOT NULL CHECK (k0 > 0), UNIQUE (k0, n))",
        "CREATE TEMP TABLE t (id int PRIMARY KEY, v int NOT NULL)",
        "CREATE TABLE t (id int PRIMARY KEY, v int NOT NULL); CREATE TABLE child () INHERITS (t); "
        "INSERT INTO child VALUES (2, 2)",
        "CREATE UNLOGGED TABLE t (id int, v int NOT NULL, PRIMARY KEY (id) INCLUDE (v))",
        "CREATE TABLE base (id int PRIMARY KEY, v int NOT NULL); CREATE VIEW t AS TABLE base; "
        "CREATE FUNCTION put() RETURNS trigger LANGUAGE plpgsql AS "
        "$$ BEGIN INSERT INTO base VALUES (NEW.id, NEW.v); RETURN NEW; END $$; "
        "CREATE TRIGGER put INSTEAD OF INSERT ON t FOR EACH ROW EXECUTE FUNCTION put()",
        "CREATE TABLE t (id int PRIMARY KEY, v int NOT NULL); CREATE TABLE log (n bigint); "
        "CREATE FUNCTION note() RETURNS trigger LANGUAGE plpgsql AS "
        "$$ BEGIN INSERT INTO log SELECT count(*) FROM fresh; RETURN NULL; END $$; "
        "CREATE TRIGGER note AFTER INSERT ON t REFERENCING NEW TABLE AS fresh "
        "FOR EACH STATEMENT EXECUTE FUNCTION note()",
    ],
    ids=[
        "our column",
        "whole row",
        "our aliases",
        "temporary",
        "inherited",
        "include",
        "view",
        "statement",
    ],
)
async def test_load_odd_targets_still_come_out_right(loading, ddl):
    loaded = await loading(ddl)
    rows = [(1, 1), (2, None), (3, 3), (3, 4), (4, 4)]
    for attempt in range(2):
        assert set(await loaded.load(rows)) == {1, 3}
        assert {1, 3, 4} <= {row[0] for row in await loaded.connection.fetch("SELECT * FROM t")}
        target = "base" if "VIEW" in ddl else "ONLY t"
        assert await loaded.connection.execute(f"DELETE FROM {target}") == "DELETE 3"


async def test_load_table_altered_and_made_anew_between_batches(loading):
    loaded = await loading("CREATE TABLE t (id int PRIMARY KEY, v int NOT NULL)")
    assert set(await loaded.load([(1, None), (2, 2)])) == {0}
    await loaded.connection.execute("ALTER TABLE t ALTER v DROP NOT NULL, ADD CHECK (id < 10)")
    assert set(await loaded.load([(3, None), (40, 4)])) == {1}
    await loaded.connection.execute(
        "DROP TABLE t; CREATE TABLE t (id int PRIMARY KEY, v int CHECK (v > 0))"
    )
    assert set(await loaded.load([(3, None), (4, 0), (3, 1)])) == {1, 2}


async def test_load_other_shapes_of_records(loading):
    loaded = await loading("CREATE TABLE t (id int PRIMARY KEY, v int NOT NULL)")
    assert await loaded.load([]) == {}
    records = await loaded.connection.fetch(
        "SELECT i AS id, nullif(i, 2) AS v FROM generate_series(1, 3) i"
    )
    assert set(await loaded.load(records)) == {1}
    assert set(await loaded.load([[4, 4], [5, None]])) == {1}
