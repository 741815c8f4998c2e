"""What the catalog says of a table: its columns, and the constraints that a load must meet."""

import difflib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from seawall.errors import MissingTableError
from seawall.postgres.names import quote


@dataclass(frozen=True, slots=True)
class Column:
    """A column of the target.

    Attributes:
        type_name: the type without length or precision, a domain's base type in its place.
        typmod: the type's length or precision as the catalog has it, -1 for none.
        domain: the domain's name as SQL, or None.
        labels: an enum's labels.
        array_sql: the array of the type, without length or precision (a cast would cut off what
            an assignment refuses); None where elements are no plain values.
    """

    number: int
    name: str
    type_name: str
    type_sql: str
    typmod: int
    not_null: bool
    generated: bool
    domain: str | None
    domain_not_null: bool
    labels: frozenset[str] | None
    identity_always: bool
    array_sql: str | None


@dataclass(frozen=True, slots=True)
class Check:
    name: str
    expression: str
    columns: frozenset[int]


@dataclass(frozen=True, slots=True)
class ForeignKey:
    name: str
    columns: tuple[str, ...]
    parent: str
    parent_name: str
    parent_columns: tuple[str, ...]
    full_match: bool
    itself: bool


@dataclass(frozen=True, slots=True)
class UniqueIndex:
    name: str
    keys: tuple[str, ...]
    predicate: str | None
    columns: frozenset[int]


@dataclass(frozen=True, slots=True)
class Target:
    """A table to load into.

    Attributes:
        sql: its quoted, schema-qualified name.
        kind: as ``pg_class`` has it: ``r`` an ordinary, ``p`` a partitioned table, ``v`` a view, …
        plain: an ordinary or partitioned table, which INSERT … SELECT fills as COPY does: no view,
            no rule, no trigger that may change or drop a row before it is checked.
        plain_update: the same of an UPDATE.
    """

    oid: int
    schema: str
    name: str
    sql: str
    kind: str
    plain: bool
    plain_update: bool
    partitioned: bool
    columns: tuple[Column, ...]

    def choose(self, names: Sequence[str] | None) -> tuple[Column, ...]:
        """The columns that ``names`` mean; all but the generated ones for None.

        Raises:
            MissingTableError: the table has no such column.
        """
        if names is None:
            return tuple(column for column in self.columns if not column.generated)
        by_name = {column.name: column for column in self.columns}
        for name in names:
            if name not in by_name:
                near = difflib.get_close_matches(str(name), by_name, 1)
                hint = f"did you mean {near[0]!r}?" if near else f"it has: {', '.join(by_name)}"
                raise MissingTableError(f"table {self.sql} has no column {name!r}; {hint}")
        return tuple(by_name[name] for name in names)


@dataclass(frozen=True, slots=True)
class Constraints:
    """What each row of the target must meet, in the order in which the server looks."""

    checks: tuple[Check, ...]
    unique: tuple[UniqueIndex, ...]
    foreign_keys: tuple[ForeignKey, ...]


_TABLE = """
SELECT c.oid::int8 AS oid, n.nspname AS schema, c.relname AS name, c.relkind::text AS kind,
       c.relhasrules OR c.relrowsecurity AS special,
       coalesce((SELECT bit_or(t.tgtype)  -- 1 row, 2 before, 4 insert, 16 update, 64 instead
           FROM pg_trigger t
           WHERE t.tgrelid = c.oid AND NOT t.tgisinternal AND t.tgenabled <> 'D'
             AND t.tgtype & 1 = 1 AND t.tgtype & 66 <> 0), 0) AS triggers
FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE c.oid = to_regclass($1)
"""

_COLUMNS = """
SELECT a.attnum AS number, a.attname AS name, a.attnotnull AS not_null,
       a.attgenerated <> '' AS generated, a.attidentity = 'a' AS identity_always,
       coalesce(b.typname, t.typname) AS type_name,
       CASE WHEN t.typtype = 'd' THEN format_type(t.typbasetype, t.typtypmod)
            ELSE format_type(a.atttypid, a.atttypmod) END AS type_sql,
       CASE WHEN coalesce(b.typtype, t.typtype) IN ('b', 'e')
                 AND coalesce(b.typcategory, t.typcategory) <> 'A'
            THEN format_type(coalesce(b.oid, t.oid), -1) || '[]' END AS array_sql,
       CASE WHEN t.typtype = 'd' THEN t.typtypmod ELSE a.atttypmod END AS typmod,
       CASE WHEN t.typtype = 'd' THEN format_type(a.atttypid, a.atttypmod) END AS domain,
       t.typtype = 'd' AND t.typnotnull AS domain_not_null,
       CASE WHEN t.typtype = 'e' THEN
           (SELECT array_agg(e.enumlabel::text)
            FROM pg_enum e WHERE e.enumtypid = t.oid) END AS labels
FROM pg_attribute a
JOIN pg_type t ON t.oid = a.atttypid
LEFT JOIN pg_type b ON t.typtype = 'd' AND b.oid = t.typbasetype
WHERE a.attrelid = $1::int8::oid AND a.attnum > 0 AND NOT a.attisdropped
ORDER BY a.attnum
"""

# Constraints that aren't enforced (18) are left out; an older server has no such column.
_CHECKS = """
SELECT c.conname AS name, pg_get_expr(c.conbin, c.conrelid) AS expression, c.conkey AS columns
FROM pg_constraint c
WHERE c.conrelid = $1::int8::oid AND c.contype = 'c'
  AND coalesce(to_jsonb(c) ->> 'conenforced', 'true') = 'true'
ORDER BY c.conname
"""

_FOREIGN_KEYS = """
SELECT c.conname AS name, c.conrelid = c.confrelid AS itself, c.confmatchtype = 'f' AS full_match,
       CASE WHEN p.relkind = 'p' THEN '' ELSE 'ONLY ' END AS only_parent,
       n.nspname AS parent_schema, p.relname AS parent_name,
       (SELECT array_agg(a.attname::text ORDER BY k.place)
        FROM unnest(c.conkey) WITH ORDINALITY k(number, place)
        JOIN pg_attribute a ON a.attrelid = c.conrelid AND a.attnum = k.number) AS columns,
       (SELECT array_agg(a.attname::text ORDER BY k.place)
        FROM unnest(c.confkey) WITH ORDINALITY k(number, place)
        JOIN pg_attribute a ON a.attrelid = c.confrelid AND a.attnum = k.number) AS parent_columns
FROM pg_constraint c
JOIN pg_class p ON p.oid = c.confrelid
JOIN pg_namespace n ON n.oid = p.relnamespace
WHERE c.conrelid = $1::int8::oid AND c.contype = 'f'
  AND coalesce(to_jsonb(c) ->> 'conenforced', 'true') = 'true'
  AND coalesce(to_jsonb(c) ->> 'conperiod', 'false') = 'false'
ORDER BY c.oid
"""

# Indexes where equality isn't plain `=` (nulls not distinct, exclusion) are left to `isolate`.
_UNIQUE = """
SELECT i.relname AS name, pg_get_expr(x.indpred, x.indrelid) AS predicate,
       (SELECT array_agg(pg_get_indexdef(x.indexrelid, k, true) ORDER BY k)
        FROM generate_series(1, x.indnkeyatts) k) AS keys,
       x.indkey::int2[] AS columns, x.indexprs IS NOT NULL AS has_expressions
FROM pg_index x JOIN pg_class i ON i.oid = x.indexrelid
WHERE x.indrelid = $1::int8::oid AND x.indisunique AND x.indisready
  AND NOT x.indnullsnotdistinct AND NOT x.indisexclusion
ORDER BY x.indexrelid
"""


async def describe(connection: Any, table: str) -> Target:
    """Look ``table`` up as SQL would: optionally schema-qualified, quoted where it must be.

    Raises:
        MissingTableError: there is no such table in the search path.
    """
    row = await connection.fetchrow(_TABLE, table)
    if row is None:
        raise MissingTableError(
            f"there is no table {table!r} in the search path: create it first, or give its schema "
            "(schema.table; names with capitals or dots in double quotes)"
        )
    columns = tuple(
        Column(
            number=each["number"],
            name=each["name"],
            type_name=each["type_name"],
            type_sql=each["type_sql"],
            typmod=each["typmod"],
            not_null=each["not_null"],
            generated=each["generated"],
            domain=each["domain"],
            domain_not_null=each["domain_not_null"],
            labels=None if each["labels"] is None else frozenset(each["labels"]),
            identity_always=each["identity_always"],
            array_sql=each["array_sql"],
        )
        for each in await connection.fetch(_COLUMNS, row["oid"])
    )
    plain = row["kind"] in ("r", "p") and not row["special"]
    return Target(
        oid=row["oid"],
        schema=row["schema"],
        name=row["name"],
        sql=f"{quote(row['schema'])}.{quote(row['name'])}",
        kind=row["kind"],
        plain=plain and not row["triggers"] & 4,
        plain_update=plain and not row["triggers"] & 16,
        partitioned=row["kind"] == "p",
        columns=columns,
    )


async def constraints(connection: Any, target: Target) -> Constraints:
    """The target's constraints as they are now."""
    checks = await connection.fetch(_CHECKS, target.oid)
    unique = await connection.fetch(_UNIQUE, target.oid)
    foreign = await connection.fetch(_FOREIGN_KEYS, target.oid)
    return Constraints(
        tuple(
            Check(each["name"], each["expression"], frozenset(each["columns"] or ()))
            for each in checks
        ),
        tuple(
            UniqueIndex(
                each["name"],
                tuple(each["keys"]),
                each["predicate"],
                # An expression may read any column: then all of them must be at hand.
                frozenset(column.number for column in target.columns)
                if each["has_expressions"] or each["predicate"]
                else frozenset(each["columns"]),
            )
            for each in unique
        ),
        tuple(
            ForeignKey(
                each["name"],
                tuple(each["columns"]),
                f"{each['only_parent']}{quote(each['parent_schema'])}.{quote(each['parent_name'])}",
                each["parent_name"],
                tuple(each["parent_columns"]),
                each["full_match"],
                each["itself"],
            )
            for each in foreign
        ),
    )
