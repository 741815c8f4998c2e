"""A step's partitions over a Dask cluster: Dask decides where, checkpoints decide what is left.

Each task opens its partition's checkpoint under its lease. A worker that dies is replaced by Dask,
whose new task goes on from the partition's position; a worker that only seemed dead can commit
nothing more. Breakers, rate limits and quarantine are shared through PostgreSQL, as ever.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any

from distributed import Client

from seawall.checkpoint import Step, StreamReport
from seawall.clock import uuid7
from seawall.errors import InvalidConfigError
from seawall.manager import ErrorRecoveryManager

Work = Callable[[Step], Awaitable[object]]


async def map_partitions(
    client: Client,
    work: Work,
    partitions: Sequence[int],
    *,
    dsn: str,
    run_id: str,
    step: str,
    pipeline_id: str = "default",
    config: Mapping[str, Any] | None = None,
    retries: int = 3,
    **options: Any,
) -> dict[int, StreamReport]:
    """Bring every partition to its end on a Dask cluster; their reports.

    Safe to be called again after anything: what is finished is found to be so.

    Args:
        client: of the cluster, synchronous or not.
        work: ``async (cp)``: brings an open partition (``cp.key.partition``) to its end. It is sent
            to the workers (cloudpickle), so that it must not hold a manager or a connection.
        partitions: their numbers.
        dsn: the database, as the workers reach it.
        run_id: the run.
        step: its step.
        pipeline_id: the pipeline.
        config: options of each worker's manager.
        retries: how often Dask runs a task again that failed.
        **options: see ``CheckpointOptions``.

    Raises:
        InvalidConfigError: partitions aren't numbers, each once.
        Exception: the first failure of a partition that its retries did not make good; the others
            are cancelled, with their positions intact.
    """
    if not partitions or len(set(partitions)) != len(partitions):
        raise InvalidConfigError(f"partitions={partitions!r}: must be numbers, each once")
    call = uuid7().hex
    futures = [
        client.submit(
            _run,
            work, dsn, run_id, step, number, pipeline_id, dict(config or {}), options,
            key=f"seawall-{step}-{number}-{call}",
            pure=False,
            retries=retries,
        )
        for number in partitions
    ]  # fmt: skip
    try:
        if client.asynchronous:
            reports = await client.gather(futures)  # type: ignore[no-untyped-call]
        else:
            reports = await asyncio.to_thread(client.gather, futures)
    except BaseException:
        cancelling = client.cancel(futures)  # type: ignore[no-untyped-call]
        if client.asynchronous:
            await cancelling
        raise
    return dict(zip(partitions, reports, strict=True))


def _run(
    work: Work,
    dsn: str,
    run_id: str,
    step: str,
    number: int,
    pipeline_id: str,
    config: Mapping[str, Any],
    options: Mapping[str, Any],
) -> StreamReport:
    """One partition, in a thread of a Dask worker: an event loop and a manager of its own."""

    async def partition() -> StreamReport:
        manager = ErrorRecoveryManager(dsn, config=config, pipeline_id=pipeline_id)
        async with manager:
            async with manager.checkpoint(run_id, step, partition=number, **options) as cp:
                await work(cp)
                return await cp.report()

    return asyncio.run(partition())
