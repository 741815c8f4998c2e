"""The storm, for half a minute; for longer: ``PYTHONPATH=tests python -m chaos --faults 200``."""

import os
import random

import asyncpg
import pytest

from seawall.postgres.migrate import migrate
from support.storm.audit import audit
from support.storm.server import StormServer
from support.storm.storm import run

FAULTS = 18

pytestmark = [pytest.mark.slow, pytest.mark.timeout(240)]


@pytest.fixture
async def server():
    server = StormServer()
    await server.start()
    yield server
    await server.aclose()


async def test_storm_over_every_form_of_work_loses_and_doubles_nothing(server):
    """Killed, frozen, cut off, out of disk, of connections, of a server: none lost, none doubled."""
    seed = int(os.environ.get("SEAWALL_SEED", random.randrange(1 << 30)))
    tally = await run(server, FAULTS, seed, per_round=6, work=0.3)
    print(tally.table())
    assert tally.clean, tally.table()
    assert tally.rounds >= 3
    assert tally.faults.total() == FAULTS


async def test_audit_sees_what_is_lost_doubled_and_stale(server):
    """A ledger that is wrong in every way: the storm would notice."""
    await server.make_tables(keyed=False)
    connection = await asyncpg.connect(server.dsn)
    await migrate(connection)
    job = {"partitions": 1, "rows": 10, "outside": None}
    loaded = [1, 2, 3, 4, 6, 6, 7, 8, 10, 11]  # 5 is bad, 9 is lost, 6 doubled, 11 strange
    await connection.executemany("INSERT INTO numbers VALUES (0, $1, 'w')", [(n,) for n in loaded])
    for fence, first, last in ((1, 1, 3), (2, 4, 6), (1, 7, 8), (2, 8, 10)):
        await connection.execute(
            "INSERT INTO commits VALUES (0, $1, $2, $3)", fence, first, last
        )  # the third comes late, the fourth overlaps it
    await connection.close()
    found = await audit(server, job)
    assert (found.lost, found.doubled, found.stale) == (2, 1, 2)
    assert [text.split(":")[0] for text in found.wrong] == [
        "rows that the source never had", "0 checkpoints",
    ]  # fmt: skip
