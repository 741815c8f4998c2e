"""The queries that read rows page by page along a key."""

from collections.abc import Sequence
from dataclasses import dataclass

from seawall.postgres.names import quote

# The table as the server reads its name, and which of these columns may be NULL there.
RESOLVE = """
SELECT quote_ident(n.nspname) || '.' || quote_ident(c.relname) AS name,
       ARRAY(SELECT a.attname::text FROM pg_attribute a
             WHERE a.attrelid = c.oid AND a.attnum > 0 AND a.attname = ANY($2::text[])
               AND NOT a.attnotnull) AS nullable
FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE c.oid = to_regclass($1)
"""


@dataclass(frozen=True, slots=True)
class Paging:
    """How to read a relation in the order of a unique key.

    Attributes:
        relation: a table's quoted name, or a query in parentheses.
        key: names of the key's columns.
        arg_count: parameters that the relation itself has.
    """

    relation: str
    key: Sequence[str]
    arg_count: int = 0

    @classmethod
    def of_query(cls, query: str, key: Sequence[str], arg_count: int) -> "Paging":
        """Of a query; its last line may be a comment, or end in a semicolon."""
        return cls(f"(\n{query.strip().rstrip(';')}\n)", key, arg_count)

    def rows(self, *, behind: bool, limit: int | None) -> str:
        """The rows in the key's order; ``behind`` the values that follow the relation's own."""
        columns = [f"source.{quote(name)}" for name in self.key]
        text = f"SELECT * FROM {self.relation} AS source"
        if behind:
            numbers = range(self.arg_count + 1, self.arg_count + 1 + len(columns))
            text += f" WHERE {_row(columns)} > {_row([f'${number}' for number in numbers])}"
        text += f" ORDER BY {', '.join(columns)}"
        return text if limit is None else f"{text} LIMIT {limit:d}"

    def has_nulls(self) -> str:
        """Whether any row has no place in the order: it would never be behind another."""
        absent = " OR ".join(f"source.{quote(name)} IS NULL" for name in self.key)
        return f"SELECT EXISTS (SELECT 1 FROM {self.relation} AS source WHERE {absent})"


def _row(values: Sequence[str]) -> str:
    return values[0] if len(values) == 1 else f"({', '.join(values)})"
