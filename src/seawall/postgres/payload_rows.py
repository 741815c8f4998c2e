"""Payloads in rows: which columns hold them, and whose they are."""

from collections.abc import Mapping
from typing import Any

from seawall.quarantine.form import Owner, Stored

# What ``stored`` and ``owner`` need of a row of quarantined_records; JSON comes as text, whatever
# codec a user's pool may have.
COLUMNS = "record_id, run_id, step, payload::text AS payload, redacted"
# The same of quarantine_edits, which has the columns of the payload only.
EDIT_COLUMNS = "payload::text AS payload, redacted"


async def stored(_connection: Any, _schema: str, row: Mapping[str, Any]) -> Stored:
    """The payload in a row."""
    return Stored(row["payload"], row["redacted"])


def owner(row: Mapping[str, Any]) -> Owner:
    """Whose payload a row of ``COLUMNS`` holds."""
    return (row["record_id"], row["run_id"], row["step"])
