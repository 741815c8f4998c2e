"""Loading by INSERT … ON CONFLICT: many at once where that is the same as one after the other.

A record loaded alone meets what all records before it have left in the table. One statement gives
the same where no two of its records meet each other. So the batch goes in with one statement, from
arrays or from the temporary table; records that repeat a key follow in further ones. Where that
fails, the catalog tells which records are bad in themselves, and which could meet another one:
those few are loaded one after the other, by a loop in the server; all are, where it can't tell.
"""

import functools
from collections import defaultdict
from collections.abc import Awaitable, Callable, Collection, Iterable, Sequence

import asyncpg

from seawall.postgres.loading.arbiter import Upsert
from seawall.postgres.loading.entangled import entangled, repeats
from seawall.postgres.loading.faults import FOREIGN_KEY_VIOLATION, is_about_a_record, violation_of
from seawall.postgres.loading.one_by_one import loop, rejected
from seawall.postgres.loading.shape import Shaped
from seawall.postgres.loading.stage import STAGE_REFUSED, Attempts, Expectations
from seawall.postgres.loading.target import constraints
from seawall.postgres.loading.text_stage import stage_of
from seawall.postgres.loading.unnest import SLICE, columnwise, statement
from seawall.postgres.loading.violations import NUMBER, Found, StagedRecords
from seawall.postgres.names import quote

_N = quote(NUMBER)
_MOST_ROUNDS = 8  # repeated keys beyond it are loaded one after the other


class Upserting:
    """One batch on its way into a table that may have its keys already."""

    def __init__(
        self,
        unit: Attempts,
        expected: Expectations,
        shaped: Shaped,
        found: Found,
        upsert: Upsert,
    ) -> None:
        self._unit, self._expected, self._found, self._upsert = unit, expected, found, upsert
        self._target, self._columns, self._rows = expected.target, shaped.columns, shaped.rows
        self._is_text = shaped.is_text
        self._stage = stage_of(unit, expected, shaped, found)
        self._names = ", ".join(quote(column.name) for column in shaped.columns)

    async def load(self) -> None:
        """Load what is good; ``found`` then holds what is bad."""
        expected = self._expected
        try:
            if self._is_doubtful() or not await self._tried(self._at_once):
                if expected.bad_values:
                    await self._stage.test_values()
                await self._unit.attempt(self._in_parts)
        except (*STAGE_REFUSED, asyncpg.InternalClientError):
            # The latter: a codec of the user's own that COPY has no use for, since it is a text's.
            await self._singly()
        expected.dirty = bool(self._found)

    def _is_doubtful(self) -> bool:
        """Whether trying all at once is in vain, or may come out otherwise than one by one."""
        expected, upsert = self._expected, self._upsert
        meeting = upsert.ordered or bool(upsert.others) or not self._is_plain()
        return (
            expected.dirty
            or bool(self._found)
            or upsert.deferrable
            or (expected.repeats and meeting)
        )

    def _is_plain(self) -> bool:
        """Whether no trigger or rule may change or drop a record on its way."""
        return self._target.plain and (self._target.plain_update or not self._upsert.updates)

    async def _tried(self, work: Callable[[], Awaitable[None]]) -> bool:
        """Whether ``work`` succeeded; undone if it failed for a record's sake."""
        try:
            await self._unit.attempt(work)
        except asyncpg.CardinalityViolationError:
            self._expected.repeats = True  # a key, in the batch
            return False
        except Exception as error:
            if not is_about_a_record(error):
                raise
            return False
        return True

    # -- many at once ----------------------------------------------------------------------------

    async def _at_once(self) -> None:
        """The way of a batch that has nothing bad."""
        if not self._expected.repeats and await self._as_arrays():
            return
        await self._stage.create()
        await self._stage.copy(self._stage.good())
        groups = await self._repeats() if self._expected.repeats else []
        self._expected.repeats = bool(groups)
        await self._split(groups, ())

    async def _as_arrays(self) -> bool:
        """Load without the temporary table, where the values allow it."""
        if self._is_text:
            return False
        query = statement(self._target, self._columns, self._upsert.clause)
        slices = [
            columnwise(self._columns, self._rows[start : start + SLICE])
            for start in range(0, len(self._rows), SLICE)
        ]
        arrays = [each for each in slices if each is not None]
        if len(arrays) < len(slices):
            return False
        for values in arrays:
            await self._unit.connection.execute(query, *values)
        return True

    async def _repeats(self) -> list[list[int]]:
        """Numbers of the records that have the same key, for each such key."""
        upsert = self._upsert
        if not upsert.updates:
            return []
        return await repeats(self._unit.connection, self._stage.sql, upsert.arbiters[0])

    async def _rounds(self, groups: Sequence[Sequence[int]], without: Collection[int]) -> None:
        """The first record of each key in one statement, the second ones in the next, and on."""
        rounds: dict[int, list[int]] = defaultdict(list)
        for group in groups:
            good = sorted(set(group).difference(without))
            for place, number in enumerate(good[1:]):
                rounds[place].append(number)
        later = [number for numbers in rounds.values() for number in numbers]
        await self._insert(f"{_N} <> ALL($1)", [*without, *later])
        for place in sorted(rounds):
            await self._insert(f"{_N} = ANY($1)", rounds[place])

    async def _insert(self, condition: str, numbers: Sequence[int]) -> None:
        # Without ORDER BY: a new table is read in the order in which it was filled.
        await self._unit.connection.execute(
            f"INSERT INTO {self._target.sql} ({self._names}) OVERRIDING SYSTEM VALUE "
            f"SELECT {self._names} FROM {self._stage.sql} WHERE {condition} {self._upsert.clause}",
            numbers,
        )

    # -- in parts --------------------------------------------------------------------------------

    async def _in_parts(self) -> None:
        """The way of a batch that has, or may have, bad records or repeated keys."""
        await self._stage.fill()
        alone = await self._asked()
        groups = [] if alone is None else await self._repeats()
        if alone is not None:
            self._expected.repeats = bool(groups)
        if groups and self._upsert.ordered:
            alone = None
        if alone is None or not await self._tried(lambda: self._split(groups, alone)):
            await self._loop(())

    async def _split(self, groups: Sequence[Sequence[int]], alone: Collection[int]) -> None:
        """Most in a few statements; ``alone``, and keys that are repeated often, in the loop."""
        if groups and (alone or max(map(len, groups)) > _MOST_ROUNDS):
            alone = {*alone, *(number for group in groups for number in group)} - self._found.keys()
            groups = ()
        await self._rounds(groups, [*self._found, *alone])
        if alone:
            await self._loop(alone)

    async def _asked(self) -> set[int] | None:
        """What must be loaded one after the other, None for everything.

        ``found`` gets what the constraints tell to be bad, whatever else happens.
        """
        target, upsert = self._target, self._upsert
        if not self._is_plain() or upsert.deferrable:
            return None
        connection = self._unit.connection
        asked: list[tuple[Found, set[int]]] = []

        async def ask() -> None:
            known = await constraints(connection, target)
            staged = StagedRecords(
                connection, target, self._columns, known, self._stage.sql, self._rows
            )
            violations = await staged.violations(unique=False)
            taken = {key.name for key in known.foreign_keys if self._always_taken(key.columns)}
            doubtful = {
                number
                for number, broken in violations.items()
                if all(
                    each.sqlstate == FOREIGN_KEY_VIOLATION and each.constraint_name not in taken
                    for each in broken
                )
            }
            knots = await entangled(
                connection, target, self._stage.sql, upsert, some=bool(doubtful)
            )
            asked.append((violations, doubtful | knots))

        if not await self._tried(ask):
            return None
        ((violations, alone),) = asked
        for number, broken in violations.items():
            if number not in alone:
                self._found[number] += broken
        alone -= self._found.keys()
        return None if alone and upsert.ordered else alone

    def _always_taken(self, names: Iterable[str]) -> bool:
        """Whether a record's values of these columns reach the table, be its key there or not."""
        numbers = {column.name: column.number for column in self._target.columns}
        return {numbers[name] for name in names} <= self._upsert.updated

    # -- one after the other ---------------------------------------------------------------------

    async def _loop(self, only: Collection[int]) -> None:
        """Load these (none: all that aren't bad already) one after the other, in the server."""
        chosen = (
            f"= ANY('{{{_listed(only)}}}'::int[])"
            if only
            else f"<> ALL('{{{_listed(self._found)}}}'::int[])"
        )
        names = [column.name for column in self._columns]
        connection = self._unit.connection
        await connection.execute(
            loop(self._target.sql, self._stage.sql, names, chosen, self._upsert.clause)
        )
        for number, violation in await rejected(connection):
            self._found[number].append(violation)

    async def _singly(self) -> None:
        """The same from here, where the server lets us have no temporary table, or no loop."""
        places = ", ".join(
            f"${place}::text::{column.domain or column.type_sql}" if self._is_text else f"${place}"
            for place, column in enumerate(self._columns, 1)
        )
        query = (
            f"INSERT INTO {self._target.sql} ({self._names}) OVERRIDING SYSTEM VALUE "
            f"VALUES ({places}) {self._upsert.clause}"
        )
        for number in self._stage.good():
            insert = functools.partial(self._unit.connection.execute, query, *self._rows[number])
            try:
                await self._unit.attempt(insert)
            except Exception as error:
                if not is_about_a_record(error):
                    raise
                self._found[number].append(violation_of(error))


def _listed(numbers: Iterable[int]) -> str:
    return ",".join(map(str, sorted(numbers)))
