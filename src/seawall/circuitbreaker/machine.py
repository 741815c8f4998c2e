"""The state machine of a circuit breaker: events in, transitions out; no clock, no I/O.

Each state has an epoch, and so has each permit: an outcome of an earlier epoch changes nothing.
"""

import math
import random
from collections.abc import Callable

from seawall.circuitbreaker.options import BreakerOptions
from seawall.circuitbreaker.state import CircuitState, Transition
from seawall.circuitbreaker.window import Counts, Permit, UncountedWindow, Window

_COUNTING = (CircuitState.CLOSED, CircuitState.METRICS_ONLY)


class Trial(Permit):
    """The permit of one call in half-open; it counts once."""

    __slots__ = ("settled",)

    def __init__(self, epoch: int) -> None:
        super().__init__(epoch)
        self.settled = False


class Machine:
    """One breaker's state. Belongs to the tasks of one event loop; no method waits.

    Args:
        options: the rules.
        now: the present moment, seconds.
        draw: a random number from 0 to 1, for the jitter of a break.

    Attributes:
        state: the present state.
        epoch: its number; grows with each.
        window: the record, and the permit, of a call that goes through without asking; None where
            ``advance`` and ``admit`` must be asked.
        open_until: the moment that ends OPEN, infinity in FORCED_OPEN, else minus infinity.
        opened_count: openings since it was last closed.
        tripped_by: the counts that opened it, while it is open or half-open.
    """

    __slots__ = (
        "_draw", "_options", "_trial_until", "_trials", "epoch", "open_until", "opened_count",
        "state", "tripped_by", "window",
    )  # fmt: skip

    def __init__(
        self, options: BreakerOptions, now: float, draw: Callable[[], float] = random.random
    ) -> None:
        self._options, self._draw = options, draw
        self._trials, self._trial_until = 0, math.inf
        self.state = CircuitState.CLOSED
        self.epoch = 1
        self.window: Window | None = options.new_window(1, now)
        self.open_until = -math.inf
        self.opened_count = 0
        self.tripped_by = Counts()

    def advance(self, now: float) -> Transition | None:
        """Go on where time has passed: OPEN to HALF_OPEN, or back where a trial took too long."""
        if self.state is CircuitState.OPEN and now >= self.open_until:
            return self._enter(CircuitState.HALF_OPEN, now)
        if self.state is CircuitState.HALF_OPEN and now >= self._trial_until:
            return self._open(now)
        return None

    def admit(self, now: float) -> Permit | None:
        """A permit for one call, to be given to ``succeeded``, ``failed`` or ``released``."""
        if self.window is not None:
            return self.window
        if self.state is CircuitState.HALF_OPEN and self._trials < self._options.permitted_calls:
            self._trials += 1
            if self._options.max_wait is not None:
                self._trial_until = min(self._trial_until, now + self._options.max_wait)
            return Trial(self.epoch)
        return None

    def retry_after(self, now: float) -> float | None:
        """Seconds until a call may be admitted; None where only an operator knows."""
        if self.state is CircuitState.FORCED_OPEN:
            return None
        return max(0.0, self.open_until - now)

    def succeeded(self, permit: Permit, now: float) -> Transition | None:
        """A permitted call succeeded: a trial closes the breaker."""
        if isinstance(permit, Window):
            if now >= permit.bucket_end:
                permit.roll(now)
            permit.successes += 1
            return None
        return self._enter(CircuitState.CLOSED, now) if self._settle(permit) else None

    def succeeded_slowly(self, permit: Permit, now: float) -> Transition | None:
        """A permitted call succeeded late: the slow-call rate may open the breaker."""
        if not isinstance(permit, Window):
            return self._enter(CircuitState.CLOSED, now) if self._settle(permit) else None
        return self._tripped(permit, now, permit.record_slow_success(now))

    def failed(self, permit: Permit, now: float, *, slow: bool = False) -> Transition | None:
        """A permitted call failed: a trial opens the breaker, else the window's rule may."""
        if isinstance(permit, Window):
            if permit is not self.window:
                return None
            return self._tripped(permit, now, permit.record_failure(now, slow=slow))
        return self._open(now) if self._settle(permit) else None

    def released(self, permit: Permit) -> None:
        """A permitted call ended without a verdict; its permit is free again."""
        if self._settle(permit) and self._trials == 0:
            self._trial_until = math.inf

    def enter(
        self, state: CircuitState, now: float, seconds: float = math.inf
    ) -> Transition | None:
        """Enter ``state`` by the will of an operator or the fleet; None where it is the present.

        A breaker that is closed begins a new record all the same; one that is open gets the new
        end of its break.

        Args:
            state: the state to be in.
            now: the present moment.
            seconds: how long OPEN lasts.
        """
        if state is self.state and state is not CircuitState.CLOSED:
            if state is CircuitState.OPEN:
                self.open_until = now + seconds
            elif state is CircuitState.HALF_OPEN:
                self._enter(state, now)  # trials that it admitted by itself decide nothing
            return None
        before = self.state
        transition = self._enter(state, now, now + seconds)
        return None if before is state else transition

    def _tripped(self, window: Window, now: float, tripped: bool) -> Transition | None:
        # In METRICS_ONLY the rule is evaluated and nothing follows.
        if not tripped or window is not self.window or self.state is not CircuitState.CLOSED:
            return None
        self.tripped_by = window.counts(now)
        return self._open(now)

    def _open(self, now: float) -> Transition:
        seconds = self._options.open_seconds(self.opened_count + 1, self._draw)
        return self._enter(CircuitState.OPEN, now, now + seconds)

    def _settle(self, permit: Permit) -> bool:
        """Take a trial's permit back; False where it is stale or was settled before."""
        if not isinstance(permit, Trial) or permit.settled or permit.epoch != self.epoch:
            return False
        permit.settled = True
        self._trials -= 1
        return True

    def _enter(self, state: CircuitState, now: float, until: float = -math.inf) -> Transition:
        before, self.state = self.state, state
        self.epoch += 1
        self._trials, self._trial_until = 0, math.inf
        self.window = None
        self.open_until = -math.inf
        if state is CircuitState.OPEN:
            self.open_until = until
            self.opened_count += 1
        elif state is CircuitState.FORCED_OPEN:
            self.open_until = math.inf
        elif state is not CircuitState.HALF_OPEN:
            self.opened_count, self.tripped_by = 0, Counts()
            counting = state in _COUNTING
            self.window = (
                self._options.new_window(self.epoch, now)
                if counting
                else UncountedWindow(self.epoch)
            )
        return Transition(before, state, self.epoch)
