"""The states of a circuit breaker, and one step between two of them."""

from dataclasses import dataclass
from enum import StrEnum


class CircuitState(StrEnum):
    """Whether calls go through."""

    CLOSED = "closed"
    OPEN = "open"
    HALF_OPEN = "half_open"
    FORCED_OPEN = "forced_open"
    DISABLED = "disabled"


@dataclass(frozen=True, slots=True)
class Transition:
    """A change of state; ``epoch`` is the number of the state that it leads to."""

    from_state: CircuitState
    to_state: CircuitState
    epoch: int
