"""The fleet's circuit breakers as rows of ``circuit_breaker_states``; the SQL is in migration 0002.

All goes through one connection of its own, which also hears of every change: a breaker must not
wait behind the batches for a connection of the pool.
"""

import logging
from collections.abc import Callable, Sequence
from typing import Any
from uuid import UUID

import msgspec

from seawall.circuitbreaker.fleet_store import Claim, FleetState, Report, Rule
from seawall.circuitbreaker.link import Verdict
from seawall.circuitbreaker.state import CircuitState
from seawall.postgres.listener import Listener
from seawall.postgres.names import in_schema
from seawall.text import recordable

_logger = logging.getLogger("seawall.postgres")

CHANNEL = "seawall_circuit_breakers"

# JSON goes and comes as text: a pool of the user's own may have a codec for it.
_SYNC = "SELECT s::text FROM {schema}.circuit_breaker_sync($1, $2::text::jsonb, $3) s"
_VOTE = """
SELECT {schema}.circuit_breaker_vote($1, $2, $3, $4, $5, $6, $7::text::jsonb, $8)::text
"""
_CLAIM = "SELECT {schema}.circuit_breaker_claim($1, $2, $3, $4, $5)::text"
_SETTLE = "SELECT {schema}.circuit_breaker_settle($1, $2, $3, $4::text::jsonb, $5)::text"
_FORCE = "SELECT {schema}.circuit_breaker_force($1, $2, $3, $4)::text"
_FORGET = "DELETE FROM {schema}.circuit_breaker_votes WHERE worker_id = $1"
_RENEW = """
UPDATE {schema}.circuit_breaker_permits
SET lease_until = clock_timestamp() + make_interval(secs => $2)
WHERE permit_id = $1 AND lease_until > clock_timestamp()
RETURNING permit_id
"""
_FORGET_SECONDS = 3600.0  # after which a worker's row is deleted


class PostgresBreakerStore:
    """The ``FleetStore`` over one database.

    Args:
        listener: the connection, outside the pool, that listens to ``CHANNEL``.
        schema: where the tables are.
    """

    def __init__(self, listener: Listener, schema: str) -> None:
        self._listener, self._schema = listener, schema

    async def run(
        self,
        hear: Callable[[FleetState], None],
        connected: Callable[[], None],
        lost: Callable[[], None],
    ) -> None:
        """Tell ``hear`` of every change until cancelled; see ``Listener.run``."""

        def heard(_channel: str, payload: str) -> None:
            try:
                message = msgspec.json.decode(payload)
                if message["schema"] == self._schema:
                    hear(_state(message))
            except (msgspec.DecodeError, KeyError, ValueError, TypeError):
                _logger.warning("a notification on %s can't be read: %.200r", CHANNEL, payload)

        await self._listener.run(heard, connected, lost)

    async def sync(self, worker_id: str, reports: Sequence[Report]) -> list[FleetState]:
        reported = _json([msgspec.structs.asdict(each) for each in reports])
        rows = await self._listener.fetch(self._query(_SYNC), worker_id, reported, _FORGET_SECONDS)
        return [_state(msgspec.json.decode(row[0])) for row in rows]

    async def vote(self, worker_id: str, report: Report, rule: Rule, reason: str) -> FleetState:
        return await self._state_of(
            _VOTE, report.service_name, worker_id, report.epoch, report.calls, report.failures,
            report.slow, _json(msgspec.structs.asdict(rule)), recordable(reason),
        )  # fmt: skip

    async def forget(self, worker_id: str) -> None:
        await self._listener.fetch(self._query(_FORGET), worker_id)

    async def claim(
        self, service_name: str, worker_id: str, permit_id: UUID, permitted: int, lease: float
    ) -> Claim:
        answer = msgspec.json.decode(
            await self._listener.fetchval(
                self._query(_CLAIM), service_name, worker_id, permit_id, permitted, lease
            )
        )
        return Claim(
            state=_state(answer["state"]),
            granted=answer.get("granted", False),
            wait=float(answer.get("wait") or 0.0),
        )

    async def renew(self, permit_id: UUID, lease: float) -> bool:
        return bool(await self._listener.fetch(self._query(_RENEW), permit_id, lease))

    async def settle(
        self, service_name: str, permit_id: UUID, verdict: Verdict, rule: Rule, reason: str
    ) -> FleetState:
        return await self._state_of(
            _SETTLE, service_name, permit_id, verdict.value, _json(msgspec.structs.asdict(rule)),
            recordable(reason),
        )  # fmt: skip

    async def force(
        self, service_name: str, state: CircuitState, seconds: float, reason: str
    ) -> FleetState:
        return await self._state_of(_FORCE, service_name, state.value, seconds, recordable(reason))

    async def _state_of(self, query: str, *args: Any) -> FleetState:
        answer = await self._listener.fetchval(self._query(query), *args)
        return _state(msgspec.json.decode(answer))

    def _query(self, query: str) -> str:
        return in_schema(query, self._schema)


def _json(value: object) -> str:
    return msgspec.json.encode(value).decode()


def _state(message: dict[str, Any]) -> FleetState:
    return FleetState(
        service_name=message["service_name"],
        state=CircuitState(message["state"]),
        epoch=message["epoch"],
        open_seconds=float(message["open_seconds"]),
        reason=message["reason"],
    )
