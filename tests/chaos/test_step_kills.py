"""Processes of one run killed at any moment: each step has one result, which all of them get."""

import asyncio
import json
import os
import random
import signal
import sys
from pathlib import Path

import asyncpg
import pytest

WORKER = [sys.executable, str(Path(__file__).parents[1] / "support" / "step_worker.py")]
STEPS, KILLS = 30, 10


async def start(dsn, path, *, lease=1.0, seconds=0.03, steps=STEPS):
    worker = await asyncio.create_subprocess_exec(
        *WORKER, dsn, "r", path, str(lease), str(seconds), str(steps),
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip
    assert await worker.stdout.readline() == b"up\n"
    return worker


async def result_of(worker):
    output, _ = await asyncio.wait_for(worker.communicate(), 60)
    assert worker.returncode == 0
    return json.loads(output)


@pytest.fixture
async def effects(database_dsn):
    connection = await asyncpg.connect(database_dsn)
    await connection.execute("CREATE TABLE effects (n int, draw text)")
    yield connection
    await connection.close()


@pytest.mark.slow
@pytest.mark.timeout(180)
async def test_run_of_two_processes_killed_at_random_has_one_result_a_step(
    database_dsn, effects, tmp_path
):
    seed = int(os.environ.get("SEAWALL_SEED", random.randrange(1 << 30)))
    print("seed", seed)
    draw = random.Random(seed)
    path = str(tmp_path / "calls")
    workers = [await start(database_dsn, path) for _ in range(2)]
    finished = []
    for _ in range(KILLS):
        await asyncio.sleep(draw.uniform(0, 0.3))
        victim = workers.pop(draw.randrange(2))
        if victim.returncode is None:
            victim.send_signal(signal.SIGKILL)
        output, _ = await victim.communicate()
        if victim.returncode == 0:
            finished.append(json.loads(output))
        workers.append(await start(database_dsn, path))
    finished += [await result_of(each) for each in workers]
    assert all(each == finished[0] for each in finished), seed
    rows = await effects.fetch("SELECT n, draw FROM effects ORDER BY n")
    assert [row["n"] for row in rows] == list(range(0, STEPS, 2))
    assert [row["draw"] for row in rows] == finished[0][::2]
    messages = await effects.fetch(
        "SELECT payload FROM seawall.outbox_messages ORDER BY payload #>> '{}'"
    )
    assert sorted(int(row["payload"]) for row in messages) == list(range(0, STEPS, 2))
    calls = [line.split() for line in Path(path).read_text().splitlines()]
    for n in range(1, STEPS, 2):
        began = [each[2] for each in calls if each[:2] == ["began", str(n)]]
        ended = [each[2] for each in calls if each[:2] == ["ended", str(n)]]
        assert finished[0][n] in ended
        # Called again only where a killed process had begun: never beside a living one.
        assert len(began) - 1 <= KILLS
    assert await effects.fetchval("SELECT status FROM seawall.runs") == "succeeded"


@pytest.mark.timeout(60)
@pytest.mark.parametrize("step", [0, 1])
async def test_process_frozen_in_a_step_is_refused_its_result_when_it_thaws(
    database_dsn, effects, tmp_path, step
):
    path = tmp_path / "calls"

    async def until_begun(count):
        while not path.exists() or path.read_text().count(f"began {step} ") < count:
            await asyncio.sleep(0.01)

    first = await start(database_dsn, str(path), seconds=0.5, steps=step + 1)
    await until_begun(1)
    first.send_signal(signal.SIGSTOP)
    second = await start(database_dsn, str(path), seconds=0.5, steps=step + 1)
    try:
        await until_begun(2)
        results = await result_of(second)
        first.send_signal(signal.SIGCONT)
        _, complaint = await asyncio.wait_for(first.communicate(), 20)
        assert first.returncode == 1
        assert b"StaleRunError: step" in complaint
    finally:
        for each in (first, second):
            if each.returncode is None:
                each.kill()
                await each.communicate()
    draws = [line.split()[2] for line in path.read_text().splitlines() if f"began {step} " in line]
    assert results[step] == draws[1]
    kept = await effects.fetchval(
        "SELECT result #>> '{}' FROM seawall.run_steps WHERE step = $1", f"step {step}"
    )
    assert kept == draws[1]
    rows = await effects.fetch("SELECT draw FROM effects WHERE n = 0")
    assert [row["draw"] for row in rows] == [results[0]]
    # The second has done its work: the end of the first says nothing of the run.
    assert await effects.fetchval("SELECT status FROM seawall.runs") == "succeeded"
