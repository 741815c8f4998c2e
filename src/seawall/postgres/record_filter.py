"""A ``RecordFilter`` as the WHERE of a query: fixed words for what is asked, values as parameters.

Only what is asked stands in the query, so that the server plans for just that.
"""

from typing import Any

from seawall.postgres.names import in_schema
from seawall.quarantine.record import RecordFilter
from seawall.text import storable

_CLAUSES = {
    "run_id": "run_id = {}",
    "quarantine_id": "quarantine_id = {}",
    "pipeline_id": "pipeline_id = {}",
    "step": "step = {}",
    "partition": "partition = {}",
    "reason": "reason = {}",
    "reason_prefix": "starts_with(reason, {})",
    "reason_like": "reason LIKE {}",
    "error_type": "error_type = {}",
    "sqlstate": "sqlstate = {}",
    "constraint_name": "constraint_name = {}",
    "status": "status = ANY({}::text[])",
    "after": "quarantined_at >= {}",
    "before": "quarantined_at < {}",
    "attempts_at_least": "attempts >= {}",
    "attempts_below": "attempts < {}",
    "record_ids": "record_id = ANY({}::uuid[])",
}


def filtered(
    query: str, schema: str, which: RecordFilter, *values: Any
) -> tuple[str, tuple[Any, ...]]:
    """The query with ``{which}`` filled in, and its arguments.

    Args:
        query: its own parameters are numbered from $1.
        schema: where seawall's tables are.
        which: the records.
        values: the query's own arguments.
    """
    asked = which.asked()
    clauses = [_CLAUSES[name].format(f"${n}") for n, name in enumerate(asked, len(values) + 1)]
    arguments = [storable(each) if isinstance(each, str) else each for each in asked.values()]
    text = query.replace("{which}", " AND ".join(clauses) or "true")
    return in_schema(text, schema), (*values, *arguments)
