"""What background work costs a fleet: looks with nothing due, samples, and a SYSTEM error's moment.

    python benchmarks/maintenance.py [DSN]

Prints, for 100 workers: statements a minute, the server's time for them, and what one look, one
sample and one moment cost the worker.
"""

import asyncio
import errno
import statistics
import sys
import tempfile
import time
from pathlib import Path

from seawall import ErrorRecoveryManager
from seawall.maintenance import JobRunner
from seawall.postgres.job_store import PostgresJobStore

WORKERS = 100

# A past of 100,000 runs with a finished step each, and 400,000 errors.
PAST = """
INSERT INTO seawall.runs (run_id, pipeline_id, status, ended_at)
SELECT 'past' || n, 'p' || n % 20, 'succeeded', now() FROM generate_series(1, 100000) n;
INSERT INTO seawall.checkpoints (checkpoint_id, run_id, step, status)
SELECT gen_random_uuid(), 'past' || n, 's', 'finished' FROM generate_series(1, 100000) n;
INSERT INTO seawall.run_steps (run_id, step, status, function)
SELECT 'past' || n, 's', 'done', 'f' FROM generate_series(1, 100000) n;
INSERT INTO seawall.error_details
    (error_id, occurred_at, error_type, exception_type, message, fingerprint)
SELECT (lpad(to_hex((extract(epoch FROM now()) * 1000)::bigint - n), 12, '0') || '70008000'
        || lpad(to_hex(n), 12, '0'))::uuid, now(), 'data', 'E', 'm', 'f'
FROM generate_series(1::bigint, 400000) n;
"""
LOOKS_A_MINUTE = 12  # one each five seconds


async def timed(work, count):
    seconds = []
    for _ in range(count):
        begun = time.perf_counter()
        await work()
        seconds.append(time.perf_counter() - begun)
    return statistics.median(seconds)


async def main(dsn):
    async with ErrorRecoveryManager(dsn, config={"health_interval_seconds": 30}) as manager:
        part = manager._services._analytics
        jobs = list(part.jobs._jobs.values())
        await part.jobs.run_due()
        runners = [
            JobRunner(PostgresJobStore(manager.database), jobs, f"worker {n}")
            for n in range(WORKERS)
        ]
        for runner in runners:
            await runner.run_due()
        begun, cpu = time.perf_counter(), time.process_time()
        for _ in range(LOOKS_A_MINUTE):
            for runner in runners:
                await runner.run_due()
        wall, own = time.perf_counter() - begun, time.process_time() - cpu
        looks = WORKERS * LOOKS_A_MINUTE
        print(
            f"{WORKERS} idle workers: {looks} looks a minute, {wall:.2f} s of one connection "
            f"({wall / looks * 1e3:.2f} ms each), {own / looks * 1e3:.2f} ms of a worker's processor"
        )
        monitor = part.health.monitor
        print(
            f"a sample: {await timed(monitor.turn, 50) * 1e3:.2f} ms, off the event loop but its row"
        )
        full = OSError(errno.ENOSPC, "full", f"{tempfile.gettempdir()}/x")
        print(
            f"a SYSTEM error's moment, read before: {await timed(lambda: monitor.moment(full), 2000) * 1e6:.0f} us"
        )

        async def fresh():
            monitor._moments.clear()
            await monitor.moment(full)

        print(f"and read anew: {await timed(fresh, 200) * 1e3:.2f} ms")
        probe = monitor._probe
        begun = time.perf_counter()
        for _ in range(200):
            probe.machine(keep=False)
        print(f"psutil and control groups: {(time.perf_counter() - begun) / 200 * 1e3:.2f} ms")
        begun = time.perf_counter()
        for _ in range(200):
            probe.disks([tempfile.gettempdir()])
        print(f"a disk: {(time.perf_counter() - begun) / 200 * 1e6:.0f} us")
        async with manager.database.acquire() as connection:
            plan = await connection.fetch(
                "EXPLAIN (ANALYZE, BUFFERS) " + part.jobs._store._claim,
                [job.name for job in jobs],
                "w",
                30.0,
            )
        print("\n".join(row[0] for row in plan[-2:]))
        empty = await each_job(jobs)
        async with manager.database.acquire() as connection:
            await connection.execute(PAST)
            await connection.execute("ANALYZE")
        full = await each_job(jobs)
        print(f"{'job':<22} {'empty':>9} {'100,000 runs, 400,000 errors':>30}")
        for name, seconds in empty.items():
            print(f"{name:<22} {seconds * 1e3:>6.1f} ms {full[name] * 1e3:>27.1f} ms")


async def each_job(jobs):
    return {job.name: await timed(job.work, 9) for job in jobs}


if __name__ == "__main__":
    if len(sys.argv) > 1:
        asyncio.run(main(sys.argv[1]))
    else:
        folder = Path(tempfile.mkdtemp())
        folder.chmod(0o755)
        asyncio.run(main(f"embedded://{folder / 'server'}"))
