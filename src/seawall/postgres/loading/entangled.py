"""Staged records of an upsert that may meet each other, or another's row, on a unique index.

A superset is enough: who is found here is loaded one after the other, as the server does it.
"""

from typing import Any

from seawall.postgres.loading.arbiter import Index, Upsert
from seawall.postgres.loading.target import Target
from seawall.postgres.loading.violations import NUMBER
from seawall.postgres.names import quote

_N = quote(NUMBER)


async def repeats(connection: Any, stage: str, index: Index) -> list[list[int]]:
    """Numbers of the staged records with equal keys, for each key that several have."""
    places = range(len(index.keys))
    keys = ", ".join(f"k{i}" for i in places)
    given = " AND ".join(f"k{i} IS NOT NULL" for i in places)
    query = (
        f"SELECT array_agg(n) AS numbers FROM (SELECT {_N} AS n, {_keys(index, 'k')} FROM {stage}) "
        f"AS s {f'WHERE {given} ' if index.comparable else ''}GROUP BY {keys} HAVING count(*) > 1"
    )
    return [row["numbers"] for row in await connection.fetch(query)]


async def entangled(
    connection: Any, target: Target, stage: str, upsert: Upsert, *, some: bool
) -> set[int]:
    """Numbers of the staged records whose fate may hang on that of others.

    ``some`` says that there are records of an uncertain fate already: then whoever has the same
    key on any index hangs on them.
    """
    found: set[int] = set()
    for index in upsert.others:
        if index.comparable:
            for group in await repeats(connection, stage, index):
                found.update(group)
            found |= await _crossing(connection, target, stage, index, upsert.arbiters[0])
    if some or found:
        for index in upsert.arbiters:
            if index.comparable:
                for group in await repeats(connection, stage, index):
                    found.update(group)
    return found


async def _crossing(
    connection: Any, target: Target, stage: str, index: Index, arbiter: Index
) -> set[int]:
    """Records whose key on ``index`` another row has, and those that would change that row."""
    only = "" if target.partitioned else "ONLY "
    columns = f"{_keys(arbiter, 'a')}, {_keys(index, 'b')}"
    ours = [f"a{i}" for i in range(len(arbiter.keys))]
    same = " AND ".join(f"s.b{i} = t.b{i}" for i in range(len(index.keys)))
    other = " OR ".join(f"s.{key} IS DISTINCT FROM t.{key}" for key in ours)
    owner = " AND ".join(f"o.{key} = t.{key}" for key in ours)
    query = (
        f"WITH s AS (SELECT {_N} AS n, {columns} FROM {stage}) SELECT s.n, o.n AS owner "
        f"FROM s JOIN (SELECT {columns} FROM {only}{target.sql}) t ON {same} "
        f"LEFT JOIN s o ON {owner} WHERE {other}"
    )
    rows = await connection.fetch(query)
    return {number for row in rows for number in (row["n"], row["owner"]) if number is not None}


def _keys(index: Index, prefix: str) -> str:
    """The index's keys of each row, null where the index doesn't hold the row."""
    condition = index.predicate
    return ", ".join(
        f"({key}) AS {prefix}{i}"
        if condition is None
        else f"CASE WHEN {condition} THEN ({key}) END AS {prefix}{i}"
        for i, key in enumerate(index.keys)
    )
