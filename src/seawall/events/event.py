"""The base of all events, and the bus that takes them to whoever listens."""

import logging
import secrets
from collections.abc import Callable
from dataclasses import dataclass, field

from seawall.scope import Scope, current_scope

_logger = logging.getLogger("seawall.events")


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """The base of all events.

    Attributes:
        scope: the run and step in whose context it happened.
    """

    scope: Scope = field(default_factory=current_scope.get)


Listener = Callable[[Event], object]


class EventBus:
    """Takes each event to every listener, in order of subscription.

    May be shared between tasks and threads; listeners run in the emitter's. With no listener,
    callers skip making the event: ``if bus.listeners: bus.emit(...)``.
    """

    __slots__ = ("listeners", "token")

    def __init__(self) -> None:
        self.token = secrets.token_hex(8)  # names it in marks on exceptions
        self.listeners: tuple[Listener, ...] = ()

    def subscribe(self, listener: Listener) -> Callable[[], None]:
        """Add ``listener``; the returned function takes it away again."""
        self.listeners = (*self.listeners, listener)

        def unsubscribe() -> None:
            self.listeners = tuple(each for each in self.listeners if each is not listener)

        return unsubscribe

    def emit(self, event: Event) -> None:
        """Give ``event`` to every listener; one that raises is logged, the others still hear it."""
        for listener in self.listeners:
            try:
                listener(event)
            except Exception:
                _logger.exception("listener %r failed on %s", listener, type(event).__name__)


default_bus = EventBus()
