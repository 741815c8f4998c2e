"""What an upsert does with a record whose key is there already."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from seawall.errors import InvalidConfigError


@dataclass(frozen=True, slots=True, kw_only=True)
class OnConflict:
    """An upsert: which key decides, and what becomes of the row that has it.

    ``"update"`` is the primary key with all columns; ``"nothing"`` passes over a record that any
    unique index has already.

    Attributes:
        columns: the columns of the unique index that decides, in any order; a partial index is
            found too. Without ``columns`` and ``constraint`` the primary key.
        constraint: the name of the constraint or unique index, instead of ``columns``.
        update: the columns to take from the record; None for all that are loaded but the key's;
            ``()`` to leave the row as it is. A column that isn't loaded takes its default.
        where: a SQL condition under which the row is updated, such as
            ``"excluded.updated_at > flights.updated_at"``.

    Raises:
        InvalidConfigError: options that exclude each other, or of a wrong type.
    """

    columns: Sequence[str] | None = None
    constraint: str | None = None
    update: Sequence[str] | None = None
    where: str | None = None

    def __post_init__(self) -> None:
        for name in ("columns", "update"):
            value = getattr(self, name)
            if value is not None:
                object.__setattr__(self, name, _names(name, value))
        if self.columns is not None and self.constraint is not None:
            raise InvalidConfigError(
                f"columns={self.columns!r} and constraint={self.constraint!r}: give one of them"
            )
        if self.columns == ():
            raise InvalidConfigError("columns=(): must name the columns of a unique index")
        for name in ("constraint", "where"):
            value = getattr(self, name)
            if value is not None and (not isinstance(value, str) or not value):
                raise InvalidConfigError(f"{name}={value!r}: must be a text or None")
        if self.where is not None and self.update == ():
            raise InvalidConfigError(f"where={self.where!r}: update=() leaves nothing to it")


OnConflictOption = Literal["nothing", "update"] | OnConflict


def check_on_conflict(option: object) -> None:
    """Refuse what is no ``OnConflictOption``, nor None.

    Raises:
        InvalidConfigError: says what is.
    """
    if option not in (None, "nothing", "update") and not isinstance(option, OnConflict):
        raise InvalidConfigError(
            f"on_conflict={option!r}: must be 'nothing', 'update', an OnConflict, or None"
        )


def _names(option: str, value: object) -> tuple[str, ...]:
    if isinstance(value, str) or not isinstance(value, Sequence):
        raise InvalidConfigError(f"{option}={value!r}: must be a list of column names")
    if not all(isinstance(each, str) for each in value) or len(set(value)) != len(value):
        raise InvalidConfigError(f"{option}={value!r}: must be different column names")
    return tuple(value)
