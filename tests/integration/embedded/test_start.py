"""Where the embedded server can be started: users, folders, paths, races."""

import asyncio
import os
import stat
import subprocess
import sys
from pathlib import Path

import asyncpg
import pytest

from integration.embedded.conftest import query
from seawall.errors import EmbeddedServerError
from seawall.postgres.embedded import binaries as wheel
from seawall.postgres.embedded import default_root, status

pytestmark = pytest.mark.timeout(60)
as_root = pytest.mark.skipif(os.geteuid() != 0, reason="needs root")

CLIENT = """
import asyncio, sys
from seawall.postgres.embedded import EmbeddedServer
import asyncpg
async def main():
    server = await EmbeddedServer(sys.argv[1]).start()
    connection = await asyncpg.connect(**server.connect_kwargs())
    print(await connection.fetchval("SELECT pg_postmaster_start_time()::text"), flush=True)
    await connection.close()
    sys.stdin.readline()
    await server.aclose()
asyncio.run(main())
"""


def client(root, **options):
    return subprocess.Popen(
        [sys.executable, "-c", CLIENT, str(root)],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, **options,
    )  # fmt: skip


async def test_start_new_folder_makes_a_durable_cluster_and_attaching_is_the_same(cluster):
    first, second = cluster.server(), cluster.server()
    await first.start()
    assert await query(first, "SHOW server_encoding") == "UTF8"
    for setting, value in {
        "fsync": "on", "full_page_writes": "on", "synchronous_commit": "on",
        "data_checksums": "on", "listen_addresses": "",
    }.items():  # fmt: skip
        assert await query(first, f"SHOW {setting}") == value
    started = await query(first, "SELECT pg_postmaster_start_time()")
    await second.start()
    assert await query(second, "SELECT pg_postmaster_start_time()") == started
    assert await query(second) == 1


async def test_start_keeps_secrets_from_others(cluster):
    server = await cluster.server().start()
    assert stat.S_IMODE((cluster.root / "instance.json").stat().st_mode) == 0o600
    assert stat.S_IMODE(Path(server.connect_kwargs()["host"]).stat().st_mode) == 0o700
    assert not (cluster.root / "password.tmp").exists()
    with pytest.raises(asyncpg.InvalidPasswordError):
        await asyncpg.connect(**{**server.connect_kwargs(), "password": "guess"})


@pytest.mark.parametrize("name", ["with space", 'quote\'s "x"', "per%cent", "ünï"])
async def test_start_odd_folder_names_work(make_cluster, name):
    cluster = make_cluster(name)
    server = await cluster.server().start()
    assert await query(server) == 1
    connection = await asyncpg.connect(server.dsn())
    await connection.close()


async def test_start_path_too_long_for_a_socket_uses_a_private_folder(make_cluster):
    cluster = make_cluster("x" * 60, "y" * 60)
    server = await cluster.server().start()
    folder = Path(server.connect_kwargs()["host"])
    assert folder.parent == Path("/tmp")
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert await query(server) == 1
    if os.geteuid() == 0:
        # Another user can't even reach the socket, let alone log in.
        code = "import socket, sys; socket.socket(socket.AF_UNIX).connect(sys.argv[1])"
        stranger = subprocess.run(
            ["/usr/bin/env", "python3", "-c", code, str(folder / ".s.PGSQL.5432")],
            user=65534, group=65534, extra_groups=[], capture_output=True, text=True,
            env={"PATH": "/usr/bin:/bin"}, cwd="/",
        )  # fmt: skip
        assert "PermissionError" in stranger.stderr


async def test_start_socket_folder_that_was_cleaned_away_is_made_again(make_cluster):
    cluster = make_cluster("x" * 60, "y" * 60)
    server = await cluster.server().start()
    folder = Path(server.connect_kwargs()["host"])
    await server.aclose(wait=True)
    folder.rmdir()
    await server.start()
    assert await query(server) == 1


async def test_start_six_processes_at_once_share_one_server(cluster):
    clients = [client(cluster.root) for _ in range(6)]
    answers = [await asyncio.to_thread(each.stdout.readline) for each in clients]
    assert len(set(answers)) == 1
    assert answers[0]
    for each in clients:
        each.communicate("\n")
    cluster.wait_until_stopped()


async def test_start_many_tasks_at_once_share_one_lock(cluster):
    server = cluster.server()
    await asyncio.gather(*(server.start() for _ in range(10)))
    assert await query(server) == 1
    await server.aclose(wait=True)
    assert not cluster.is_running()


@as_root
async def test_start_as_root_runs_as_somebody_else_and_adds_nobody(cluster):
    before = Path("/etc/passwd").read_bytes()
    await cluster.server().start()
    uid = Path(f"/proc/{cluster.postmaster()}").stat().st_uid
    assert uid != 0
    assert Path("/etc/passwd").read_bytes() == before


@as_root
async def test_start_as_root_under_a_closed_folder_is_refused_and_changes_no_mode(make_cluster):
    cluster = make_cluster("closed", "server")
    closed = cluster.root.parent
    closed.mkdir(mode=0o700)
    with pytest.raises(EmbeddedServerError, match="can't reach .*choose a folder outside root's"):
        await cluster.server().start()
    assert stat.S_IMODE(closed.stat().st_mode) == 0o700


@as_root
async def test_start_binaries_under_a_closed_folder_are_copied(make_cluster, tmp_path):
    import shutil

    package = wheel.find().parents[1]
    closed = tmp_path / "closed"
    closed.mkdir(mode=0o700)
    shutil.copytree(package, closed / package.name, symlinks=True)
    libraries = package.parent / f"{package.name}.libs"
    if libraries.is_dir():
        shutil.copytree(libraries, closed / libraries.name)
    server = make_cluster().server(bin_dir=closed / package.name / "pginstall" / "bin")
    await server.start()
    assert await query(server) == 1
    assert stat.S_IMODE(closed.stat().st_mode) == 0o700


@as_root
async def test_start_as_an_ordinary_user_works_and_refuses_a_strangers_folder(make_cluster):
    """Under another user's id, from root's own interpreter where that user can run it."""
    cluster = make_cluster("theirs")
    cluster.root.mkdir()
    os.chown(cluster.root, 65534, 65534)
    with pytest.raises(EmbeddedServerError, match="belongs to uid 65534"):
        await cluster.server().start()

    code = f"""
import os, sys
import asyncpg, asyncio, msgspec, anyio._backends._asyncio, seawall.postgres.embedded as embedded
sys.path_importer_cache.clear()
os.setgroups([]); os.setgid(65534); os.setuid(65534)
async def main():
    server = embedded.EmbeddedServer(sys.argv[1], bin_dir=embedded.binaries.Path(sys.argv[2]))
    await server.start()
    connection = await asyncpg.connect(**server.connect_kwargs())
    print(os.geteuid(), await connection.fetchval("SELECT 1"))
    await connection.close()
    await server.aclose(wait=True)
asyncio.run(main())
"""
    reaches = ["/bin/sh", "-c", 'test -x "$0"', sys.executable]
    if subprocess.run(reaches, user=65534, group=65534, extra_groups=[], cwd="/").returncode:
        pytest.skip("this interpreter is closed to other users: the keeper could not be run")
    result = subprocess.run(
        [sys.executable, "-c", code, str(cluster.root), str(wheel.find())],
        capture_output=True, text=True, cwd="/",
    )  # fmt: skip
    assert result.stdout == "65534 1\n", result.stderr


async def test_start_folder_that_cant_be_made_is_refused(make_cluster):
    cluster = make_cluster("file", "server")
    cluster.root.parent.write_text("")
    with pytest.raises(EmbeddedServerError, match="choose a folder that you can write"):
        await cluster.server().start()


async def test_start_data_of_another_version_is_refused(cluster):
    server = await cluster.server().start()
    await server.aclose(wait=True)
    (cluster.root / "pgdata" / "PG_VERSION").write_text("13\n")
    with pytest.raises(
        EmbeddedServerError, match="made by PostgreSQL 13, the installed binaries are"
    ):
        await cluster.server().start()


async def test_start_without_binaries_says_what_to_install(cluster, monkeypatch):
    monkeypatch.setattr(wheel, "_PROVIDERS", (("no_such_package", "bin"),))
    with pytest.raises(EmbeddedServerError, match=r"pip install 'seawall\[embedded\]'"):
        await cluster.server().start()


async def test_start_server_that_dies_at_once_shows_its_log(cluster):
    server = await cluster.server().start()
    await server.aclose(wait=True)
    (cluster.root / "pgdata" / "global" / "pg_control").unlink()
    with pytest.raises(EmbeddedServerError, match="did not start; see .*log"):
        await cluster.server().start()


async def test_log_files_are_seven_at_most(cluster):
    server = await cluster.server().start()
    assert await query(server, "SHOW log_filename") == "server-%a.log"
    assert await query(server, "SHOW log_truncate_on_rotation") == "on"


async def test_status_tells_each_state_and_starts_nothing(cluster):
    assert (await status(cluster.root)).state == "absent"
    server = await cluster.server().start()
    running = await status(cluster.root)
    assert (running.state, running.version, running.held) == ("running", 18, False)
    assert running.data_bytes > 1e6
    await server.aclose(wait=True)
    assert (await status(cluster.root)).state == "stopped"
    assert not cluster.is_running()


def test_default_root_is_the_users_own(monkeypatch):
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    monkeypatch.setenv("XDG_DATA_HOME", "/data")
    expected = "/data/seawall/postgres"
    if sys.platform != "darwin":
        assert default_root() == Path(expected)
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    assert default_root() == Path("/var/lib/seawall/postgres")
