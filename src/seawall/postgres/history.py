"""Keeping earlier states of checkpoints, a bounded number of each."""

from dataclasses import dataclass
from typing import Any
from uuid import UUID

from seawall.postgres.names import in_schema

_REMEMBER = """
INSERT INTO {schema}.checkpoint_history
    (checkpoint_id, version, position, ahead, checkpoint_data, sink_state, state_version,
     read_count, write_count, skip_count, batch_count, retry_count, saved_at)
SELECT checkpoint_id, version, position, ahead, checkpoint_data, sink_state, state_version,
       read_count, write_count, skip_count, batch_count, retry_count, clock_timestamp()
FROM {schema}.checkpoints WHERE checkpoint_id = $1
ON CONFLICT (checkpoint_id, version) DO NOTHING
"""

_FORGET = """
DELETE FROM {schema}.checkpoint_history
WHERE checkpoint_id = $1 AND version < (
    SELECT min(version) FROM (
        SELECT version FROM {schema}.checkpoint_history WHERE checkpoint_id = $1
        ORDER BY version DESC LIMIT $2
    ) AS kept
)
"""


@dataclass(frozen=True, slots=True)
class History:
    """Keeps earlier states.

    Attributes:
        kept: states of each checkpoint at the most; 0 keeps none.
        seconds: between two that the commits of one worker keep.
    """

    kept: int = 10
    seconds: float = 30.0

    async def remember(self, connection: Any, schema: str, checkpoint_id: UUID) -> None:
        """Keep the state that the current transaction has saved."""
        if self.kept:
            await connection.execute(in_schema(_REMEMBER, schema), checkpoint_id)
            await connection.execute(in_schema(_FORGET, schema), checkpoint_id, self.kept)
