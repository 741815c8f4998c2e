"""Migrations: by many at once, checked, refused, undone."""

import asyncio
import shutil

import asyncpg
import pytest

from seawall.clock import utc_now
from seawall.errors import MigrationError, UnsupportedServerError
from seawall.postgres import migrate as module
from seawall.postgres.migrate import migrate, migrations, pending, render_schema, sql_folder
from seawall.postgres.partitions import PARTITIONED

CATALOG = """
SELECT c.relname, a.attname, format_type(a.atttypid, a.atttypmod), a.attnotnull,
       pg_get_expr(d.adbin, d.adrelid), col_description(c.oid, a.attnum), c.reloptions,
       obj_description(c.oid, 'pg_class'), pg_get_partkeydef(c.oid), pg_get_indexdef(c.oid),
       (SELECT array_agg(conname || pg_get_constraintdef(k.oid) ORDER BY conname)
        FROM pg_constraint k WHERE conrelid = c.oid AND conparentid = 0)
FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0
LEFT JOIN pg_attrdef d ON d.adrelid = c.oid AND d.adnum = a.attnum
WHERE n.nspname = 'seawall' AND c.relkind IN ('r', 'p', 'i', 'I')
  AND c.relname !~ '_[0-9]{4}_[0-9]{2}'
ORDER BY 1, 2
"""


@pytest.fixture
async def connection(empty_database_dsn):
    connection = await asyncpg.connect(empty_database_dsn)
    yield connection
    await connection.close()


@pytest.mark.parametrize("isolation", ["read committed", "repeatable read", "serializable"])
async def test_migrate_twenty_workers_at_once_apply_each_once(
    connection, empty_database_dsn, isolation
):
    """Whatever the database's default isolation: each sees what the one before it did."""
    database = await connection.fetchval("SELECT current_database()")
    await connection.execute(
        f"ALTER DATABASE {database} SET default_transaction_isolation = '{isolation}'"
    )

    async def worker():
        connection = await asyncpg.connect(empty_database_dsn)
        try:
            return await migrate(connection)
        finally:
            await connection.close()

    applied = await asyncio.gather(*(worker() for _ in range(20)))
    assert sorted(sum(applied, [])) == [each.name for each in migrations()]


async def test_migrate_up_to_date_takes_no_lock_and_applies_nothing(connection, empty_database_dsn):
    await migrate(connection)
    other = await asyncpg.connect(empty_database_dsn)
    async with other.transaction():
        await other.execute(module._LOCK.replace("$1", "'seawall migrations seawall'"))
        assert await asyncio.wait_for(migrate(connection), 5) == []
        assert await pending(connection) == []
    await other.close()


async def test_schema_file_is_what_the_command_prints_and_gives_the_same_catalog(
    connection, database_dsn
):
    text = (sql_folder() / "schema.sql").read_text()
    assert text == render_schema(), "run: seawall schema > sql/schema.sql"
    await connection.execute(text)
    assert await pending(connection) == []
    assert await migrate(connection) == []
    migrated = await asyncpg.connect(database_dsn)
    assert await connection.fetch(CATALOG) == await migrated.fetch(CATALOG)
    await migrated.close()


async def test_migrate_odd_schema_name_is_quoted(connection):
    name = 'weird "name".{key}{default}{partition}{schema}'
    assert await migrate(connection, name)
    assert await migrate(connection, name) == []
    assert (
        await connection.fetchval("SELECT count(*) FROM pg_namespace WHERE nspname = $1", name) == 1
    )
    assert await connection.fetchval("SHOW search_path") == '"$user", public'


async def test_migrate_altered_file_is_refused_by_name(connection, monkeypatch, tmp_path):
    await migrate(connection)
    folder = tmp_path / "migrations"
    shutil.copytree(sql_folder() / "migrations", folder)
    monkeypatch.setattr(module, "sql_folder", lambda: tmp_path)
    path = folder / "0001_pre_initial.sql"
    path.write_text(path.read_text() + "\n-- altered")
    with pytest.raises(MigrationError, match="0001_pre_initial differs from the one applied"):
        await migrate(connection)


async def test_migrate_database_newer_than_the_library_is_refused(connection, monkeypatch):
    await migrate(connection)
    await connection.execute(
        "INSERT INTO seawall.schema_migrations VALUES (9002, '9002_post_later', 'x', now(), '9')"
    )
    with pytest.raises(MigrationError, match=r"newer than seawall .* \(it has 9002_post_later\)"):
        await migrate(connection)


async def test_migrate_that_fails_half_way_leaves_nothing_of_itself(
    connection, monkeypatch, tmp_path
):
    folder = tmp_path / "migrations"
    shutil.copytree(sql_folder() / "migrations", folder)
    number = len(list(folder.iterdir())) + 1
    name = f"{number:04}_post_broken"
    (folder / f"{name}.sql").write_text("CREATE TABLE half (n int); SELECT 1 / 0;")
    monkeypatch.setattr(module, "sql_folder", lambda: tmp_path)
    with pytest.raises(asyncpg.DivisionByZeroError):
        await migrate(connection)
    assert await connection.fetchval("SELECT to_regclass('seawall.half')") is None
    assert await pending(connection) == [name]
    (folder / f"{name}.sql").write_text("CREATE TABLE half (n int);")
    assert await migrate(connection) == [name]
    (folder / f"{number + 2:04}_pre_gap.sql").write_text("")
    with pytest.raises(MigrationError, match="without gaps"):
        await pending(connection)


async def test_migrate_without_the_right_to_create_says_so(connection):
    role = f"weak_{id(connection)}"
    await connection.execute(f"CREATE ROLE {role}; SET ROLE {role}")
    try:
        with pytest.raises(MigrationError, match="run `seawall migrate` once with a role that may"):
            await migrate(connection)
    finally:
        await connection.execute(f"RESET ROLE; DROP ROLE {role}")
    assert await connection.fetchval("SELECT to_regnamespace('seawall')") is None


async def test_migrate_schema_made_by_an_administrator_needs_no_right_on_the_database(connection):
    role = f"owner_{id(connection)}"
    await connection.execute(
        f"CREATE ROLE {role}; CREATE SCHEMA seawall AUTHORIZATION {role}; SET ROLE {role}"
    )
    try:
        assert await migrate(connection) == [each.name for each in migrations()]
    finally:
        await connection.execute(f"RESET ROLE; DROP OWNED BY {role} CASCADE; DROP ROLE {role}")


async def test_migrate_server_that_takes_no_writes_is_refused_with_what_to_do(connection):
    await connection.execute("SET default_transaction_read_only = on")
    with pytest.raises(MigrationError, match="takes no writes .* pass the DSN of the primary"):
        await migrate(connection)


async def test_migrate_up_to_date_server_that_takes_no_writes_is_left_as_it_is(connection):
    """As a standby, in a month that has no partition yet."""
    await migrate(connection)
    for table in PARTITIONED:
        await connection.execute(f"DROP TABLE seawall.{table}_{utc_now():%Y_%m}")
    await connection.execute("SET default_transaction_read_only = on")
    assert await migrate(connection) == []


async def test_migrate_older_server_is_refused_with_what_to_do():
    class Old:
        def get_server_version(self):
            return asyncpg.types.ServerVersion(14, 9, 0, "final", 0)

    with pytest.raises(UnsupportedServerError, match="PostgreSQL 14.9; seawall needs 15 or newer"):
        await migrate(Old())


async def test_migrate_up_to_date_still_makes_the_partitions_that_are_due(connection):
    await migrate(connection)
    names = await connection.fetch(
        "SELECT inhrelid::regclass::text AS name FROM pg_inherits "
        "WHERE inhparent = 'seawall.error_details'::regclass"
    )
    newest = max(row["name"] for row in names if "default" not in row["name"])
    await connection.execute(f"DROP TABLE {newest}")
    assert await migrate(connection) == []
    assert await connection.fetchval("SELECT to_regclass($1) IS NOT NULL", newest)
