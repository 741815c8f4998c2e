"""An error pattern as it is shown."""

from dataclasses import dataclass

from seawall.classification import ErrorType

Values = tuple[tuple[str, int], ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class ErrorPattern:
    """Messages that differ in their values only.

    Attributes:
        pattern_id: from its content: the same on every worker and in every run.
        error_message_pattern: the message, ``<*>`` for what varies.
        frequency: how often it was seen: exact.
        error_type: the recovery class of all its errors; None where none was given.
        first_seen: seconds since the epoch; None where no time was given.
        last_seen: likewise.
        values: for each ``<*>`` in order, its commonest values and about how often (sampled).
    """

    pattern_id: str
    error_message_pattern: str
    frequency: int
    error_type: ErrorType | None
    first_seen: float | None
    last_seen: float | None
    values: tuple[Values, ...]
