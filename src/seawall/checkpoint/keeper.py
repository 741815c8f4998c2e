"""What goes on beside a step's work: its lease is renewed, its batches are watched."""

import asyncio
import logging
from collections.abc import Callable
from dataclasses import dataclass, field
from types import CoroutineType
from typing import Any

import anyio

from seawall.checkpoint.store import StepSession
from seawall.clock import MACHINE_CLOCK, Clock
from seawall.errors import StaleRunError
from seawall.events import BatchStuck

_logger = logging.getLogger("seawall.checkpoint")


async def keep_lease(
    session: StepSession,
    lease_seconds: float,
    lost: Callable[[StaleRunError], None],
    clock: Clock = MACHINE_CLOCK,
) -> None:
    """Renew the lease until cancelled, or until it is another worker's."""
    pause = lease_seconds / 3
    while True:
        await clock.sleep(pause)
        try:
            with anyio.fail_after(pause):
                await session.renew()
        except StaleRunError as error:
            lost(error)
            return
        except Exception as error:
            # The database is away, or its pool is in use: a commit renews it too.
            _logger.warning(
                "the lease could not be renewed: %s", str(error) or type(error).__name__
            )


@dataclass(slots=True)
class InFlight:
    """A batch that is being worked on."""

    batch_id: str
    started_at: float
    task: "asyncio.Task[Any] | None" = field(default_factory=asyncio.current_task)
    reported: bool = False


async def watch(
    batches: Callable[[], list[InFlight]],
    partition: int,
    stuck_seconds: float,
    emit: Callable[[BatchStuck], None],
    clock: Clock,
) -> None:
    """Report every batch that is in flight for longer than ``stuck_seconds``, once."""
    while True:
        await MACHINE_CLOCK.sleep(min(stuck_seconds / 4, 10.0))
        now = clock.monotonic()
        for each in batches():
            elapsed = now - each.started_at
            if elapsed >= stuck_seconds and not each.reported:
                each.reported = True
                where = place_of(each.task)
                _logger.warning(
                    "batch %s has been at work for %.0f s; it is at %s",
                    each.batch_id, elapsed, where,
                )  # fmt: skip
                emit(
                    BatchStuck(
                        partition=partition,
                        batch_id=each.batch_id,
                        elapsed_seconds=elapsed,
                        where=where,
                    )
                )


def place_of(task: "asyncio.Task[Any] | None") -> str:
    """Function and line at which ``task`` waits: the innermost one that is a coroutine."""
    coroutine: object = task.get_coro() if task is not None else None
    place = "an unknown place"
    while isinstance(coroutine, CoroutineType) and coroutine.cr_frame is not None:
        frame = coroutine.cr_frame
        place = f"{coroutine.__qualname__} (line {frame.f_lineno} of {frame.f_code.co_filename})"
        coroutine = coroutine.cr_await
    return place
