"""Asking the database once per constraint which staged records break it.

The records lie in a temporary table without constraints, numbered. What a constraint means is
taken from the catalog, so nothing here depends on how many records are bad.
"""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from typing import Any

from seawall.postgres.loading.rejection import Violation
from seawall.postgres.loading.target import (
    Check,
    Column,
    Constraints,
    ForeignKey,
    Target,
    UniqueIndex,
)
from seawall.postgres.names import quote

NUMBER = "seawall#n"
_N = quote(NUMBER)

_VALUE, _NOT_NULL, _CHECK, _UNIQUE, _FOREIGN = range(5)
UNIQUE_VIOLATION = "23505"
DOMAIN_INPUT_VERSION = 16  # the first server with pg_input_is_valid

Found = dict[int, list[Violation]]


class StagedRecords:
    """A batch in its temporary table, and the questions asked of it.

    Args:
        connection: inside the batch's transaction.
        stage: the temporary table's quoted name.
        rows: the staged records by number, for the keys that a violation's detail tells.
    """

    def __init__(
        self,
        connection: Any,
        target: Target,
        columns: Sequence[Column],
        constraints: Constraints,
        stage: str,
        rows: Sequence[Sequence[Any]],
    ) -> None:
        self._connection, self._target, self._columns = connection, target, columns
        self._stage, self._rows = stage, rows
        self._places = {column.name: place for place, column in enumerate(columns)}
        present = {column.number for column in columns}
        self._checks = [each for each in constraints.checks if each.columns <= present]
        self._unique = [each for each in constraints.unique if each.columns <= present]
        # With a key column left to its default, the final INSERT tells.
        self._foreign = [
            each for each in constraints.foreign_keys if set(each.columns) <= set(self._places)
        ]

    async def violations(self, *, unique: bool) -> Found:
        """Every record that can't be loaded, with its faults.

        Args:
            unique: also look for keys that the target or an earlier record of the batch has.
        """
        found: Found = defaultdict(list)
        await self._row_faults(found)
        for rank, key in enumerate(self._foreign):
            if not key.itself:
                await self._orphans(found, key, rank, in_batch=False)
        if unique:
            for rank, index in enumerate(self._unique):
                await self._present_keys(found, index, rank)
        own = [(rank, key) for rank, key in enumerate(self._foreign) if key.itself]
        while True:
            repeated = await self._repeated_keys(found) if unique else {}
            before = len(found)
            for rank, key in own:
                await self._orphans(found, key, rank, in_batch=True, without=repeated)
            # A parent that has fallen out takes its children with it, and may free a key.
            if len(found) == before:
                break
        for number, violations in repeated.items():
            found[number] += violations
        return found

    # -- not null, checks, domains: one scan --------------------------------------------------

    async def _row_faults(self, found: Found) -> None:
        tests = self._row_tests()
        if not tests:
            return
        flags = ", ".join(f"({condition})" for condition, _ in tests)
        query = (
            f"SELECT {_N} AS n, ARRAY[{flags}] AS broken FROM {self._stage} "
            f"WHERE {' OR '.join(f'({condition})' for condition, _ in tests)}"
        )
        for row in await self._connection.fetch(query):
            found[row["n"]] += [
                violation
                for broken, (_, violation) in zip(row["broken"], tests, strict=True)
                if broken
            ]

    def _row_tests(self) -> list[tuple[str, Violation]]:
        given = {column.number for column in self._columns}
        tests = [self._not_null(c) for c in self._columns if c.not_null or c.domain_not_null]
        if self._connection.get_server_version().major >= DOMAIN_INPUT_VERSION:
            tests += [self._domain(column) for column in self._columns if column.domain is not None]
        tests += [self._check(each) for each in self._checks if each.columns <= given]
        return tests

    def _not_null(self, column: Column) -> tuple[str, Violation]:
        reason = (
            f'null value in column "{column.name}" of relation "{self._target.name}" violates '
            "not-null constraint"
            if column.not_null
            else f"domain {column.domain} does not allow null values"
        )
        rank = _rank(_NOT_NULL, column.number)
        return f"{quote(column.name)} IS NULL", Violation(
            rank, reason, "23502", column_name=column.name
        )

    def _domain(self, column: Column) -> tuple[str, Violation]:
        name, literal = quote(column.name), _literal(column.domain or "")
        return (
            f"{name} IS NOT NULL AND NOT pg_input_is_valid({name}::text, {literal})",
            Violation(
                _rank(_VALUE, column.number),
                f"value for domain {column.domain} violates check constraint",
                "23514",
                column_name=column.name,
            ),
        )

    def _check(self, check: Check) -> tuple[str, Violation]:
        order = sorted(each.name for each in self._checks).index(check.name)
        return f"({check.expression}) IS FALSE", Violation(
            _rank(_CHECK, order),
            f'new row for relation "{self._target.name}" violates check constraint "{check.name}"',
            "23514",
            constraint_name=check.name,
        )

    # -- foreign keys --------------------------------------------------------------------------

    async def _orphans(
        self,
        found: Found,
        key: ForeignKey,
        rank: int,
        *,
        in_batch: bool,
        without: Iterable[int] = (),
    ) -> None:
        names = [quote(name) for name in key.columns]
        match = " AND ".join(
            f"p.{quote(parent)} = s.{name}"
            for parent, name in zip(key.parent_columns, names, strict=True)
        )
        given = " AND ".join(f"s.{name} IS NOT NULL" for name in names)
        orphan = f"NOT EXISTS (SELECT FROM {key.parent} p WHERE {match})"
        arguments: list[object] = []
        if in_batch:  # rows of the same statement may refer to each other
            orphan += (
                f" AND NOT EXISTS (SELECT FROM {self._stage} p WHERE {match} AND p.{_N} <> ALL($1))"
            )
            orphan += f" AND s.{_N} <> ALL($1)"
            arguments.append(sorted({*found, *without}))
        condition = f"({given}) AND {orphan}"
        if key.full_match:
            some = " OR ".join(f"s.{name} IS NOT NULL" for name in names)
            condition = f"({condition}) OR (({some}) AND NOT ({given}))"
        query = f"SELECT s.{_N} AS n FROM {self._stage} s WHERE {condition}"
        for row in await self._connection.fetch(query, *arguments):
            found[row["n"]].append(
                Violation(
                    _rank(_FOREIGN, rank),
                    f'insert or update on table "{self._target.name}" violates foreign key '
                    f'constraint "{key.name}"',
                    "23503",
                    constraint_name=key.name,
                    detail=f"{self._key_text(row['n'], key.columns)} is not present in table "
                    f'"{key.parent_name}".',
                )
            )

    def _key_text(self, number: int, names: Sequence[str]) -> str:
        record = self._rows[number]
        values = ", ".join(str(record[self._places[name]]) for name in names)
        return f"Key ({', '.join(names)})=({values})"

    # -- unique indexes ------------------------------------------------------------------------

    async def _present_keys(self, found: Found, index: UniqueIndex, rank: int) -> None:
        only = "" if self._target.partitioned else "ONLY "
        match = " AND ".join(f"s.k{i} = t.k{i}" for i in range(len(index.keys)))
        query = (
            f"SELECT s.n FROM ({_keyed(self._stage, index, _N)}) s WHERE EXISTS (SELECT FROM "
            f"({_keyed(only + self._target.sql, index, '0')}) t WHERE {match})"
        )
        for row in await self._connection.fetch(query):
            found[row["n"]].append(self._duplicate(index, rank, row["n"], "already exists."))

    async def _repeated_keys(self, found: Found) -> Found:
        """Records whose key an earlier good record of the batch has, on any index.

        Who is first may itself fall to another index, so the groups are walked in the records'
        order, as the server would have gone through them.
        """
        bad = sorted(found)
        groups: dict[int, list[tuple[int, tuple[int, int]]]] = defaultdict(list)
        for rank, index in enumerate(self._unique):
            keys = ", ".join(f"k{i}" for i in range(len(index.keys)))
            given = " AND ".join(f"k{i} IS NOT NULL" for i in range(len(index.keys)))
            query = (
                f"SELECT array_agg(n) AS numbers FROM ({_keyed(self._stage, index, _N)}) s "
                f"WHERE {given} AND n <> ALL($1) GROUP BY {keys} HAVING count(*) > 1"
            )
            for place, row in enumerate(await self._connection.fetch(query, bad)):
                for number in row["numbers"]:
                    groups[number].append((rank, (rank, place)))
        taken: set[tuple[int, int]] = set()
        repeated: Found = {}
        for number in sorted(groups):
            clashes = [rank for rank, group in groups[number] if group in taken]
            if clashes:
                repeated[number] = [
                    self._duplicate(self._unique[rank], rank, number, "is repeated in the batch.")
                    for rank in clashes
                ]
            else:
                taken.update(group for _, group in groups[number])
        return repeated

    def _duplicate(self, index: UniqueIndex, rank: int, number: int, how: str) -> Violation:
        plain = [name for name in self._places if quote(name) in index.keys or name in index.keys]
        told = self._key_text(number, plain) if len(plain) == len(index.keys) else "Key"
        return Violation(
            _rank(_UNIQUE, rank),
            f'duplicate key value violates unique constraint "{index.name}"',
            UNIQUE_VIOLATION,
            constraint_name=index.name,
            detail=f"{told} {how}",
        )


def _keyed(table: str, index: UniqueIndex, number: str) -> str:
    """The index's keys as k0, k1, … of each row that the index holds."""
    keys = ", ".join(f"({key}) AS k{i}" for i, key in enumerate(index.keys))
    where = "" if index.predicate is None else f" WHERE {index.predicate}"
    return f"SELECT {number} AS n, {keys} FROM {table}{where}"


def _rank(kind: int, order: int) -> int:
    return kind * 100_000 + order


def _literal(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"
