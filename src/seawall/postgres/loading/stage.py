"""A batch in a temporary table without constraints: what can be sent, numbered."""

from collections.abc import Awaitable, Callable, Iterable, Sequence
from typing import Any, Protocol

import asyncpg

from seawall.postgres.loading.arbiter import Upsert
from seawall.postgres.loading.faults import is_about_a_record
from seawall.postgres.loading.isolate import isolate
from seawall.postgres.loading.rejection import Violation
from seawall.postgres.loading.shape import Shaped
from seawall.postgres.loading.target import Column, Target
from seawall.postgres.loading.values import Fault, faults
from seawall.postgres.loading.violations import NUMBER, Found
from seawall.postgres.names import quote


class Attempts(Protocol):
    """A transaction in which one piece of work can fail and be undone alone."""

    @property
    def connection(self) -> Any: ...
    async def attempt(self, work: Callable[[], Awaitable[Any]]) -> Any: ...


class Expectations:
    """What earlier batches of a step met in one table, so that the next looks there first."""

    __slots__ = ("bad_keys", "bad_values", "dirty", "no_copy", "repeats", "target", "upserts")

    def __init__(self, target: Target) -> None:
        self.target = target
        self.dirty = False  # the last batch had bad records: don't try the plain COPY
        self.bad_values = False  # values that can't be sent: test them before sending
        self.bad_keys = False  # repeated keys: ask for them before inserting
        self.no_copy = False  # a codec of the user's own has no use for COPY: insert
        self.repeats = False  # an upsert's keys are repeated in a batch: ask which
        self.upserts: dict[tuple[str, ...], Upsert] = {}  # by the columns that are loaded


# The temporary table was refused, or a question put to it was (a parent that may not be read, a
# constraint that speaks of the whole row): then the errors of plain COPYs must tell.
STAGE_REFUSED = (
    asyncpg.SyntaxOrAccessError,
    asyncpg.FeatureNotSupportedError,
    asyncpg.ReadOnlySQLTransactionError,
)


class Stage:
    """The temporary table of one batch; ``found`` gets what can't be sent.

    Attributes:
        sql: its quoted name.
        names: the loaded columns' names.
        tests_again: what the tests have found is kept, and they are asked again where it was
            dropped.
    """

    tests_again = False

    def __init__(
        self, unit: Attempts, expected: Expectations, shaped: Shaped, found: Found
    ) -> None:
        self._unit, self._expected, self._found = unit, expected, found
        self._target, self._columns = expected.target, shaped.columns
        self._rows: Sequence[Any] = shaped.rows
        self.name = f"seawall_stage_{expected.target.oid}"
        self.sql = f"pg_temp.{self.name}"
        self.names = [column.name for column in shaped.columns]

    def good(self) -> list[int]:
        if not self._found:
            return list(range(len(self._rows)))
        return [number for number in range(len(self._rows)) if number not in self._found]

    async def fill(self) -> None:
        """Bring all records that can be sent into the temporary table, with their numbers."""
        await self._unit.attempt(self.create)
        good = self.good()
        try:
            await self._unit.attempt(lambda: self.copy(good))
        except Exception as error:
            if not is_about_a_record(error):
                raise
        else:
            return
        if not self._expected.bad_values or self.tests_again:
            self._expected.bad_values = True
            await self.test_values()
            good = self.good()
        # What the tests don't know is found by the errors, into the temporary table.
        for place, violation in (await self.isolated(good)).items():
            self._found[good[place]].append(violation)

    async def isolated(self, good: Sequence[int]) -> dict[int, Violation]:
        """Copy what can be sent, one error at a time; the others by their place in ``good``."""
        numbered = [(*self._rows[number], number) for number in good]
        return await isolate(self._stage_copier(), [*self.names, NUMBER], numbered)

    async def create(self) -> None:
        parts = ", ".join(
            f"{quote(c.name)}::{c.type_sql} AS {quote(c.name)}" if c.domain else quote(c.name)
            for c in self._columns
        )
        await self._unit.connection.execute(
            f"DROP TABLE IF EXISTS {self.sql}; "  # of an earlier load in this transaction
            f"CREATE TEMPORARY TABLE {self.name} ON COMMIT DROP AS "
            f"SELECT {parts}, 0 AS {quote(NUMBER)} FROM {self._target.sql} WITH NO DATA"
        )

    async def copy(self, good: Sequence[int]) -> None:
        rows = self._rows
        await self._unit.connection.copy_records_to_table(
            self.name,
            columns=[*self.names, NUMBER],
            records=((*rows[number], number) for number in good),
        )

    def _stage_copier(self) -> Callable[[Iterable[Sequence[Any]]], Awaitable[object]]:
        async def copy(rows: Iterable[Sequence[Any]]) -> None:
            await self._unit.attempt(
                lambda: self._unit.connection.copy_records_to_table(
                    self.name, columns=[*self.names, NUMBER], records=rows
                )
            )

        return copy

    # -- values that can't be sent -------------------------------------------------------------

    async def test_values(self) -> None:
        usual: dict[tuple[int, type], bool] = {}
        good = self.good()
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


def _violation(column: Column, fault: Fault) -> Violation:
    return Violation(
        column.number,
        f'column "{column.name}" ({column.type_sql}): {fault.message}',
        fault.sqlstate or "22000",
        column_name=column.name,
    )
