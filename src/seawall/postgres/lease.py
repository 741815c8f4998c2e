"""Leases of steps: the row, and whether who has it is still there."""

from typing import Any
from uuid import UUID

from seawall import process

LEASE = """
INSERT INTO {schema}.checkpoint_leases AS l (checkpoint_id, fence, owner, process, lease_until)
VALUES ($1, $2, $3, $4, clock_timestamp() + make_interval(secs => $5))
ON CONFLICT (checkpoint_id) DO UPDATE
SET fence = excluded.fence, owner = excluded.owner, process = excluded.process,
    lease_until = excluded.lease_until
"""

RENEW = """
UPDATE {schema}.checkpoint_leases
SET lease_until = clock_timestamp() + make_interval(secs => $3)
WHERE checkpoint_id = $1 AND fence = $2
"""

# An INSERT, since it alone waits for one under way elsewhere: an UPDATE would not see that.
GIVE_BACK = """
INSERT INTO {schema}.checkpoint_leases AS l (checkpoint_id, fence, owner, lease_until)
VALUES ($1, $2, 'nobody', clock_timestamp())
ON CONFLICT (checkpoint_id) DO UPDATE SET lease_until = excluded.lease_until
WHERE l.fence = excluded.fence
"""

# The steps that this process has open: a lease of its own that is not among them was left behind.
open_here: set[tuple[UUID, int]] = set()


def is_left_behind(holder: Any) -> bool:
    """Whether a lease (a row with fence and process) belongs to a worker that is no more."""
    if holder["process"] == process.identity():
        return (holder["checkpoint_id"], holder["fence"]) not in open_here
    return process.is_dead(holder["process"])
