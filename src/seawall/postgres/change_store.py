"""Notifications that something changed, for who looks."""

from collections.abc import Iterable
from typing import Any

from seawall.postgres.listener import Listener

CHANNEL = "seawall_changes"

_TELL = "SELECT pg_notify($1, $2)"


class PostgresChangeStore:
    """Tells over the listener's connection: it waits for no batch, and no batch for it."""

    def __init__(self, listener: Listener, schema: str) -> None:
        self._listener, self._schema = listener, schema

    async def tell(self, topics: Iterable[str]) -> None:
        """Tell whoever listens."""
        await self._listener.fetch(_TELL, CHANNEL, message_of(self._schema, topics))


async def tell(connection: Any, schema: str, *topics: str) -> None:
    """Tell with the commit of the connection's transaction; for small ones that are rare."""
    await connection.execute(_TELL, CHANNEL, message_of(schema, topics))


def message_of(schema: str, topics: Iterable[str]) -> str:
    """The schema whose rows changed, then the topics."""
    return "\n".join((schema, *sorted(topics)))


def topics_of(message: str, schema: str) -> set[str]:
    """The topics of a message about ``schema``; none of one about another."""
    whose, *topics = message.split("\n")
    return set(topics) if whose == schema else set()
