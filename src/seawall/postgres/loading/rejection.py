"""The words in which a record's faults are told: the server's own, wherever they come from."""

from collections.abc import Iterable
from dataclasses import dataclass, field

from seawall.checkpoint.model import Rejection


@dataclass(frozen=True, slots=True, order=True)
class Violation:
    """One fault of one record.

    Attributes:
        rank: its place in the order in which the server looks: values, not null, checks, unique
            indexes, foreign keys.
        reason: the server's message, the same for every record with this fault.
        detail: what is special to this record, such as the offending key.
    """

    rank: int
    reason: str
    sqlstate: str | None = field(default=None, compare=False)
    constraint_name: str | None = field(default=None, compare=False)
    column_name: str | None = field(default=None, compare=False)
    detail: str | None = field(default=None, compare=False)
    exception_type: str | None = field(default=None, compare=False)

    def told(self) -> str:
        return self.reason if self.detail is None else f"{self.reason} {self.detail}"


def reject(index: int, violations: Iterable[Violation]) -> Rejection:
    """One rejection of a record with several faults: the first one's reason, all of them kept."""
    ordered = sorted(violations)
    first = ordered[0]
    return Rejection(
        index=index,
        reason=first.reason,
        reasons=tuple(each.told() for each in ordered),
        sqlstate=first.sqlstate,
        constraint_name=first.constraint_name,
        column_name=first.column_name,
        exception_type=first.exception_type,
    )
