"""Pages of rows that people look through, newest first, at a bounded cost."""

from dataclasses import dataclass
from typing import Any
from uuid import UUID

# Rows that one page walks through at the most: some 30 ms. Who searches for what is rare goes on
# from there.
WINDOW = 20_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Page:
    """Some rows, the latest first.

    Attributes:
        rows: of the page.
        before: the key to go on with; None where there is no more.
        is_whole: False where the search ended before the page was full: it can be gone on with.
    """

    rows: list[dict[str, Any]]
    before: UUID | None
    is_whole: bool


def page_of(rows: list[dict[str, Any]], key: str, limit: int, end: UUID | None) -> Page:
    """The page that rows make.

    Args:
        rows: found, one more than ``limit`` where there are more.
        key: their key's name.
        limit: rows of the page.
        end: key of the last row that was walked through; None where that was the very last.
    """
    if len(rows) > limit:
        return Page(rows=rows[:limit], before=rows[limit - 1][key], is_whole=True)
    return Page(rows=rows, before=end, is_whole=end is None or len(rows) == limit)


def literal(text: str) -> str:
    """A pattern of LIKE that finds the text and nothing else."""
    escaped = text.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_")
    return f"%{escaped}%"
