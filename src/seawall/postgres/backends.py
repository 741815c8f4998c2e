"""The server's backends that run a step's batches: named, so that a successor can end them.

A worker frozen or cut off between two statements loses its transaction to
``idle_in_transaction_session_timeout``. In the middle of a COPY its backend isn't idle: it waits
for the rest of the rows, with its locks, for as long as the connection seems to be there, and
whoever loads the same keys waits with it.
"""

import logging
from typing import Any
from uuid import UUID

import asyncpg

_logger = logging.getLogger("seawall.checkpoint")

_END = """
SELECT count(*) FILTER (WHERE pg_terminate_backend(pid)) FROM pg_stat_activity
WHERE application_name = $1 AND datname = current_database() AND pid <> pg_backend_pid()
"""


def name_of(checkpoint_id: UUID) -> str:
    """The ``application_name`` of a backend while it runs a batch of the step."""
    return f"seawall step {checkpoint_id}"


async def end_those_of(checkpoint_id: UUID, connection: Any) -> None:
    """End the transactions that an earlier owner of the step has left open.

    Only for whoever has raised the fence: all that they could still do is fail.
    """
    try:
        ended = await connection.fetchval(_END, name_of(checkpoint_id))
    except asyncpg.InsufficientPrivilegeError as error:
        # Another role's: its locks are waited for.
        _logger.warning("backends of the step's last owner can't be ended: %s", error)
        return
    if ended:
        _logger.info("ended %d backends that the step's last owner had left at work", ended)
