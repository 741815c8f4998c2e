"""The messages that a relay has in hand: which may begin, and which wait for another."""

from collections import deque
from collections.abc import Iterable
from uuid import UUID

from seawall.outbox.store import TakenMessage

Lane = tuple[str, str]


class Hand:
    """Taken messages, by lane: of one topic and key, one at a time and in order.

    Args:
        by_key: without it every message is its own lane.
    """

    def __init__(self, *, by_key: bool) -> None:
        self._by_key = by_key
        self._ready: deque[TakenMessage] = deque()
        self._lanes: dict[Lane, deque[TakenMessage]] = {}
        self._held: dict[UUID, TakenMessage] = {}

    def __len__(self) -> int:
        return len(self._held)

    @property
    def ready(self) -> int:
        """How many could begin now."""
        return len(self._ready)

    def messages(self) -> list[TakenMessage]:
        """All of them, begun or not, in the order of their lanes."""
        return list(self._held.values())

    def add(self, messages: Iterable[TakenMessage]) -> None:
        """Take them in, in the order in which each lane's are to be delivered.

        One that is here already was lost and is back: its lane begins anew, and what waited behind
        it is another's, or comes back too.
        """
        for message in messages:
            if (lost := self._held.get(message.message_id)) is not None:
                self.stopped(lost)
            self._held[message.message_id] = message
            lane = self._lane(message)
            if lane is None:
                self._ready.append(message)
            elif lane in self._lanes:
                self._lanes[lane].append(message)
            else:
                self._lanes[lane] = deque()
                self._ready.append(message)

    def pop(self) -> TakenMessage | None:
        """The next that may begin; it stays in hand."""
        while self._ready:
            message = self._ready.popleft()
            if self._has(message):
                return message
        return None

    def done(self, message: TakenMessage) -> bool:
        """It is over: the next of its lane may begin. True where the lane is through."""
        if not self._has(message):
            return True
        del self._held[message.message_id]
        lane = self._lane(message)
        if lane is None:
            return False
        waiting = self._lanes[lane]
        if waiting:
            self._ready.append(waiting.popleft())
            return False
        del self._lanes[lane]
        return True

    def stopped(self, message: TakenMessage) -> list[TakenMessage]:
        """It will come again: those of its lane that wait in hand, which leave it with this one."""
        if not self._has(message):
            return []
        del self._held[message.message_id]
        lane = self._lane(message)
        others = [] if lane is None else [m for m in self.messages() if self._lane(m) == lane]
        for each in others:
            del self._held[each.message_id]
        if lane is not None:
            del self._lanes[lane]
        return others

    def _has(self, message: TakenMessage) -> bool:
        return self._held.get(message.message_id) is message

    def _lane(self, message: TakenMessage) -> Lane | None:
        if not self._by_key or message.key is None:
            return None
        return message.topic, message.key
