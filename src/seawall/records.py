"""What a source gives: records with their positions, and what could not be read as a record."""

from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable


@dataclass(frozen=True, slots=True)
class Malformed:
    """Stands in the place of a record that could not be read; it is quarantined as it is.

    Attributes:
        raw: its bytes, as the source holds them.
        reason: why; the same text for the same fault.
        exception_type: the parser's exception, with its module, where there was one.
    """

    raw: bytes
    reason: str
    exception_type: str | None = None


@runtime_checkable
class RecordSource(Protocol):
    """A source that knows where each of its records stands, and can start after any of them.

    It may be read from many times. ``cp.batches``, ``cp.for_each`` and ``stream`` take it as it is,
    without ``position=``.
    """

    def chunks(self, after: Any) -> AsyncIterator[Sequence[tuple[Any, Any]]]:
        """The records behind position ``after`` (None: all), some at a time, in their order.

        Each is ``(position, record)``; the record may be ``Malformed``. Positions are unique, JSON
        values (numbers, texts, lists of these) or datetimes, and grow.
        """
        ...

    def fraction(self, position: Any) -> float | None:
        """How much of the source (0 to 1) lies up to ``position``; None where nobody knows."""
        ...
