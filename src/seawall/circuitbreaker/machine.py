"""The state machine of a circuit breaker: events in, transitions out; no clock, no I/O.

Each state has an epoch, and so has each permit: an outcome of an earlier epoch changes nothing.
"""

import math

from seawall.circuitbreaker.options import BreakerOptions
from seawall.circuitbreaker.state import CircuitState, Transition
from seawall.circuitbreaker.window import Permit, UncountedWindow, Window


class Trial(Permit):
    """The permit of one call in half-open; it counts once."""

    __slots__ = ("settled",)

    def __init__(self, epoch: int) -> None:
        super().__init__(epoch)
        self.settled = False


class Machine:
    """One breaker's state. Belongs to the tasks of one event loop; no method waits.

    Attributes:
        state: the present state.
        epoch: its number; grows with each.
        window: the record, and the permit, of a call that goes through without asking; None where
            ``advance`` and ``admit`` must be asked.
        open_until: the moment that ends OPEN, infinity in FORCED_OPEN, else minus infinity.
    """

    __slots__ = ("_options", "_trials", "epoch", "open_until", "state", "window")

    def __init__(self, options: BreakerOptions) -> None:
        self._options = options
        self._trials = 0
        self.state = CircuitState.CLOSED
        self.epoch = 1
        self.window: Window | None = options.new_window(1)
        self.open_until = -math.inf

    def advance(self, now: float) -> Transition | None:
        """Go from OPEN to HALF_OPEN where its time has passed."""
        if self.state is CircuitState.OPEN and now >= self.open_until:
            return self._enter(CircuitState.HALF_OPEN)
        return None

    def admit(self) -> Permit | None:
        """A permit for one call, to be given to ``succeeded``, ``failed`` or ``released``."""
        if self.window is not None:
            return self.window
        if self.state is CircuitState.HALF_OPEN and self._trials < self._options.permitted_calls:
            self._trials += 1
            return Trial(self.epoch)
        return None

    def retry_after(self, now: float) -> float | None:
        """Seconds until a call may be admitted; None where only an operator knows."""
        if self.state is CircuitState.FORCED_OPEN:
            return None
        return max(0.0, self.open_until - now)

    def succeeded(self, permit: Permit) -> Transition | None:
        """A permitted call succeeded: a trial closes the breaker."""
        if isinstance(permit, Window):
            permit.successes += 1
            return None
        return self._enter(CircuitState.CLOSED) if self._settle(permit) else None

    def failed(self, permit: Permit, now: float) -> Transition | None:
        """A permitted call failed: a trial opens the breaker, else the window's rule may."""
        if isinstance(permit, Window):
            tripped = permit is self.window and permit.record_failure()
        else:
            tripped = self._settle(permit)
        if not tripped:
            return None
        return self._enter(CircuitState.OPEN, now + self._options.timeout)

    def released(self, permit: Permit) -> None:
        """A permitted call ended without a verdict; its permit is free again."""
        self._settle(permit)

    def force(self, state: CircuitState) -> Transition | None:
        """Enter ``state`` by an operator's will; None where it is the present one."""
        if state is self.state and state is not CircuitState.CLOSED:
            return None
        before = self.state
        until = math.inf if state is CircuitState.FORCED_OPEN else -math.inf
        transition = self._enter(state, until)
        return None if before is state else transition

    def _settle(self, permit: Permit) -> bool:
        """Take a trial's permit back; False where it is stale or was settled before."""
        if not isinstance(permit, Trial) or permit.settled or permit.epoch != self.epoch:
            return False
        permit.settled = True
        self._trials -= 1
        return True

    def _enter(self, state: CircuitState, until: float = -math.inf) -> Transition:
        before, self.state = self.state, state
        self.epoch += 1
        self._trials = 0
        self.open_until = until
        self.window = None
        if state is CircuitState.CLOSED:
            self.window = self._options.new_window(self.epoch)
        elif state is CircuitState.DISABLED:
            self.window = UncountedWindow(self.epoch)
        return Transition(before, state, self.epoch)
