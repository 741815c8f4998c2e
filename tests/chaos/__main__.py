"""The long storm: ``PYTHONPATH=tests python -m chaos --faults 200 [--seed N]``."""

import argparse
import asyncio
import os
import random
import sys

from support.storm.server import StormServer
from support.storm.storm import run


async def main(faults, seed):
    server = StormServer()
    await server.start()
    print("seed", seed, "disk", "real" if server.real_disk else "a trigger's", flush=True)
    try:
        tally = await run(server, faults, seed, say=lambda text: print(text, flush=True))
    finally:
        await server.aclose()
    print(tally.table())
    return 0 if tally.clean else 1


if __name__ == "__main__":
    parser = argparse.ArgumentParser(prog="python -m chaos", description=__doc__)
    parser.add_argument("--faults", type=int, default=200)
    chance = int(os.environ.get("SEAWALL_SEED", random.randrange(1 << 30)))
    parser.add_argument("--seed", type=int, default=chance)
    given = parser.parse_args()
    sys.exit(asyncio.run(main(given.faults, given.seed)))
