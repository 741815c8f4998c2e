"""The front door's runs, and the messages that commit with their work."""

from collections.abc import Mapping, Sequence
from typing import Any
from uuid import UUID

from seawall.manager.base import Base
from seawall.outbox import Message, Relay
from seawall.outbox.options import RelayOptions
from seawall.outbox.relay import Handler
from seawall.outbox.store import DeadMessage
from seawall.run import Run


class RunMethods(Base):
    """Runs, and the outbox."""

    def run(
        self,
        pipeline_id: str,
        run_id: str | None = None,
        *,
        release: str | None = None,
        tags: Mapping[str, Any] | None = None,
    ) -> Run:
        """The scope of one run: ``async with manager.run("flights") as run``.

        Args:
            pipeline_id: the pipeline.
            run_id: a run to go on with; None for a new one. Several processes may be in one run.
            release: version of the worker's code.
            tags: anything else to find it by.

        Raises:
            ErrorBudgetExhaustedError: on entering, where ``on_budget_exhausted`` is ``stop``, the
                pipeline's error budget is gone, and the run wasn't begun before.
        """
        return Run(
            self._services.kit.runs,
            pipeline_id,
            run_id,
            classify=self.classifier.classify,
            steps=self._services.kit.steps(self._policy),
            log_error=self._services.log_error,
            lease_seconds=self.config.lease_seconds,
            release=release,
            tags=tags,
            bus=self.bus,
            admit=self._services.analytics.budget.admit,
        )

    async def abandon_lost_runs(self, pipeline_id: str | None = None) -> list[str]:
        """End the runs whose workers have all vanished; the ids of those that are ``abandoned``.

        The next run of the pipeline does the same when it begins.

        Args:
            pipeline_id: of this pipeline only.
        """
        return await self._services.kit.runs.abandon_lost(pipeline_id)

    async def publish(
        self,
        connection: Any,
        topic: str,
        payload: Any,
        *,
        key: str | None = None,
        headers: Mapping[str, str] | None = None,
        idempotency_key: str | None = None,
    ) -> UUID:
        """Publish a message in a transaction of yours; it is delivered once that has committed.

        Inside a batch ``tx.publish`` does the same, and writes many at once.

        Args:
            connection: an asyncpg connection, in a transaction on this manager's database.
            topic: where it is to go; see ``relay``.
            payload: any value of the codec's.
            key: messages of one key are delivered in the order of their publishing. Of
                transactions that overlap, the one that publishes first need not commit first: one
                that comes to light late is delivered then.
            headers: names and texts beside the payload.
            idempotency_key: the same message published again under it, while it is in the outbox,
                is one message; its receiver knows it by that.

        Returns:
            The message's id, a UUIDv7.

        Raises:
            CodecError: the payload holds what can't come back equal.
            InvalidConfigError: a name is none.
        """
        message = Message(topic, payload, key, headers, idempotency_key)
        (message_id,) = await self._services.kit.outbox.publish(connection, [message])
        return message_id

    async def publish_many(self, connection: Any, messages: Sequence[Message]) -> list[UUID]:
        """``publish`` for many messages, of any topics, in one statement; their ids."""
        return await self._services.kit.outbox.publish(connection, messages)

    def relay(self, topics: str | Sequence[str], handler: Handler, **options: Any) -> Relay:
        """A relay: ``await manager.relay("orders", handler).run()`` delivers until cancelled.

        Args:
            topics: a topic, or several.
            handler: ``async (message)``, with ``message.payload``, ``.key``, ``.headers``,
                ``.idempotency_key``; what it raises is retried, later.
            **options: those of ``RelayOptions``: ``concurrency``, ``batch``, ``ordered``,
                ``max_attempts``, ``delay``, ``max_delay``, ``keep_hours``, ``lease_seconds``.

        Raises:
            InvalidConfigError: an option is out of range.
        """
        rules = RelayOptions(**{"lease_seconds": self.config.lease_seconds, **options})
        return self._services.kit.relay(topics, handler, rules)

    async def dead_messages(self, topic: str | None = None, limit: int = 100) -> list[DeadMessage]:
        """Messages that were given up, the last first, with the reason.

        Args:
            topic: of this topic only.
            limit: how many at the most.
        """
        return await self._services.kit.outbox.dead(topic, limit)

    async def requeue_messages(self, topic: str, message_id: UUID | None = None) -> int:
        """Deliver messages that were given up again, after those that wait; how many.

        Args:
            topic: their topic.
            message_id: this one only.
        """
        return await self._services.kit.outbox.requeue(topic, message_id)

    async def count_messages(self) -> list[dict[str, Any]]:
        """Messages in the outbox: ``topic``, ``status``, ``messages``, ``oldest_seconds``."""
        return await self._services.kit.outbox.counts()
