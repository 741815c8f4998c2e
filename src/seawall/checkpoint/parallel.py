"""Batches of one step side by side, each on a connection of its own."""

from collections.abc import Awaitable, Callable, Sequence

import anyio

from seawall.checkpoint.batch import Batch
from seawall.checkpoint.batches import Batches
from seawall.checkpoint.store import Lane
from seawall.checkpoint.watermark import Watermark
from seawall.errors import ShutdownError

_AHEAD = 4  # batches a lane that may be done beyond one that is slow: what a restart reads again


async def run_lanes(
    batches: Batches,
    lanes: Sequence[Lane],
    watermark: Watermark,
    work: Callable[[Batch], Awaitable[None]],
) -> None:
    """Take batches in order, work on one in each lane, until the source ends.

    Where one fails for good, or the step is stopped, the others finish what they have in hand; then
    the first failure is raised, with a note for each further one. A stop is no failure: it is the
    caller's to tell of.
    """
    failures: list[Exception] = []
    moved = anyio.Event()

    async def lane_works(lane: Lane) -> None:
        nonlocal moved
        while not failures:
            if watermark.pending >= _AHEAD * len(lanes):
                await moved.wait()
                continue
            try:
                if not await _take_one(batches, lane, work):
                    return
            except Exception as error:
                failures.append(error)
                return
            finally:
                moved.set()
                moved = anyio.Event()

    async with anyio.create_task_group() as tasks:
        for lane in lanes:
            tasks.start_soon(lane_works, lane)
    if failures:
        first, *others = failures
        for other in others:
            first.add_note(f"another batch failed too: {type(other).__name__}: {other}")
        try:
            raise first
        finally:
            del first, others, failures


async def _take_one(batches: Batches, lane: Lane, work: Callable[[Batch], Awaitable[None]]) -> bool:
    """Whether there was one to take."""
    try:
        batch = await batches.next(lane)
    except ShutdownError:
        return False
    if batch is None:
        return False
    await work(batch)
    return True
