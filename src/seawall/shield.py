"""Finishing what must not be cut in half: a COMMIT, a rollback, the giving back of a permit."""

from collections.abc import Awaitable, Callable
from typing import TypeVar

import anyio
from anyio.abc import TaskGroup

T = TypeVar("T")


async def finish(task_group: TaskGroup, work: Callable[[], Awaitable[T]], seconds: float) -> T:
    """Run ``work`` to its end, whoever cancels the caller; the cancellation is delivered after.

    A shielded scope holds off anyio's cancellation but not ``asyncio.Task.cancel``, so the work has
    a task of its own and the caller waits for that.

    Args:
        task_group: owns the task.
        work: called once; its result or exception is the caller's.
        seconds: after which the work itself is cancelled.

    Raises:
        TimeoutError: the work took longer than ``seconds``.
    """
    done = anyio.Event()
    outcome: list[T] = []
    failure: list[Exception] = []

    async def run() -> None:
        try:
            with anyio.CancelScope(shield=True), anyio.fail_after(seconds):
                outcome.append(await work())
        except Exception as error:  # handed to the caller below
            failure.append(error)
        finally:
            done.set()

    task_group.start_soon(run)
    cancellation: BaseException | None = None
    while not done.is_set():
        try:
            with anyio.CancelScope(shield=True):
                await done.wait()
        except anyio.get_cancelled_exc_class() as error:
            cancellation = error
    if cancellation is not None:
        if failure:
            cancellation.__context__ = failure[0]
        raise cancellation
    if failure:
        raise failure[0]
    if not outcome:
        raise TimeoutError("the work ended without a result")
    return outcome[0]
