"""Each of docs/examples does its job as a process of its own, and again when started again."""

import asyncio
import json
import os
import subprocess
import sys
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import asyncpg
import pytest

EXAMPLES = Path(__file__).parents[2] / "docs" / "examples"


@pytest.fixture
def run(database_dsn, tmp_path):
    """Run an example by its name; what it prints."""

    def start(name, *arguments):
        done = subprocess.run(
            [sys.executable, EXAMPLES / f"{name}.py", *arguments],
            env={**os.environ, "SEAWALL_DSN": database_dsn},
            cwd=tmp_path, text=True, capture_output=True, timeout=30,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        return done.stdout

    return start


@pytest.fixture
async def connection(database_dsn):
    connection = await asyncpg.connect(database_dsn)
    yield connection
    await connection.close()


class Api:
    """Twenty orders, five a page; its third answer is 503, and its fifth request is cut off."""

    def __init__(self):
        self.requests = 0

    async def serve(self, reader, writer):
        head = await reader.readuntil(b"\r\n\r\n")
        self.requests += 1
        if self.requests == 3:
            writer.write(b"HTTP/1.1 503 Busy\r\nRetry-After: 0\r\nContent-Length: 0\r\n\r\n")
        elif self.requests != 5:
            query = urlsplit(head.split()[1].decode()).query
            after = int(parse_qs(query)["after"][0])
            page = [
                {"id": n, "total": n if n != 8 else None}
                for n in range(after + 1, min(after + 6, 21))
            ]
            body = json.dumps(page).encode()
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%b" % (len(body), body))
        writer.close()


async def test_example_api_survives_a_busy_and_a_broken_answer(run, connection):
    await connection.execute("CREATE TABLE orders (id int PRIMARY KEY, total int NOT NULL)")
    api = Api()
    async with await asyncio.start_server(api.serve, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        printed = await asyncio.to_thread(run, "api_to_postgres", f"http://127.0.0.1:{port}")
    assert printed == "loaded 19, set aside 1\n"
    assert api.requests == 7  # four pages, the empty one, and two that were repeated
    assert await connection.fetchval("SELECT count(*) FROM orders") == 19


async def test_example_csv_upserts_and_goes_on(run, connection, tmp_path):
    await connection.execute(
        "CREATE TABLE orders (id int PRIMARY KEY, total int NOT NULL CHECK (total >= 0), day date)"
    )
    await connection.execute("INSERT INTO orders VALUES (1, 0, NULL)")
    lines = [f"{n},{n if n != 50 else -1},2026-11-{n % 28 + 1:02}" for n in range(1, 101)]
    (tmp_path / "orders.csv").write_text("\n".join(["id,total,day", *lines, ""]))
    for _ in range(2):
        assert run("csv_upsert", "orders.csv") == "loaded 99, set aside 1\n"
    assert await connection.fetchval("SELECT sum(total) FROM orders") == 5050 - 50


async def test_example_partitions_are_done_once(run, connection, tmp_path):
    await connection.execute("CREATE TABLE parts (id int PRIMARY KEY)")
    for part in range(3):
        rows = range(part * 100, part * 100 + 100)
        (tmp_path / f"part-{part}.csv").write_text("id\n" + "".join(f"{n}\n" for n in rows))
    names = [f"part-{part}.csv" for part in range(3)]
    first, second = await asyncio.gather(
        asyncio.to_thread(run, "partitions", *names), asyncio.to_thread(run, "partitions", *names)
    )
    # Each tells what it knows to be done as it ends: all of it, or what the other leaves.
    done = [int(printed.partition(" ")[0]) for printed in (first, second)]
    assert sum(done) >= 3
    assert [first, second] == [f"{each} partitions done, {each}00 rows\n" for each in done]
    assert await connection.fetchval("SELECT count(*) FROM parts") == 300


async def test_example_steps_are_done_once(run, connection):
    await connection.execute("CREATE TABLE numbers (n int)")
    printed = run("steps", "2026-11-27")
    assert printed == "extracting 2026-11-27\nstoring 2026-11-27\n3 numbers are stored\n"
    assert run("steps", "2026-11-27") == "3 numbers are stored\n"
    assert await connection.fetchval("SELECT count(*) FROM numbers") == 3


async def test_example_outbox_delivers_what_was_loaded(run, connection):
    await connection.execute("CREATE TABLE invoices (id int PRIMARY KEY, total int)")
    assert sorted(run("outbox").splitlines()) == [
        f"delivering {{'id': {n}, 'total': {n * 10}}}" for n in range(1, 6)
    ]
    assert run("outbox") == ""
