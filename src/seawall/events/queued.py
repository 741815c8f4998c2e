"""Listeners that may be slow: in a thread of their own, behind a bounded queue."""

import logging
import threading
from collections import deque
from collections.abc import Callable
from inspect import iscoroutinefunction

from seawall.clock import MACHINE_CLOCK
from seawall.config import Range
from seawall.errors import InvalidConfigError
from seawall.events.event import Event, EventBus, Listener

_logger = logging.getLogger("seawall.events")

_IDLE_SECONDS = 5.0  # then the thread ends, until there is something to do again
_BOUND = Range(int, 1)
_FLUSH_SECONDS, _LOOK_SECONDS = 5.0, 0.01
_LOUD = 10_000  # dropped events from one warning to the next


class QueuedListener:
    """A listener that may block: it runs in a thread of its own, behind a bounded queue.

    Events beyond the bound are dropped, and counted. May be called from any thread.

    Args:
        listener: called with each event, in order, one at a time.
        bound: events that may wait.
    """

    def __init__(self, listener: Listener, bound: int) -> None:
        self._listener, self._bound = listener, bound
        self._waiting: deque[Event] = deque()
        self._changed = threading.Condition()
        self._thread: threading.Thread | None = None
        self._busy = False
        self.dropped = 0

    def __call__(self, event: Event) -> None:
        with self._changed:
            if len(self._waiting) >= self._bound:
                self.dropped += 1
                if self.dropped % _LOUD == 1:
                    _logger.warning("%r is too slow: %d events dropped", self, self.dropped)
                return
            self._waiting.append(event)
            if self._thread is None or not self._thread.is_alive():  # a fork leaves none alive
                self._thread = threading.Thread(
                    target=self._work, name=f"seawall {self!r}", daemon=True
                )
                self._thread.start()
            self._changed.notify()

    def __repr__(self) -> str:
        return f"listener {self._listener!r}"

    @property
    def is_idle(self) -> bool:
        """Whether all so far was heard."""
        with self._changed:
            return not self._waiting and not self._busy

    def _work(self) -> None:
        while True:
            with self._changed:
                self._busy = False
                if not self._changed.wait_for(lambda: self._waiting, _IDLE_SECONDS):
                    self._thread = None
                    return
                event = self._waiting.popleft()
                self._busy = True
            try:
                self._listener(event)
            except Exception:
                _logger.exception("%r failed on %s", self, type(event).__name__)


class Subscription:
    """A listener's place on a bus, until it is called: ``leave = manager.subscribe(…); leave()``.

    Attributes:
        dropped: events that a queued listener was too slow for.
    """

    def __init__(self, leave: Callable[[], None], queue: QueuedListener | None) -> None:
        self._leave, self.queue = leave, queue

    @property
    def dropped(self) -> int:
        return 0 if self.queue is None else self.queue.dropped

    def __call__(self) -> None:
        """Hear nothing more; what waits in a queue is still heard."""
        self._leave()


class Subscriptions:
    """The listeners of a manager's user, from one start to the next."""

    def __init__(self, bus: EventBus) -> None:
        self._bus = bus
        self._queues: list[QueuedListener] = []

    def add(self, listener: Listener, *, queued: bool, bound: int) -> Subscription:
        """Let it hear the bus.

        Raises:
            InvalidConfigError: it can't be called, is a coroutine function, or the bound is none.
        """
        given: object = listener
        if not callable(given) or iscoroutinefunction(given):
            raise InvalidConfigError(f"listener={listener!r}: must be a plain function of an event")
        _BOUND.check("bound", bound)
        if not queued:
            return Subscription(self._bus.subscribe(listener), None)
        queue = QueuedListener(listener, bound)
        unsubscribe = self._bus.subscribe(queue)
        self._queues.append(queue)

        def leave() -> None:
            unsubscribe()
            if queue in self._queues:
                self._queues.remove(queue)

        return Subscription(leave, queue)

    async def flush(self, seconds: float = _FLUSH_SECONDS) -> None:
        """Wait until the queued ones have heard all so far, for a bounded time."""
        give_up_at = MACHINE_CLOCK.monotonic() + seconds
        for queue in list(self._queues):
            while not queue.is_idle and MACHINE_CLOCK.monotonic() < give_up_at:
                await MACHINE_CLOCK.sleep(_LOOK_SECONDS)
