"""A worker with one background job, for tests that kill or freeze it.

    python job_worker.py DSN NAME hold|do

The job prints ``NAME began``, with ``hold`` it takes for ever; done, ``NAME ended``. A job that was
taken away prints ``NAME lost``.
"""

import asyncio
import sys

from seawall.config import RecoveryConfig
from seawall.maintenance import Job, JobRunner
from seawall.postgres.database import Database
from seawall.postgres.job_store import PostgresJobStore


async def main(dsn, name, how):
    async def work():
        print(name, "began", flush=True)
        try:
            if how == "hold":
                await asyncio.Event().wait()
        except asyncio.CancelledError:
            print(name, "lost", flush=True)
            raise
        print(name, "ended", flush=True)

    database = Database(dsn, config=RecoveryConfig())
    await database.start()
    job = Job(name="job", every=3600.0, work=work)
    runner = JobRunner(PostgresJobStore(database), [job], name, every=0.05, lease_seconds=0.6)
    await runner.start()
    await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
