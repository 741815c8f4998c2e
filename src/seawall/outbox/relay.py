"""Relay: takes messages out of the outbox and gives them to a handler, each at least once."""

from collections.abc import Awaitable, Callable, Sequence
from typing import Any

from seawall.classification import Classifier, default_classifier
from seawall.clock import MACHINE_CLOCK, Clock
from seawall.config import Range
from seawall.errors import InvalidConfigError
from seawall.masking import Masker, default_masker
from seawall.operation import is_async
from seawall.outbox.message import Delivery, check_name
from seawall.outbox.options import RelayOptions
from seawall.outbox.session import Session
from seawall.outbox.store import OutboxStore

Handler = Callable[[Delivery], Awaitable[object]]


class Relay:
    """Delivers the messages of its topics. Belongs to one event loop.

    At least once: a relay that dies in the middle of a delivery leaves it to another, so that a
    handler must bear a message twice; ``idempotency_key`` tells it. A message that was reported is
    not delivered again. While a handler works no transaction is open: a lease, renewed in the
    background, keeps the message from other relays.

    Relays in any number of processes share the work; of one key, one message at a time is out.

    Args:
        store: where messages are kept.
        topics: one topic, or several.
        handler: ``async (message: Delivery)``; what it raises is the message's failure.
        options: how it delivers.
        decode: the codec's way back.
        worker_id: this worker, for people.
        classifier: decides the error type of a failure.
        masker: finds secrets in its message.
        clock: gives the waits.

    Raises:
        InvalidConfigError: no topic, or a handler that isn't async.
    """

    def __init__(
        self,
        store: OutboxStore,
        topics: str | Sequence[str],
        handler: Handler,
        options: RelayOptions,
        *,
        decode: Callable[[str], Any],
        worker_id: str,
        classifier: Classifier = default_classifier,
        masker: Masker = default_masker,
        clock: Clock = MACHINE_CLOCK,
    ) -> None:
        self.topics = (topics,) if isinstance(topics, str) else tuple(dict.fromkeys(topics))
        if not self.topics:
            raise InvalidConfigError("topics=[]: must be a topic, or several")
        for topic in self.topics:
            check_name("topic", topic)
        if not is_async(handler):
            raise InvalidConfigError(
                f"handler={handler!r}: must be an async function of one message; a thread could "
                "not be stopped when its message is given to another relay"
            )
        self.options = options
        self._store, self._handler, self._decode = store, handler, decode
        self._worker_id, self._classifier, self._clock = worker_id, classifier, clock
        self._masker = masker

    async def run(self, *, poll_seconds: float = 0.2) -> None:
        """Deliver until cancelled: a task of your own, beside the worker's others.

        Cancelled, it stops the handlers and gives back what it has in hand, for others to deliver
        at once. A database that can't be reached is asked again at the next look.

        Args:
            poll_seconds: between two looks where nothing is due. A look is one read of an index;
                messages aren't announced (see docs/decisions).

        Raises:
            InvalidConfigError: an option is out of range.
            NotStartedError: the manager is not started, or was closed.
        """
        Range(float, low_open=True).check("poll_seconds", poll_seconds)
        await self._session().run(poll_seconds)

    async def deliver(self) -> int:
        """Deliver what is due, until nothing is; how many were delivered.

        Those that fail wait for their next attempt, which this doesn't wait for.
        """
        session = self._session()
        await session.run(None)
        return session.delivered

    def _session(self) -> Session:
        return Session(
            self._store,
            self.topics,
            self._handler,
            self.options,
            decode=self._decode,
            worker_id=self._worker_id,
            classifier=self._classifier,
            masker=self._masker,
            clock=self._clock,
        )
