"""Which layer decided, and on what."""

from dataclasses import dataclass
from enum import StrEnum

from seawall.classification.error_type import ErrorType


class Layer(StrEnum):
    """The layers of a classifier, in the order in which they are asked."""

    RULE = "rule"
    CODE = "code"
    TYPE = "type"
    GROUP = "group"
    CAUSE = "cause"
    MESSAGE = "message"
    PRESUMED = "presumed"
    OUTCOME = "outcome"
    LEARNED = "learned"
    NONE = "none"


@dataclass(frozen=True, slots=True)
class Explanation:
    """One classification.

    Attributes:
        error_type: the answer.
        layer: the layer that gave it.
        detail: what it was given on, for a person: ``SQLSTATE 40001``, ``HTTP 503``, a type name.
    """

    error_type: ErrorType
    layer: Layer
    detail: str


NOTHING_KNOWN = Explanation(ErrorType.UNKNOWN, Layer.NONE, "no layer knows this exception")
