"""Identifiers in queries: quoted, and never anything but identifiers."""


def quote(identifier: str) -> str:
    """The identifier as PostgreSQL reads it back, whatever is in it."""
    if "\x00" in identifier:
        raise ValueError(f"{identifier!r}: an identifier can't hold a NUL character")
    return '"' + identifier.replace('"', '""') + '"'


def in_schema(query: str, schema: str) -> str:
    """The query text with ``{schema}`` filled in: the only part of a query that is."""
    return query.replace("{schema}", quote(schema))
