"""Which unique index an upsert goes by, and its ON CONFLICT clause, out of the catalog."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from seawall.conflict import OnConflict, OnConflictOption
from seawall.errors import InvalidConfigError
from seawall.postgres.loading.target import Column, Target
from seawall.postgres.names import quote


@dataclass(frozen=True, slots=True)
class Index:
    """A unique index or exclusion constraint.

    Attributes:
        keys: its keys as SQL, columns or expressions.
        names: its key columns; none where a key is an expression.
        columns: numbers of all columns that it reads, those of its predicate included.
        immediate: checked at each row: one that is deferrable can't decide an upsert.
        comparable: equal keys are those for which ``=`` holds: not with NULLS NOT DISTINCT, nor
            for an exclusion constraint.
    """

    name: str
    constraint: str | None
    primary: bool
    exclusion: bool
    immediate: bool
    comparable: bool
    keys: tuple[str, ...]
    names: frozenset[str]
    predicate: str | None
    columns: frozenset[int]

    def told(self) -> str:
        what = f"{self.name} ({', '.join(self.keys)})"
        return what if self.predicate is None else f"{what} where {self.predicate}"


@dataclass(frozen=True, slots=True)
class Upsert:
    """How records with a key that is there already are loaded.

    Attributes:
        clause: ``ON CONFLICT …``.
        arbiters: the indexes that decide; several only where nothing is updated.
        others: those which a record can still violate.
        updates: rows that are there are changed: then a statement can't take a key twice.
        updated: numbers of the columns that are always taken from the record.
        ordered: the order of the records can matter beyond the arbiter, in ways that can't be
            asked for: an exclusion constraint, a key of columns that are not all loaded.
        deferrable: another index is checked at the end of a statement, not at each row.
    """

    clause: str
    arbiters: tuple[Index, ...]
    others: tuple[Index, ...]
    updates: bool
    updated: frozenset[int]
    ordered: bool
    deferrable: bool


_INDEXES = """
SELECT i.relname AS name, c.conname AS constraint_name, x.indisprimary AS primary,
       x.indisexclusion AS exclusion, x.indimmediate AS immediate,
       NOT x.indnullsnotdistinct AND NOT x.indisexclusion AS comparable,
       pg_get_expr(x.indpred, x.indrelid) AS predicate,
       (SELECT array_agg(pg_get_indexdef(x.indexrelid, k, true) ORDER BY k)
        FROM generate_series(1, x.indnkeyatts) k) AS keys,
       (x.indkey::int2[])[0:x.indnkeyatts - 1] AS key_columns,
       (SELECT array_agg(d.refobjsubid::int2) FROM pg_depend d
        WHERE d.classid = 'pg_class'::regclass AND d.objid = x.indexrelid
          AND d.refobjid = x.indrelid AND d.refobjsubid > 0) AS read_columns
FROM pg_index x JOIN pg_class i ON i.oid = x.indexrelid
LEFT JOIN pg_constraint c
       ON c.conindid = x.indexrelid AND c.conrelid = x.indrelid AND c.contype IN ('p', 'u', 'x')
WHERE x.indrelid = $1::int8::oid AND (x.indisunique OR x.indisexclusion) AND x.indisready
ORDER BY x.indexrelid
"""


async def indexes(connection: Any, target: Target) -> tuple[Index, ...]:
    """The target's unique indexes and exclusion constraints as they are now."""
    names = {column.number: column.name for column in target.columns}
    found = []
    for row in await connection.fetch(_INDEXES, target.oid):
        keys = list(row["key_columns"])
        found.append(
            Index(
                name=row["name"],
                constraint=row["constraint_name"],
                primary=row["primary"],
                exclusion=row["exclusion"],
                immediate=row["immediate"],
                comparable=row["comparable"],
                keys=tuple(row["keys"]),
                names=frozenset(names[key] for key in keys) if all(keys) else frozenset(),
                predicate=row["predicate"],
                columns=frozenset({*keys, *(row["read_columns"] or ())} - {0}),
            )
        )
    return tuple(found)


def resolve(
    target: Target,
    every: Sequence[Index],
    columns: Sequence[Column],
    option: OnConflictOption,
) -> Upsert:
    """The upsert that ``option`` means for this table and these columns.

    Raises:
        MissingTableError: a named column does not exist.
        InvalidConfigError: no index fits, or the table can't take an upsert.
    """
    if target.kind not in ("r", "p"):
        raise InvalidConfigError(
            f"on_conflict: {target.sql} is a view or a foreign table; an upsert needs an ordinary "
            "or partitioned table"
        )
    if option == "nothing":
        return _nothing(target, every, columns)
    if option == "update":
        option = OnConflict()
    arbiter = _arbiter(target, every, option)
    loaded = frozenset(column.number for column in columns)
    lacking = sorted(c.name for c in target.columns if c.number in arbiter.columns - loaded)
    if lacking:
        raise InvalidConfigError(
            f"on_conflict: the load has no column {', '.join(map(repr, lacking))}, by which "
            f"{arbiter.told()} decides"
        )
    updated = _updated(target, columns, arbiter, option)
    action = "NOTHING"
    if updated:
        sets = ", ".join(f"{quote(c.name)} = excluded.{quote(c.name)}" for c in updated)
        where = "" if option.where is None else f" WHERE ({option.where})"
        action = f"UPDATE SET {sets}{where}"
    numbers = frozenset(column.number for column in updated)
    sure = frozenset() if option.where is not None else numbers | arbiter.columns
    others = tuple(each for each in every if each is not arbiter)
    known = loaded & (numbers | arbiter.columns) if updated else loaded
    return Upsert(
        clause=f"ON CONFLICT {_inference(arbiter, option)} DO {action}",
        arbiters=(arbiter,),
        others=others,
        updates=bool(updated),
        updated=sure,
        ordered=not arbiter.comparable
        or any(not each.comparable or not each.columns <= known for each in others),
        deferrable=any(not each.immediate for each in others),
    )


def _nothing(target: Target, every: Sequence[Index], columns: Sequence[Column]) -> Upsert:
    for each in every:
        if not each.immediate:
            raise InvalidConfigError(
                f"on_conflict='nothing': {each.told()} of {target.sql} is deferrable and can't "
                "decide; name the key: OnConflict(columns=…, update=())"
            )
    loaded = frozenset(column.number for column in columns)
    return Upsert(
        clause="ON CONFLICT DO NOTHING",
        arbiters=tuple(every),
        others=(),
        updates=False,
        updated=frozenset(),
        ordered=any(not each.comparable or not each.columns <= loaded for each in every),
        deferrable=False,
    )


def _arbiter(target: Target, every: Sequence[Index], option: OnConflict) -> Index:
    if option.constraint is not None:
        fitting = [e for e in every if option.constraint in (e.constraint, e.name)]
        wanted = f"is called {option.constraint!r}"
    elif option.columns is not None:
        target.choose(option.columns)
        fitting = [e for e in every if e.names == set(option.columns) and not e.exclusion]
        wanted = f"is on ({', '.join(option.columns)})"
    else:
        fitting = [each for each in every if each.primary]
        wanted = "is its primary key"
    fitting.sort(key=lambda each: (not each.immediate, each.predicate is not None))
    if not fitting:
        there = "; ".join(each.told() for each in every if not each.exclusion) or "none"
        raise InvalidConfigError(
            f"on_conflict: no unique index of {target.sql} {wanted}; it has: {there}"
        )
    found = fitting[0]
    if not found.immediate:
        raise InvalidConfigError(
            f"on_conflict: {found.told()} of {target.sql} is deferrable and can't decide"
        )
    if found.exclusion and option.update != ():
        raise InvalidConfigError(
            f"on_conflict: {found.told()} of {target.sql} is an exclusion constraint, which can't "
            "tell which row to update; give update=()"
        )
    return found


def _updated(
    target: Target, columns: Sequence[Column], arbiter: Index, option: OnConflict
) -> list[Column]:
    if option.update is None:
        return [
            column
            for column in columns
            if column.name not in arbiter.names
            and not column.generated
            and not column.identity_always
        ]
    chosen = list(target.choose(option.update))
    for column in chosen:
        if column.generated or column.identity_always:
            raise InvalidConfigError(
                f"on_conflict: column {column.name!r} of {target.sql} is generated always and "
                "can't be updated"
            )
    return chosen


def _inference(index: Index, option: OnConflict) -> str:
    # By its keys, an index beside it with the same ones decides too.
    if index.constraint is not None and (index.exclusion or option.constraint is not None):
        return f"ON CONSTRAINT {quote(index.constraint)}"
    keys = ", ".join(f"({key})" for key in index.keys)
    return f"({keys})" if index.predicate is None else f"({keys}) WHERE {index.predicate}"
