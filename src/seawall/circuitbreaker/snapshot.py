"""A breaker as people see it."""

from dataclasses import dataclass

from seawall.circuitbreaker.state import CircuitState


@dataclass(frozen=True, slots=True)
class BreakerSnapshot:
    """One moment of a circuit breaker.

    Attributes:
        service_name: the breaker's name.
        state: its state.
        epoch: how many states it has had in this process.
        call_count: calls that its rule looks at; 0 unless closed or metrics only.
        failure_count: failures among them.
        slow_count: slow calls among them.
        opened_count: openings since it was last closed.
        retry_after: seconds until it admits a trial call; None where it admits every call or only
            an operator can tell.
        reason: what made it enter its state; None at the start.
        fleet_epoch: the number of the fleet's state that it goes by; None where it is local.
    """

    service_name: str
    state: CircuitState
    epoch: int
    call_count: int
    failure_count: int
    slow_count: int
    opened_count: int
    retry_after: float | None
    reason: str | None
    fleet_epoch: int | None
