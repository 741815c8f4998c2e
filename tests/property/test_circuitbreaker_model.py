"""The state machine against a model that keeps every call, under any order of events."""

import math

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, consumes, initialize, invariant, rule

from seawall.circuitbreaker.machine import Machine
from seawall.circuitbreaker.options import BreakerOptions
from seawall.circuitbreaker.state import CircuitState

CLOSED, OPEN, HALF_OPEN = CircuitState.CLOSED, CircuitState.OPEN, CircuitState.HALF_OPEN
FORCED_OPEN, DISABLED = CircuitState.FORCED_OPEN, CircuitState.DISABLED
METRICS_ONLY = CircuitState.METRICS_ONLY
ADMITTING = (CLOSED, DISABLED, METRICS_ONLY)
TIMEOUT = 10.0


class Call:
    """One admitted call in the model: the period of the state in which it was admitted."""

    def __init__(self, permit, period):
        self.permit, self.period = permit, period


class BreakerModel(RuleBasedStateMachine):
    calls = Bundle("calls")

    @initialize(
        permitted=st.integers(1, 3),
        threshold=st.integers(1, 4),
        rate=st.booleans(),
        max_wait=st.sampled_from([None, 3.0]),
        factor=st.sampled_from([1, 2]),
    )
    def start(self, permitted, threshold, rate, max_wait, factor):
        options = {
            "permitted_calls": permitted,
            "timeout": TIMEOUT,
            "timeout_factor": factor,
            "max_timeout": 35,
            "max_wait": max_wait,
        }
        self.max_wait, self.factor, self.openings = max_wait, factor, 0
        if rate:
            options |= {
                "failure_rate_threshold": 50,
                "sliding_window": 6,
                "minimum_calls": threshold,
            }
        else:
            options |= {"failure_threshold": threshold}
        self.machine = Machine(BreakerOptions(**options), 0.0)
        self.permitted, self.threshold, self.rate = permitted, threshold, rate
        self.now = 0.0
        self.enter(CLOSED, first=True)

    def enter(self, state, *, first=False):
        """A new period: nothing of an older one matters to it."""
        self.state = state
        self.period = 1 if first else self.period + 1
        self.history, self.trials, self.trial_until = [], 0, math.inf
        self.until = -math.inf
        if state is OPEN:
            self.openings += 1
            self.until = self.now + min(35, TIMEOUT * self.factor ** (self.openings - 1))
        elif state in (CLOSED, DISABLED, METRICS_ONLY):
            self.openings = 0

    def heard(self, transition, before):
        if self.state is before[0] and self.period == before[1]:
            assert transition is None
        else:
            assert transition is None or (transition.to_state, transition.epoch) == (
                self.state,
                self.period,
            )

    @rule(seconds=st.sampled_from([0.0, 0.5, 4.0, 9.999, 10.0, 3600.0]))
    def time_passes(self, seconds):
        self.now += seconds

    @rule(target=calls)
    def ask(self):
        transition = self.machine.advance(self.now)
        if self.state is OPEN and self.now >= self.until:
            self.enter(HALF_OPEN)
            assert transition is not None
        elif self.state is HALF_OPEN and self.now >= self.trial_until:
            self.enter(OPEN)
            assert transition is not None
        else:
            assert transition is None
        permit = self.machine.admit(self.now)
        if self.state in ADMITTING:
            assert permit is not None
        elif self.state is HALF_OPEN:
            assert (permit is not None) == (self.trials < self.permitted)
            if permit is not None:
                self.trials += 1
                if self.max_wait is not None:
                    self.trial_until = min(self.trial_until, self.now + self.max_wait)
        else:
            assert permit is None
        return Call(permit, self.period) if permit is not None else None

    @rule(call=consumes(calls))
    def succeed(self, call):
        if call is None:
            return
        transition = self.machine.succeeded(call.permit, self.now)
        before = (self.state, self.period)
        if call.period == self.period:
            if self.state is HALF_OPEN:
                self.enter(CLOSED)
            else:
                self.history.append(True)
        self.heard(transition, before)

    @rule(call=consumes(calls))
    def fail(self, call):
        if call is None:
            return
        transition = self.machine.failed(call.permit, self.now)
        before = (self.state, self.period)
        if call.period == self.period:
            self.history.append(False)
            if self.state is HALF_OPEN or (self.state is CLOSED and self.trips()):
                self.enter(OPEN)
        self.heard(transition, before)

    @rule(call=consumes(calls))
    def release(self, call):
        if call is None:
            return
        self.machine.released(call.permit)
        if call.period == self.period and self.state is HALF_OPEN:
            self.trials -= 1
            if self.trials == 0:
                self.trial_until = math.inf

    @rule(state=st.sampled_from([FORCED_OPEN, DISABLED, METRICS_ONLY, CLOSED]))
    def force(self, state):
        self.machine.enter(state, self.now)
        if state is not self.state or state is CLOSED:
            self.enter(state)

    def trips(self):
        if not self.rate:
            return self.history[-self.threshold :] == [False] * self.threshold
        last = self.history[-6:]
        return len(last) >= self.threshold and 2 * last.count(False) >= len(last)

    @invariant()
    def agrees(self):
        if not hasattr(self, "machine"):
            return
        machine = self.machine
        assert (machine.state, machine.epoch) == (self.state, self.period)
        assert (machine.window is not None) == (self.state in ADMITTING)
        if self.state is OPEN:
            assert machine.open_until == self.until
            assert machine.opened_count == self.openings
            assert machine.retry_after(self.now) == max(0.0, self.until - self.now)


BreakerModel.TestCase.settings = settings(max_examples=200, stateful_step_count=40, deadline=None)
TestBreakerModel = BreakerModel.TestCase
