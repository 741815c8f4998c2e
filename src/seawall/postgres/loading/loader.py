"""Loading a batch by COPY; its bad records are found, told to the caller, the rest is loaded."""

from collections import defaultdict
from collections.abc import Awaitable, Callable, Iterable, Sequence
from typing import Any, Protocol

import asyncpg

from seawall.checkpoint.model import Rejection
from seawall.postgres.loading.faults import is_about_a_record
from seawall.postgres.loading.isolate import isolate
from seawall.postgres.loading.rejection import Violation, reject
from seawall.postgres.loading.shape import Shaped, shape
from seawall.postgres.loading.target import Column, Target, constraints, describe
from seawall.postgres.loading.values import Fault, faults
from seawall.postgres.loading.violations import (
    NUMBER,
    UNIQUE_VIOLATION,
    Found,
    StagedRecords,
)
from seawall.postgres.names import quote

Rows = Sequence[Sequence[Any]]


class Attempts(Protocol):
    """A transaction in which one piece of work can fail and be undone alone."""

    @property
    def connection(self) -> Any: ...
    async def attempt(self, work: Callable[[], Awaitable[Any]]) -> Any: ...


class Expectations:
    """What earlier batches of a step met in one table, so that the next looks there first."""

    __slots__ = ("bad_keys", "bad_values", "dirty", "target")

    def __init__(self, target: Target) -> None:
        self.target = target
        self.dirty = False  # the last batch had bad records: don't try the plain COPY
        self.bad_values = False  # values that can't be sent: test them before sending
        self.bad_keys = False  # repeated keys: ask for them before inserting


class Loader:
    """Loads into any table, and remembers what to expect of each; one for each opened step."""

    def __init__(self) -> None:
        self._tables: dict[str, Expectations] = {}

    async def load(
        self, unit: Attempts, table: str, records: Sequence[Any], names: Sequence[str] | None
    ) -> list[Rejection]:
        """Copy ``records`` into ``table`` but for those returned.

        Raises:
            MissingTableError: no such table or column.
            asyncpg.PostgresError: whatever is not about a record (rights, disk, connection).
        """
        expected = self._tables.get(table)
        if expected is None:
            target = await describe(unit.connection, table)
            expected = self._tables[table] = Expectations(target)
        if not records:
            return []
        if not expected.dirty:
            shaped = shape(records, expected.target, names)
            if not shaped.misfits and await _copied(unit, expected.target, shaped):
                return []
        # Bad records may be good by now: the table is looked at anew whenever there are some.
        expected.target = await describe(unit.connection, table)
        shaped = shape(records, expected.target, names)
        found: Found = defaultdict(list)
        for number, violation in shaped.misfits.items():
            found[number].append(violation)
        await _Dirty(unit, expected, shaped, found).load()
        return [reject(number, found[number]) for number in sorted(found)]


async def _copied(unit: Attempts, target: Target, shaped: Shaped) -> bool:
    """Whether the plain COPY took all records; it is undone if not."""
    try:
        await unit.attempt(lambda: _copy(unit.connection, target, shaped.columns, shaped.rows))
    except Exception as error:
        if not is_about_a_record(error):
            raise
        return False
    return True


async def _copy(
    connection: Any, target: Target, columns: Sequence[Column], rows: Iterable[Sequence[Any]]
) -> None:
    await connection.copy_records_to_table(
        target.name,
        schema_name=target.schema,
        columns=[column.name for column in columns],
        records=rows,
    )


class _Dirty:
    """One batch that has, or is expected to have, bad records."""

    def __init__(
        self, unit: Attempts, expected: Expectations, shaped: Shaped, found: Found
    ) -> None:
        self._unit, self._expected, self._found = unit, expected, found
        self._target, self._columns, self._rows = expected.target, shaped.columns, shaped.rows
        self._stage = f"seawall_stage_{expected.target.oid}"
        self._names = [column.name for column in shaped.columns]

    async def load(self) -> None:
        """Load what is good; ``found`` then holds what is bad."""
        expected = self._expected
        if expected.bad_values:
            await self._test_values()
        # Keys are the dearest to ask for: a later batch asks only if an earlier one had bad ones.
        keys = expected.bad_keys or not expected.dirty
        loaded = self._target.plain and (
            await self._by_constraints(unique=keys)
            or (not keys and await self._by_constraints(unique=True))
        )
        if not loaded:
            await self._by_errors()
        expected.dirty = bool(self._found)

    # -- values that can't be sent -------------------------------------------------------------

    async def _test_values(self) -> None:
        usual: dict[tuple[int, type], bool] = {}
        good = self._good()
        for index, place, fault in faults(self._columns, [self._rows[n] for n in good]):
            value = self._rows[good[index]][place]
            kind = (place, type(value))
            if fault.sqlstate is None and kind not in usual:
                usual[kind] = await self._really_refused(self._columns[place], value)
            if fault.sqlstate is not None or usual[kind]:
                self._found[good[index]].append(_violation(self._columns[place], fault))

    async def _really_refused(self, column: Column, value: Any) -> bool:
        """Ask asyncpg about one such value: a codec of the user's own may well take it."""
        query = f"SELECT $1::{column.domain or column.type_sql}"
        try:
            await self._unit.attempt(lambda: self._unit.connection.fetchval(query, value))
        except Exception as error:
            if not is_about_a_record(error):
                raise
            return True
        return False

    # -- by constraints ------------------------------------------------------------------------

    async def _by_constraints(self, *, unique: bool) -> bool:
        """Load by way of the temporary table; False, with nothing done, if that can't tell all."""
        before = {number: list(violations) for number, violations in self._found.items()}
        try:
            await self._unit.attempt(lambda: self._stage_and_insert(unique=unique))
        except Exception as error:
            if not is_about_a_record(error) and not isinstance(error, _STAGE_REFUSED):
                raise
            self._found.clear()
            self._found.update(before)
            return False
        return True

    async def _stage_and_insert(self, *, unique: bool) -> None:
        connection = self._unit.connection
        await self._stage_good()
        staged = StagedRecords(
            connection,
            self._target,
            self._columns,
            await constraints(connection, self._target),
            self._stage,
            self._rows,
        )
        violations = await staged.violations(unique=unique)
        names = ", ".join(quote(name) for name in self._names)
        # COPY takes values for identity columns as they are: so must this.
        await connection.execute(
            f"INSERT INTO {self._target.sql} ({names}) OVERRIDING SYSTEM VALUE "
            f"SELECT {names} FROM {self._stage} WHERE {quote(NUMBER)} <> ALL($1)",
            list(violations),
        )
        for number, broken in violations.items():
            self._found[number] += broken
            self._expected.bad_keys |= any(each.sqlstate == UNIQUE_VIOLATION for each in broken)

    async def _stage_good(self) -> None:
        """Bring all records that can be sent into the temporary table, with their numbers."""
        await self._unit.attempt(self._create_stage)
        good = self._good()
        try:
            await self._unit.attempt(lambda: self._copy_to_stage(good))
        except Exception as error:
            if not is_about_a_record(error):
                raise
        else:
            return
        if not self._expected.bad_values:
            self._expected.bad_values = True
            await self._test_values()
            good = self._good()
        # What the tests don't know is found by the errors, into the temporary table.
        numbered = [(*self._rows[number], number) for number in good]
        bad = await isolate(self._stage_copier(), [*self._names, NUMBER], numbered)
        for place, violation in bad.items():
            self._found[good[place]].append(violation)

    async def _create_stage(self) -> None:
        parts = ", ".join(
            f"{quote(c.name)}::{c.type_sql} AS {quote(c.name)}" if c.domain else quote(c.name)
            for c in self._columns
        )
        await self._unit.connection.execute(
            f"CREATE TEMPORARY TABLE {self._stage} ON COMMIT DROP AS "
            f"SELECT {parts}, 0 AS {quote(NUMBER)} FROM {self._target.sql} WITH NO DATA"
        )

    async def _copy_to_stage(self, good: Sequence[int]) -> None:
        rows = self._rows
        await self._unit.connection.copy_records_to_table(
            self._stage,
            columns=[*self._names, NUMBER],
            records=((*rows[number], number) for number in good),
        )

    def _stage_copier(self) -> Callable[[Iterable[Sequence[Any]]], Awaitable[object]]:
        async def copy(rows: Iterable[Sequence[Any]]) -> None:
            await self._unit.attempt(
                lambda: self._unit.connection.copy_records_to_table(
                    self._stage, columns=[*self._names, NUMBER], records=rows
                )
            )

        return copy

    # -- by errors -----------------------------------------------------------------------------

    async def _by_errors(self) -> None:
        good = self._good()
        rows = [self._rows[number] for number in good]

        async def copy(rows: Iterable[Sequence[Any]]) -> None:
            await self._unit.attempt(
                lambda: _copy(self._unit.connection, self._target, self._columns, rows)
            )

        for place, violation in (await isolate(copy, self._names, rows)).items():
            self._found[good[place]].append(violation)

    def _good(self) -> list[int]:
        if not self._found:
            return list(range(len(self._rows)))
        return [number for number in range(len(self._rows)) if number not in self._found]


# The temporary table was refused, or a question put to it was (a parent that may not be read, a
# constraint that speaks of the whole row): then the errors of plain COPYs must tell.
_STAGE_REFUSED = (
    asyncpg.SyntaxOrAccessError,
    asyncpg.FeatureNotSupportedError,
    asyncpg.ReadOnlySQLTransactionError,
)


def _violation(column: Column, fault: Fault) -> Violation:
    return Violation(
        column.number,
        f'column "{column.name}" ({column.type_sql}): {fault.message}',
        fault.sqlstate or "22000",
        column_name=column.name,
    )
