"""Where a fleet keeps its breakers: the protocol, and the values that pass."""

from collections.abc import Callable, Sequence
from typing import Protocol
from uuid import UUID

import msgspec

from seawall.circuitbreaker.link import Verdict
from seawall.circuitbreaker.state import CircuitState


class FleetState(msgspec.Struct, frozen=True, kw_only=True):
    """A breaker's state in the fleet.

    Attributes:
        service_name: the breaker.
        state: what every worker goes by.
        epoch: its number: a message of a lower one is late.
        open_seconds: until OPEN ends, by the store's clock, when this was said.
        reason: what made it enter the state.
    """

    service_name: str
    state: CircuitState
    epoch: int
    open_seconds: float = 0.0
    reason: str | None = None


class Report(msgspec.Struct, frozen=True, kw_only=True):
    """What one worker sees of a service: the counts of its own window.

    Attributes:
        epoch: the fleet's state that they belong to.
        called: whether it has called the service since its last report.
    """

    service_name: str
    epoch: int
    calls: int
    failures: int
    slow: int
    called: bool


class Rule(msgspec.Struct, frozen=True, kw_only=True):
    """When the sum of the reports opens a breaker, and for how long.

    Attributes:
        quorum: workers that must see failures; all that called lately, where they are fewer.
        live_seconds: how long a worker's last call counts as lately.
        failure_threshold: the sum of the workers' runs of failures; without ``failure_rate``.
        failure_rate, slow_rate: percents of the summed calls, at least ``minimum_calls``.
        timeout, timeout_factor, max_timeout: seconds of the break, and its growth.
        spread: a random factor of it.
    """

    quorum: int
    live_seconds: float
    failure_threshold: int
    minimum_calls: int
    failure_rate: float | None
    slow_rate: float | None
    timeout: float
    timeout_factor: float
    max_timeout: float
    spread: float


class Claim(msgspec.Struct, frozen=True, kw_only=True):
    """The answer to a worker that wants to make a trial call.

    Attributes:
        state: the breaker's state after it.
        granted: whether the call may be made.
        wait: where not, seconds after which to ask again.
    """

    state: FleetState
    granted: bool
    wait: float


class FleetStore(Protocol):
    """Shared by all workers. Every method but ``run`` may raise ``ConnectionError``."""

    async def run(
        self,
        hear: Callable[[FleetState], None],
        connected: Callable[[], None],
        lost: Callable[[], None],
    ) -> None:
        """Tell of every change, and of the connection, until cancelled."""
        ...

    async def sync(self, worker_id: str, reports: Sequence[Report]) -> list[FleetState]:
        """Leave this worker's reports; every breaker's state."""
        ...

    async def vote(self, worker_id: str, report: Report, rule: Rule, reason: str) -> FleetState:
        """Leave one report, and open the breaker where the sum of all is enough."""
        ...

    async def forget(self, worker_id: str) -> None:
        """Delete the reports of a worker that leaves."""
        ...

    async def claim(
        self, service_name: str, worker_id: str, permit_id: UUID, permitted: int, lease: float
    ) -> Claim:
        """Ask for one of the fleet's ``permitted`` trial calls, for ``lease`` seconds."""
        ...

    async def renew(self, permit_id: UUID, lease: float) -> bool:
        """Keep a permit for ``lease`` more seconds; False where it is another's by now."""
        ...

    async def settle(
        self, service_name: str, permit_id: UUID, verdict: Verdict, rule: Rule, reason: str
    ) -> FleetState:
        """Give a permit back; its holder's verdict closes or opens the breaker."""
        ...

    async def force(
        self, service_name: str, state: CircuitState, seconds: float, reason: str
    ) -> FleetState:
        """Enter ``state``, OPEN for ``seconds``."""
        ...
