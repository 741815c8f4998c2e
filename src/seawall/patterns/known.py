"""Shapes of messages as workers tell each other of them."""

from dataclasses import dataclass

from seawall.classification import ErrorType


@dataclass(frozen=True, slots=True)
class KnownShape:
    """One shape, with the pattern that it belongs to.

    Attributes:
        key: from its content.
        error_type: the recovery class of its errors.
        tokens: its constant words, ``<*>`` for each value.
        spaced: see ``Reading``; None where no message has just this shape.
        absorbs: whether it stands for shapes that were given up.
        pattern_id: the pattern, as whoever tells of it knows.
    """

    key: str
    error_type: ErrorType | None
    tokens: tuple[str, ...]
    spaced: int | None
    absorbs: bool
    pattern_id: str


@dataclass(frozen=True, slots=True)
class Template:
    """What the messages of a pattern have in common.

    Attributes:
        tokens: constant words, ``<*>`` for what varies.
        spaced: where spaces are; see ``Reading``.
    """

    tokens: tuple[str, ...]
    spaced: int | None
