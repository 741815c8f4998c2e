"""The fleet's tokens as rows of ``fleet_tokens``; the SQL is in migration 0003."""

from collections.abc import Sequence

import msgspec

from seawall.postgres.listener import Listener
from seawall.postgres.names import in_schema
from seawall.slices import TokenAnswer, TokenRequest

# JSON goes and comes as text: a pool of the user's own may have a codec for it.
_EXCHANGE = "SELECT t::text FROM {schema}.fleet_tokens_exchange($1, $2::text::jsonb, $3) t"
_LIVE_SECONDS = 15.0  # after which a silent worker has no share


class PostgresSliceStore:
    """The ``SliceStore`` over the fleet's own connection.

    Args:
        listener: the connection, outside the pool.
        schema: where the tables are.
    """

    def __init__(self, listener: Listener, schema: str) -> None:
        self._listener, self._schema = listener, schema

    async def exchange(self, worker_id: str, requests: Sequence[TokenRequest]) -> list[TokenAnswer]:
        rows = await self._listener.fetch(
            in_schema(_EXCHANGE, self._schema),
            worker_id,
            msgspec.json.encode(requests).decode(),
            _LIVE_SECONDS,
        )
        return [msgspec.json.decode(row[0], type=TokenAnswer) for row in rows]
