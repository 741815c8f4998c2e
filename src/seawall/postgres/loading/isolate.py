"""Finding bad records one error at a time, where the catalog doesn't tell which they are.

The server's error says which line of the COPY failed, or which key is missing; asyncpg fails at
the record that it was encoding. Only where neither tells, the range is cut in half.
"""

from collections.abc import Awaitable, Callable, Iterator, Sequence
from typing import Any

from seawall.postgres.loading.faults import (
    CONFLICTS,
    FOREIGN_KEY_VIOLATION,
    is_about_a_record,
    line_of,
    same_key,
    violation_of,
)
from seawall.postgres.loading.rejection import Violation

Copy = Callable[[Iterator[Sequence[Any]]], Awaitable[object]]


class _Counted:
    """Records on their way into a COPY, with the number that asyncpg has taken so far."""

    __slots__ = ("_rows", "taken")

    def __init__(self, rows: Sequence[Sequence[Any]]) -> None:
        self._rows, self.taken = rows, 0

    def __iter__(self) -> Iterator[Sequence[Any]]:
        for row in self._rows:
            self.taken += 1
            yield row


async def isolate(
    copy: Copy, names: Sequence[str], rows: Sequence[Sequence[Any]]
) -> dict[int, Violation]:
    """Copy all good records, in their order; the bad ones by number, with the error of each.

    Args:
        copy: copies rows so that a failure undoes that one COPY alone.
        names: the columns' names.
        rows: the records.

    Raises whatever ``copy`` raises that is not about a record.
    """
    bad: dict[int, Violation] = {}
    pending = [list(range(len(rows)))]
    while pending:
        numbers = pending.pop()
        chosen = [rows[number] for number in numbers]
        counted = _Counted(chosen)
        try:
            await copy(iter(counted))
        except Exception as error:
            if not is_about_a_record(error):
                raise
            if (place := _conflict(error)) and place < len(numbers):
                # With a record before it, which may itself be bad: that one is settled first.
                pending += [numbers[place:], numbers[:place]]
                continue
            guilty = _guilty(error, names, chosen, counted.taken)
            for place in guilty:
                bad[numbers[place]] = violation_of(error)
            # Last in, first out: the earlier records go first, as in one COPY.
            pending += _rest(numbers, guilty)
    return bad


def _conflict(error: Exception) -> int | None:
    """Place of the record whose key another one has, where the error is of that kind."""
    return line_of(error) if getattr(error, "sqlstate", None) in CONFLICTS else None


def _guilty(
    error: Exception, names: Sequence[str], rows: Sequence[Sequence[Any]], taken: int
) -> list[int]:
    """Places of the records that the error is about; none where only halving can tell."""
    if len(rows) == 1:
        return [0]
    if getattr(error, "sqlstate", None) is None:
        return [taken - 1]
    if (line := line_of(error)) is not None and line < len(rows):
        return [line]
    if getattr(error, "sqlstate", None) == FOREIGN_KEY_VIOLATION:
        return same_key(error, names, rows)
    return []


def _rest(numbers: list[int], guilty: Sequence[int]) -> list[list[int]]:
    if not guilty:
        half = len(numbers) // 2
        return [numbers[half:], numbers[:half]]
    if len(guilty) == 1:
        parts = [numbers[guilty[0] + 1 :], numbers[: guilty[0]]]
    else:
        out = set(guilty)
        parts = [[number for place, number in enumerate(numbers) if place not in out]]
    return [part for part in parts if part]
