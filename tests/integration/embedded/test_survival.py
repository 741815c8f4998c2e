"""What is killed, and who goes on: clients, keeper, server, initdb; nothing acknowledged is lost."""

import asyncio
import os
import random
import signal
import subprocess
import sys

import asyncpg
import pytest

from integration.embedded.conftest import query
from integration.embedded.test_start import client
from seawall.postgres.embedded import start_detached, status, stop
from seawall.postgres.lost import is_connection_lost

pytestmark = pytest.mark.timeout(60)


async def test_server_goes_on_for_the_second_client_and_stops_after_the_last(cluster):
    one, two = client(cluster.root), client(cluster.root)
    answers = [await asyncio.to_thread(each.stdout.readline) for each in (one, two)]
    assert answers[0] == answers[1]
    one.communicate("\n")
    await asyncio.sleep(2)
    assert cluster.is_running()
    two.communicate("\n")
    cluster.wait_until_stopped()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
async def test_server_stops_when_its_only_client_is_killed(cluster, number):
    only = client(cluster.root)
    assert await asyncio.to_thread(only.stdout.readline)
    only.send_signal(number)
    only.communicate()
    cluster.wait_until_stopped()


async def write(server, acknowledged):
    connection = await asyncpg.connect(**server.connect_kwargs())
    try:
        while True:
            number = len(acknowledged)
            await connection.execute("INSERT INTO t VALUES ($1)", number)
            acknowledged.append(number)
    except Exception as error:
        assert is_connection_lost(error)
    finally:
        connection.terminate()


@pytest.mark.parametrize("victims", ["postmaster", "keeper", "all"])
async def test_server_killed_under_writes_is_back_with_every_acknowledged_row(cluster, victims):
    server = await cluster.server().start()
    await query(server, "CREATE TABLE t (n int)")
    acknowledged = []
    writer = asyncio.create_task(write(server, acknowledged))
    while len(acknowledged) < 200:
        await asyncio.sleep(0.01)
    if victims == "all":
        cluster.kill_all()
    else:
        os.kill(cluster.keeper() if victims == "keeper" else cluster.postmaster(), signal.SIGKILL)
    await writer
    await server.start()
    rows = await query(server, "SELECT array_agg(n ORDER BY n) FROM t")
    assert set(acknowledged) <= set(rows)
    assert await query(server) == 1
    await server.aclose(wait=True)
    assert not cluster.is_running()


async def test_stale_pid_file_that_names_a_strangers_process_is_no_hindrance(cluster):
    server = await cluster.server().start()
    await server.aclose(wait=True)
    (cluster.root / "pgdata" / "postmaster.pid").write_text(
        f"{os.getpid()}\n{cluster.root / 'pgdata'}\n1700000000\n5432\n{cluster.root}/run\n*\n0 0\n"
    )
    (cluster.root / "stop").touch()  # asked of a keeper that is long gone
    await server.start()
    assert await query(server) == 1
    await asyncio.sleep(0.6)
    assert cluster.is_running()


async def test_initdb_killed_at_any_moment_is_begun_anew(make_cluster):
    for number, delay in enumerate([0.02, 0.2, 0.35, 0.7]):
        cluster = make_cluster(f"server{number}")
        victim = client(cluster.root)
        while not (cluster.root / "boot.lock").exists():
            await asyncio.sleep(0.005)
        await asyncio.sleep(delay)
        victim.kill()
        victim.communicate()
        if number % 2:
            cluster.kill_all()
        server = cluster.server()
        await server.start()
        assert await query(server) == 1
        await server.aclose(wait=True)


async def test_start_and_stop_racing_with_the_idle_stop_always_connects(cluster):
    draw = random.Random(7)
    server = cluster.server(idle_stop=0.2)
    for _ in range(12):
        await server.start()
        assert await query(server) == 1
        await server.aclose()
        await asyncio.sleep(draw.uniform(0, 0.9))


async def test_detached_server_runs_without_clients_until_stopped(cluster):
    cluster.servers.append(await start_detached(cluster.root))
    await asyncio.sleep(2)
    assert (await status(cluster.root)).held
    assert cluster.is_running()
    assert await stop(cluster.root)
    assert not cluster.is_running()
    assert not await stop(cluster.root)
    assert not (await status(cluster.root)).held


async def test_stop_disconnects_clients_and_start_brings_it_back(cluster):
    server = await cluster.server().start()
    connection = await asyncpg.connect(**server.connect_kwargs())
    assert await stop(cluster.root)
    with pytest.raises((asyncpg.PostgresError, asyncpg.InterfaceError, OSError)):
        await connection.fetchval("SELECT 1")
    connection.terminate()
    await server.start()
    assert await query(server) == 1


async def test_forked_child_neither_keeps_nor_hurts_the_server(cluster):
    code = """
import asyncio, os, sys, time
from seawall.postgres.embedded import EmbeddedServer
import asyncpg
async def main():
    server = await EmbeddedServer(sys.argv[1]).start()
    if os.fork() == 0:
        time.sleep(4)
        os._exit(0)
    await asyncio.sleep(2)
    connection = await asyncpg.connect(**server.connect_kwargs())
    print(await connection.fetchval("SELECT 1"), flush=True)
    await connection.close()
    await server.aclose(wait=True)
    print("stopped", flush=True)
    os._exit(0)
asyncio.run(main())
"""
    parent = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", code, str(cluster.root)],
        capture_output=True, text=True, timeout=30,
    )  # fmt: skip
    assert parent.stdout == "1\nstopped\n", parent.stderr
    assert not cluster.is_running()


async def test_aclose_waits_only_if_it_was_the_last_client(cluster):
    one, two = cluster.server(), cluster.server()
    await one.start()
    await two.start()
    await asyncio.wait_for(one.aclose(wait=True), 5)
    assert cluster.is_running()
    await asyncio.wait_for(two.aclose(wait=True), 15)
    assert not cluster.is_running()
