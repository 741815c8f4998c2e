"""A loop in the server that loads staged records one after the other, each failing alone.

One statement whatever their number, and right whatever the table has on it: it is what a client
with a savepoint a record would do, without the round trips.
"""

import json
from collections.abc import Sequence
from typing import Any

from seawall.postgres.loading.rejection import Violation
from seawall.postgres.loading.violations import NUMBER
from seawall.postgres.names import quote

_N = quote(NUMBER)
_FAULTS = "seawall.faults"  # a setting of the transaction carries them back

# As `faults.is_about_a_record`.
_LOOP = """
#variable_conflict use_column
DECLARE
    seawall_row record; seawall_state text; seawall_message text; seawall_constraint text;
    seawall_column text; seawall_detail text; seawall_faults text[] := '{{}}';
BEGIN
    FOR seawall_row IN SELECT {names}, {n} FROM {stage} WHERE {n} {chosen} ORDER BY {n} LOOP
        BEGIN
            INSERT INTO {target} ({names}) OVERRIDING SYSTEM VALUE VALUES ({values}) {clause};
        EXCEPTION WHEN OTHERS OR assert_failure THEN
            GET STACKED DIAGNOSTICS seawall_state = RETURNED_SQLSTATE,
                seawall_message = MESSAGE_TEXT, seawall_constraint = CONSTRAINT_NAME,
                seawall_column = COLUMN_NAME, seawall_detail = PG_EXCEPTION_DETAIL;
            IF seawall_state !~ '^(22|23|44|P0|[I-OQ-W])' THEN RAISE; END IF;
            seawall_faults := seawall_faults || json_build_array(seawall_row.{n}, seawall_state,
                seawall_message, seawall_constraint, seawall_column, seawall_detail)::text;
        END;
    END LOOP;
    PERFORM set_config('{faults}', array_to_json(seawall_faults)::text, true);
END
"""


def loop(target: str, stage: str, names: Sequence[str], chosen: str, clause: str) -> str:
    """The statement: load the staged records whose number fits ``chosen``, in their order."""
    quoted = [quote(name) for name in names]
    body = _LOOP.format(
        target=target,
        stage=stage,
        names=", ".join(quoted),
        values=", ".join(f"seawall_row.{name}" for name in quoted),
        n=_N,
        chosen=chosen,
        clause=clause,
        faults=_FAULTS,
    )
    return f"DO LANGUAGE plpgsql {_literal(body)}"


async def rejected(connection: Any) -> list[tuple[int, Violation]]:
    """The records that the last loop could not load, with the server's error of each."""
    text = await connection.fetchval("SELECT current_setting($1)", _FAULTS)
    return [_violation(*json.loads(each)) for each in json.loads(text)]


def _violation(
    number: int, sqlstate: str, message: str, constraint: str, column: str, detail: str
) -> tuple[int, Violation]:
    return number, Violation(
        0,
        message,
        sqlstate,
        constraint_name=constraint or None,
        column_name=column or None,
        detail=detail or None,
    )


def _literal(text: str) -> str:
    escaped = text.replace("\\", "\\\\").replace("'", "''")
    return f"E'{escaped}'"
