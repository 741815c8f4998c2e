"""A block of a file in a temporary table: the server's types say which values they can't read.

From PostgreSQL 16 on `pg_input_is_valid` tells it of all values in one scan. Before, and for types
whose input is of the older kind, a loop in the server tries each record. Either is one statement,
however many are bad.
"""

import json
from collections.abc import Iterable, Sequence
from typing import Any

from seawall.postgres.loading.faults import is_about_a_record
from seawall.postgres.loading.isolate import isolate
from seawall.postgres.loading.rejection import Violation
from seawall.postgres.loading.shape import Shaped
from seawall.postgres.loading.stage import Attempts, Expectations, Stage
from seawall.postgres.loading.target import Column
from seawall.postgres.loading.text import TextRow, TextRows, copy_numbered
from seawall.postgres.loading.violations import DOMAIN_INPUT_VERSION, NUMBER, Found

_TEXTS = "seawall_texts"
_FAULTS = "seawall.faults"  # a setting of the transaction carries them back
_ANY_TEXT = ("text", "varchar", "bpchar")

# As `faults.is_about_a_record`. A variable takes its text by its type's input function, as COPY
# does; a cast to varchar(3) would cut the text off.
_LOOP = """
DECLARE
    seawall_row record; seawall_state text; seawall_message text; seawall_faults text[] := '{{}}';
    {variables}
BEGIN
    FOR seawall_row IN SELECT * FROM pg_temp.{texts} LOOP
        BEGIN
            {all}
        EXCEPTION WHEN OTHERS THEN
            {each}
        END;
    END LOOP;
    PERFORM set_config('{faults}', array_to_json(seawall_faults)::text, true);
END
"""
_ONE = """
            BEGIN
                {assignment}
            EXCEPTION WHEN OTHERS THEN
                GET STACKED DIAGNOSTICS seawall_state = RETURNED_SQLSTATE,
                    seawall_message = MESSAGE_TEXT;
                IF seawall_state !~ '^(22|23)' THEN RAISE; END IF;
                seawall_faults := seawall_faults || json_build_array(
                    seawall_row.n, {place}, seawall_row.c{place}, seawall_state, seawall_message
                )::text;
            END;
"""

Fault = tuple[int, int, str, str, str]  # record, place of the column, text, SQLSTATE, message


def stage_of(unit: Attempts, expected: Expectations, shaped: Shaped, found: Found) -> Stage:
    """The temporary table for records of either kind."""
    if isinstance(shaped.rows, TextRows):
        return TextStage(unit, expected, shaped, found, shaped.rows)
    return Stage(unit, expected, shaped, found)


class TextStage(Stage):
    """The temporary table of a block's records, which COPY reads."""

    tests_again = True

    def __init__(
        self,
        unit: Attempts,
        expected: Expectations,
        shaped: Shaped,
        found: Found,
        rows: TextRows,
    ) -> None:
        super().__init__(unit, expected, shaped, found)
        self._block = rows.block
        self._faults: list[Fault] | None = None

    async def copy(self, good: Sequence[int]) -> None:
        await copy_numbered(
            self._unit.connection, self.name, [NUMBER, *self.names], self._block, good
        )

    async def isolated(self, good: Sequence[int]) -> dict[int, Violation]:
        return await self._isolated(self.name, [NUMBER, *self.names], good)

    async def _isolated(
        self, table: str, names: Sequence[str], good: Sequence[int]
    ) -> dict[int, Violation]:
        async def copy(rows: Iterable[Any]) -> None:
            numbers = [row.number for row in rows]
            await self._unit.attempt(
                lambda: copy_numbered(self._unit.connection, table, names, self._block, numbers)
            )

        return await isolate(copy, names[1:], [TextRow(self._block, number) for number in good])

    # -- values that their types can't read ----------------------------------------------------

    async def test_values(self) -> None:
        if self._faults is None:
            self._faults = await self._tested()
        known = set(self._found)  # what was found before may have been dropped since, or not
        for number, place, text, sqlstate, message in self._faults:
            if number not in known:
                column = self._columns[place]
                self._found[number].append(_violation(column, text, sqlstate, message))
        self._expected.bad_values = bool(self._faults)

    async def _tested(self) -> list[Fault]:
        tested = [(place, c) for place, c in enumerate(self._columns) if not _takes_all(c)]
        await self._unit.attempt(self._create_texts)
        await self._fill_texts()
        return await self._asked(tested) if tested else []

    async def _create_texts(self) -> None:
        columns = ", ".join(f"c{place} text" for place in range(len(self._columns)))
        await self._unit.connection.execute(
            f"DROP TABLE IF EXISTS pg_temp.{_TEXTS}; "
            f"CREATE TEMPORARY TABLE {_TEXTS} (n int, {columns}) ON COMMIT DROP"
        )

    async def _fill_texts(self) -> None:
        names = ["n", *(f"c{place}" for place in range(len(self._columns)))]
        good = self.good()
        try:
            await self._unit.attempt(
                lambda: copy_numbered(self._unit.connection, _TEXTS, names, self._block, good)
            )
        except Exception as error:
            if not is_about_a_record(error):
                raise
        else:
            return
        # Not even texts: bytes that this database's encoding doesn't have.
        for place, violation in (await self._isolated(_TEXTS, names, good)).items():
            self._found[good[place]].append(violation)

    async def _asked(self, tested: Sequence[tuple[int, Column]]) -> list[Fault]:
        connection = self._unit.connection
        if connection.get_server_version().major >= DOMAIN_INPUT_VERSION:
            try:
                found: list[Fault] = await self._unit.attempt(lambda: _by_input(connection, tested))
            except Exception as error:
                if not is_about_a_record(error):
                    raise
            else:
                return found
        await connection.execute(_loop(tested))
        text = await connection.fetchval("SELECT current_setting($1)", _FAULTS)
        return [tuple(json.loads(each)) for each in json.loads(text)]


async def _by_input(connection: Any, tested: Sequence[tuple[int, Column]]) -> list[Fault]:
    refused = [
        f"pg_input_is_valid(c{place}, {_literal(_type(column))}) IS FALSE"
        for place, column in tested
    ]
    # MATERIALIZED: the bad ones are found once, by one scan.
    each = " UNION ALL ".join(
        f"SELECT b.n, {place} AS place, b.c{place} AS text, i.sql_error_code, i.message "
        f"FROM bad b, pg_input_error_info(b.c{place}, {_literal(_type(column))}) i "
        "WHERE i.message IS NOT NULL"
        for place, column in tested
    )
    rows = await connection.fetch(
        f"WITH bad AS MATERIALIZED (SELECT * FROM pg_temp.{_TEXTS} WHERE {' OR '.join(refused)}) "
        f"{each}"
    )
    return [(row[0], row[1], row[2], row[3], row[4]) for row in rows]


def _loop(tested: Sequence[tuple[int, Column]]) -> str:
    assignments = {place: f"seawall_{place} := seawall_row.c{place};" for place, _ in tested}
    body = _LOOP.format(
        variables=" ".join(f"seawall_{place} {_type(column)};" for place, column in tested),
        texts=_TEXTS,
        all=" ".join(assignments.values()),
        each="".join(_ONE.format(assignment=a, place=place) for place, a in assignments.items()),
        faults=_FAULTS,
    )
    return f"DO LANGUAGE plpgsql {_literal(body)}"


def _takes_all(column: Column) -> bool:
    return column.domain is None and column.type_name in _ANY_TEXT and column.typmod < 0


def _type(column: Column) -> str:
    return column.domain or column.type_sql


def _violation(column: Column, text: str, sqlstate: str, message: str) -> Violation:
    """The same reason for every value that has the same fault; the value is the detail."""
    reason = message.removesuffix(f': "{text}"')
    for told in (f'value "{text}"', f'"{text}"'):
        reason = reason.replace(told, "the value")
    return Violation(
        column.number,
        f'column "{column.name}" ({column.type_sql}): {reason}',
        sqlstate,
        column_name=column.name,
        detail=f'"{text}"' if reason != message else None,
    )


def _literal(text: str) -> str:
    escaped = text.replace("\\", "\\\\").replace("'", "''")
    return f"E'{escaped}'"
