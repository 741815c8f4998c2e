"""A time limit that costs a call a microsecond: all calls under one limit share one timer.

Their ends come in the order of their beginnings, so that a timer for the oldest is enough; a call
adds itself to a dictionary and takes itself out. As with ``asyncio.timeout``, the task is cancelled
and whoever began the limit tells by ``expired`` whether that was the limit's doing.
"""

import asyncio
import functools
from weakref import WeakKeyDictionary

from seawall.compiled import compiled
from seawall.errors import AttemptTimeoutError
from seawall.operation import AsyncOperation


class Call:
    """One call under a limit."""

    __slots__ = ("cancelling", "ends_at", "fired", "group", "task")

    def __init__(
        self, group: "_Group", task: "asyncio.Task[object]", ends_at: float, cancelling: int
    ) -> None:
        self.group, self.task, self.ends_at = group, task, ends_at
        self.cancelling = cancelling  # cancellations under way already; they stay the caller's
        self.fired = False


class _Group:
    """The calls of one limit in one event loop, oldest first."""

    __slots__ = ("__weakref__", "calls", "is_armed")

    def __init__(self) -> None:
        self.calls: dict[Call, None] = {}
        self.is_armed = False

    def arm(self, loop: asyncio.AbstractEventLoop, moment: float) -> None:
        self.is_armed = True
        loop.call_at(moment, self._fire, loop)

    def _fire(self, loop: asyncio.AbstractEventLoop) -> None:
        self.is_armed = False
        # A loop's timer may come a clock tick early.
        now = loop.time() + 1e-6
        due = []
        for call in self.calls:
            if call.ends_at > now:
                self.arm(loop, call.ends_at)
                break
            due.append(call)
        for call in due:
            del self.calls[call]
            call.fired = True
            call.task.cancel()


_Home = tuple[asyncio.AbstractEventLoop | None, _Group]


class TimeLimit:
    """At most ``seconds`` for each call. May be shared between tasks, event loops and threads.

    ::

        call = limit.begin()
        try:
            result = await operation()
        except asyncio.CancelledError:
            if limit.expired(call):
                raise TimeoutError from None
            raise
        finally:
            limit.end(call)
    """

    __slots__ = ("_groups", "_home", "seconds")

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds
        self._groups: WeakKeyDictionary[asyncio.AbstractEventLoop, _Group] = WeakKeyDictionary()
        self._home: _Home = (None, _Group())  # one attribute, so that threads see both or neither

    def begin(self) -> Call:
        """Start the clock for the current task."""
        loop = asyncio.get_running_loop()
        home, group = self._home
        if home is not loop:
            group = self._groups.setdefault(loop, _Group())
            self._home = (loop, group)
        task = asyncio.current_task()
        if task is None:
            raise RuntimeError("a time limit needs a task to cancel")
        call = Call(group, task, loop.time() + self.seconds, task.cancelling())
        group.calls[call] = None
        if not group.is_armed:
            group.arm(loop, call.ends_at)
        return call

    def expired(self, call: Call) -> bool:
        """Whether the cancellation that just arrived was this limit's, and nobody else's."""
        if not call.fired:
            return False
        call.fired = False
        return call.task.uncancel() <= call.cancelling

    def end(self, call: Call) -> None:
        """Stop the clock; to be called however the call has ended."""
        call.group.calls.pop(call, None)
        if call.fired:
            # The operation kept the cancellation to itself: it is over all the same.
            call.fired = False
            call.task.uncancel()


@functools.lru_cache(maxsize=1024)
def limit_for(seconds: float) -> TimeLimit:
    """The limit of so many seconds that everybody shares: one timer, however many wrappers."""
    return TimeLimit(seconds)


_LIMITED = """
async def limited($params):
    call = begin()
    try:
        return await operation($passed)
    except CancelledError:
        if expired(call):
            raise too_late() from None
        raise
    finally:
        end(call)
        del call  # it holds the task, and what is raised here holds this frame
"""


def limited(operation: AsyncOperation, seconds: float, name: str) -> AsyncOperation:
    """``operation``, cancelled after ``seconds`` with ``AttemptTimeoutError``.

    A ``TimeoutError`` of the operation's own passes as it is.
    """
    limit = limit_for(seconds)

    def too_late() -> AttemptTimeoutError:
        return AttemptTimeoutError(f"{name}: no result within {seconds:g} s")

    return compiled(
        _LIMITED,
        operation,
        begin=limit.begin,
        expired=limit.expired,
        end=limit.end,
        too_late=too_late,
        CancelledError=asyncio.CancelledError,
    )
