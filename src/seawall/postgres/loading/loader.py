"""Loading a batch by COPY; its bad records are found, told to the caller, the rest is loaded."""

from collections import defaultdict
from collections.abc import Awaitable, Callable, Iterable, Sequence
from typing import Any

import asyncpg

from seawall.checkpoint.model import Rejection
from seawall.conflict import OnConflictOption, check_on_conflict
from seawall.postgres.loading.arbiter import indexes, resolve
from seawall.postgres.loading.faults import is_about_a_record, is_codec_refused
from seawall.postgres.loading.isolate import isolate
from seawall.postgres.loading.rejection import reject
from seawall.postgres.loading.shape import Shaped, shape
from seawall.postgres.loading.stage import STAGE_REFUSED, Attempts, Expectations
from seawall.postgres.loading.target import Column, Target, constraints, describe
from seawall.postgres.loading.text import block_copied, copy_lines, shape_block
from seawall.postgres.loading.text_stage import stage_of
from seawall.postgres.loading.upsert import Upserting
from seawall.postgres.loading.violations import (
    NUMBER,
    UNIQUE_VIOLATION,
    Found,
    StagedRecords,
)
from seawall.postgres.names import quote
from seawall.records import BlockRecords

Rows = Sequence[Sequence[Any]]


class Loader:
    """Loads into any table, and remembers what to expect of each; one for each opened step."""

    def __init__(self) -> None:
        self._tables: dict[tuple[str, OnConflictOption | None], Expectations] = {}

    async def load(
        self,
        unit: Attempts,
        table: str,
        records: Sequence[Any],
        names: Sequence[str] | None,
        on_conflict: OnConflictOption | None = None,
    ) -> list[Rejection]:
        """Copy ``records`` into ``table`` but for those returned.

        Raises:
            MissingTableError: no such table or column.
            InvalidConfigError: ``on_conflict`` doesn't fit the table.
            asyncpg.PostgresError: whatever is not about a record (rights, disk, connection).
        """
        check_on_conflict(on_conflict)
        expected = self._tables.get((table, on_conflict))
        if expected is None:
            target = await describe(unit.connection, table)
            expected = self._tables[table, on_conflict] = Expectations(target)
        if not records:
            return []
        if on_conflict is not None:
            return await _upsert(unit, expected, table, records, names, on_conflict)
        if isinstance(records, BlockRecords):
            if not expected.dirty and await block_copied(unit, expected, records.block, names):
                return []
        elif not expected.dirty and not expected.no_copy:
            shaped = shape(records, expected.target, names)
            if not shaped.misfits and await _copied(unit, expected, shaped):
                return []
        # Bad records may be good by now: the table is looked at anew whenever there are some.
        expected.target = await describe(unit.connection, table)
        shaped = _shaped(records, expected.target, names)
        found: Found = defaultdict(list)
        for number, violation in shaped.misfits.items():
            found[number].append(violation)
        await _Dirty(unit, expected, shaped, found).load()
        return [reject(number, found[number]) for number in sorted(found)]


def _shaped(records: Sequence[Any], target: Target, names: Sequence[str] | None) -> Shaped:
    if isinstance(records, BlockRecords):
        return shape_block(records.block, target, names)
    return shape(records, target, names)


async def _upsert(
    unit: Attempts,
    expected: Expectations,
    table: str,
    records: Sequence[Any],
    names: Sequence[str] | None,
    on_conflict: OnConflictOption,
) -> list[Rejection]:
    if expected.dirty:
        expected.target = await describe(unit.connection, table)
        expected.upserts.clear()
    shaped = _shaped(records, expected.target, names)
    key = tuple(column.name for column in shaped.columns)
    if key not in expected.upserts:
        every = await indexes(unit.connection, expected.target)
        expected.upserts[key] = resolve(expected.target, every, shaped.columns, on_conflict)
    found: Found = defaultdict(list)
    for number, violation in shaped.misfits.items():
        found[number].append(violation)
    await Upserting(unit, expected, shaped, found, expected.upserts[key]).load()
    return [reject(number, found[number]) for number in sorted(found)]


async def _copied(unit: Attempts, expected: Expectations, shaped: Shaped) -> bool:
    """Whether the plain COPY took all records; it is undone if not."""
    try:
        await unit.attempt(
            lambda: _copy(unit.connection, expected.target, shaped.columns, shaped.rows)
        )
    except Exception as error:
        expected.no_copy = is_codec_refused(error)
        if not is_about_a_record(error) and not expected.no_copy:
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


async def _insert(
    connection: Any, target: Target, columns: Sequence[Column], rows: Iterable[Sequence[Any]]
) -> None:
    """As ``_copy``, with the codecs of the user's own."""
    names = ", ".join(quote(column.name) for column in columns)
    places = ", ".join(f"${place}" for place in range(1, len(columns) + 1))
    await connection.executemany(
        f"INSERT INTO {target.sql} ({names}) OVERRIDING SYSTEM VALUE VALUES ({places})", rows
    )


class _Dirty:
    """One batch that has, or is expected to have, bad records."""

    def __init__(
        self, unit: Attempts, expected: Expectations, shaped: Shaped, found: Found
    ) -> None:
        self._unit, self._expected, self._found = unit, expected, found
        self._target, self._columns, self._rows = expected.target, shaped.columns, shaped.rows
        self._stage = stage_of(unit, expected, shaped, found)
        self._is_text = shaped.is_text
        self._names = self._stage.names

    async def load(self) -> None:
        """Load what is good; ``found`` then holds what is bad."""
        expected = self._expected
        try:
            if not expected.no_copy:
                await self._by_copy()
        except asyncpg.InternalClientError as error:
            if not is_codec_refused(error):
                raise
            expected.no_copy = True
        if expected.no_copy:
            await self._by_errors(_insert)
        expected.dirty = bool(self._found)

    async def _by_copy(self) -> None:
        expected = self._expected
        if expected.bad_values:
            await self._stage.test_values()
        # Keys are the dearest to ask for: a later batch asks only if an earlier one had bad ones.
        keys = expected.bad_keys or not expected.dirty
        loaded = self._target.plain and (
            await self._by_constraints(unique=keys)
            or (not keys and await self._by_constraints(unique=True))
        )
        if not loaded:
            if self._is_text:  # many at once, before errors tell of one each
                await self._stage.test_values()
            await self._by_errors(copy_lines if self._is_text else _copy)

    # -- by constraints ------------------------------------------------------------------------

    async def _by_constraints(self, *, unique: bool) -> bool:
        """Load by way of the temporary table; False, with nothing done, if that can't tell all."""
        before = {number: list(violations) for number, violations in self._found.items()}
        try:
            await self._unit.attempt(lambda: self._stage_and_insert(unique=unique))
        except Exception as error:
            if not is_about_a_record(error) and not isinstance(error, STAGE_REFUSED):
                raise
            self._found.clear()
            self._found.update(before)
            return False
        return True

    async def _stage_and_insert(self, *, unique: bool) -> None:
        connection = self._unit.connection
        await self._stage.fill()
        staged = StagedRecords(
            connection,
            self._target,
            self._columns,
            await constraints(connection, self._target),
            self._stage.sql,
            self._rows,
        )
        violations = await staged.violations(unique=unique)
        names = ", ".join(quote(name) for name in self._names)
        # COPY takes values for identity columns as they are: so must this.
        await connection.execute(
            f"INSERT INTO {self._target.sql} ({names}) OVERRIDING SYSTEM VALUE "
            f"SELECT {names} FROM {self._stage.sql} WHERE {quote(NUMBER)} <> ALL($1)",
            list(violations),
        )
        for number, broken in violations.items():
            self._found[number] += broken
            self._expected.bad_keys |= any(each.sqlstate == UNIQUE_VIOLATION for each in broken)

    # -- by errors -----------------------------------------------------------------------------

    async def _by_errors(self, way: Callable[..., Awaitable[None]]) -> None:
        good = self._stage.good()
        rows = [self._rows[number] for number in good]

        async def copy(rows: Iterable[Sequence[Any]]) -> None:
            await self._unit.attempt(
                lambda: way(self._unit.connection, self._target, self._columns, rows)
            )

        for place, violation in (await isolate(copy, self._names, rows)).items():
            self._found[good[place]].append(violation)
