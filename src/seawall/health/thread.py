"""Calls that may never come back, in a thread that nobody has to wait for."""

import asyncio
import contextlib
import threading
from collections.abc import Callable
from typing import TypeVar

import anyio

T = TypeVar("T")


class OneThread:
    """Calls one after the other, each in a thread that the process's end doesn't wait for.

    A call that hangs, as on a dead network mount, holds this one thread: those that come
    meanwhile get their default. Belongs to one event loop.
    """

    def __init__(self) -> None:
        self._current: asyncio.Future[object] | None = None

    async def call(self, work: Callable[[], T], default: T, *, seconds: float) -> T:
        """What ``work`` returns, or ``default`` where it takes longer, waiting for others included.

        Raises what ``work`` raises.
        """
        with anyio.move_on_after(seconds):
            while (current := self._current) is not None and not current.done():
                await asyncio.wait([current])
            answer: asyncio.Future[T] = asyncio.get_running_loop().create_future()
            self._current = answer  # type: ignore[assignment]
            # Not the event loop's own threads: their end is waited for when the process ends.
            threading.Thread(
                target=_run, args=(work, answer), name="seawall health", daemon=True
            ).start()
            await asyncio.wait([answer])
            return answer.result()
        return default


def _run(work: Callable[[], T], answer: "asyncio.Future[T]") -> None:
    set_answer: Callable[[], None]
    try:
        result = work()
    except Exception as error:
        failure = error

        def set_answer() -> None:
            answer.set_exception(failure)
            answer.exception()  # looked at, also where nobody waits any more
    else:

        def set_answer() -> None:
            answer.set_result(result)

    with contextlib.suppress(RuntimeError):  # the event loop has ended meanwhile
        answer.get_loop().call_soon_threadsafe(set_answer)
