"""A worker that meets errors until it is killed: says how many it has written after each flush.

python -m support.pattern_worker DSN SEED
"""

import asyncio
import random
import sys
from uuid import UUID

from seawall import ErrorRecoveryManager
from seawall.events import ErrorLogged

WORDS = ("alpha", "beta", "gamma", "delta", "omega", "kappa")
MESSAGES = [
    f"cannot {verb} the {word} of {other} now"
    for verb in ("read", "write")
    for word in WORDS
    for other in WORDS[:5]
]


def failure(message):
    return ErrorLogged(
        error_id=UUID(int=1),
        error_type="transient",
        exception_type="x.LoadError",
        message=message,
        stack=None,
        fingerprint="f",
    )


async def main(dsn, seed):
    chance = random.Random(seed)
    config = {"pattern_flush_seconds": 3600, "pool_size": 2}
    async with ErrorRecoveryManager(dsn, config=config, pipeline_id=f"p{seed}") as manager:
        board = manager._services.analytics.patterns
        count = 0
        messages = chance.sample(MESSAGES, len(MESSAGES))
        while True:
            for _ in range(chance.randint(1, 9)):
                manager.bus.emit(failure(messages[count % len(messages)]))
                count += 1
            print(f"begin {count}", flush=True)
            await board.flush()
            print(f"wrote {count}", flush=True)


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], int(sys.argv[2])))
