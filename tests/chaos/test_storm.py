"""The storm, for a minute; for longer: ``PYTHONPATH=tests python -m chaos --faults 200``."""

import os
import random

import pytest

from support.storm.server import StormServer
from support.storm.storm import run

FAULTS = 36


@pytest.mark.slow
@pytest.mark.timeout(240)
async def test_storm_over_every_form_of_work_loses_and_doubles_nothing():
    """Killed, frozen, cut off, out of disk, of connections, of a server: none lost, none doubled."""
    seed = int(os.environ.get("SEAWALL_SEED", random.randrange(1 << 30)))
    server = StormServer()
    await server.start()
    try:
        tally = await run(server, FAULTS, seed, per_round=6, work=0.3)
    finally:
        await server.aclose()
    print(tally.table())
    assert tally.clean, tally.table()
    assert tally.rounds >= 6
    assert tally.faults.total() == FAULTS
