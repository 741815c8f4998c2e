"""What a person sees of a breaker."""

from dataclasses import dataclass

from seawall.circuitbreaker.state import CircuitState


@dataclass(frozen=True, slots=True, kw_only=True)
class BreakerSnapshot:
    """A breaker at one moment.

    Attributes:
        service_name: the breaker's name.
        state: its state.
        epoch: the state's number.
        failure_count: failures that its rule remembers; 0 unless calls go through.
        call_count: calls that its rule looks at.
        retry_after: seconds until a trial call; None where calls go through, or nobody knows.
        reason: why it entered this state, in words; None at the start.
    """

    service_name: str
    state: CircuitState
    epoch: int
    failure_count: int
    call_count: int
    retry_after: float | None
    reason: str | None
