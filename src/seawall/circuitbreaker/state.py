"""The states of a circuit breaker."""

from dataclasses import dataclass
from enum import StrEnum


class CircuitState(StrEnum):
    """What a breaker does with a call."""

    CLOSED = "closed"
    OPEN = "open"
    HALF_OPEN = "half_open"
    FORCED_OPEN = "forced_open"
    DISABLED = "disabled"
    METRICS_ONLY = "metrics_only"


@dataclass(frozen=True, slots=True)
class Transition:
    """A change of state, and the epoch that it began."""

    from_state: CircuitState
    to_state: CircuitState
    epoch: int
