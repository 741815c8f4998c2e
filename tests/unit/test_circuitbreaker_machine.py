"""The pure machine, state by state: what goes in, what comes out, and what is too late."""

import math

import pytest

from seawall.circuitbreaker.machine import Machine, Trial
from seawall.circuitbreaker.options import BreakerOptions
from seawall.circuitbreaker.state import CircuitState, Transition

CLOSED, OPEN, HALF_OPEN = CircuitState.CLOSED, CircuitState.OPEN, CircuitState.HALF_OPEN
FORCED_OPEN, DISABLED = CircuitState.FORCED_OPEN, CircuitState.DISABLED


def machine(**options):
    return Machine(BreakerOptions(**({"failure_threshold": 2, "timeout": 10} | options)))


def opened(**options):
    made = machine(failure_threshold=1, **options)
    made.failed(made.admit(), 100)
    assert made.state is OPEN
    return made


def half_open(**options):
    made = opened(**options)
    made.advance(110)
    assert made.state is HALF_OPEN
    return made


class TestClosed:
    def test_starts_closed_at_epoch_one(self):
        made = machine()
        assert (made.state, made.epoch, made.retry_after(0)) == (CLOSED, 1, 0)

    def test_every_call_is_admitted(self):
        made = machine()
        assert {id(made.admit()) for _ in range(50)} == {id(made.window)}

    def test_threshold_of_failures_opens(self):
        made = machine()
        assert made.failed(made.admit(), 100) is None
        assert made.failed(made.admit(), 100) == Transition(CLOSED, OPEN, 2)
        assert made.open_until == 110

    def test_success_between_failures_ends_the_run(self):
        made = machine()
        for _ in range(20):
            made.failed(made.admit(), 0)
            made.succeeded(made.admit())
        assert made.state is CLOSED

    def test_release_counts_neither_way(self):
        made = machine()
        made.failed(made.admit(), 0)
        made.released(made.admit())
        assert made.window.failure_count == 1
        made.failed(made.admit(), 0)
        assert made.state is OPEN

    def test_advance_changes_nothing(self):
        made = machine()
        assert made.advance(10**9) is None
        assert made.state is CLOSED


class TestOpen:
    def test_admits_nothing_and_says_how_long(self):
        made = opened()
        assert made.admit() is None
        assert made.retry_after(104) == 6
        assert made.advance(109.9) is None

    def test_late_failures_do_not_extend_it(self):
        """Trap 14."""
        made = machine(failure_threshold=1)
        early = [made.admit() for _ in range(5)]
        made.failed(made.admit(), 100)
        assert [made.failed(permit, 105) for permit in early] == [None] * 5
        assert (made.open_until, made.epoch) == (110, 2)

    def test_late_success_does_not_close_it(self):
        """Trap 17."""
        made = machine(failure_threshold=1)
        early = made.admit()
        made.failed(made.admit(), 100)
        assert made.succeeded(early) is None
        assert made.state is OPEN

    def test_its_time_passed_becomes_half_open(self):
        made = opened()
        assert made.advance(110) == Transition(OPEN, HALF_OPEN, 3)
        assert made.advance(111) is None


class TestHalfOpen:
    @pytest.mark.parametrize("permitted", [1, 3])
    def test_admits_the_permitted_calls(self, permitted):
        made = half_open(permitted_calls=permitted)
        assert sum(made.admit() is not None for _ in range(20)) == permitted
        assert made.retry_after(110) == 0

    def test_success_closes_with_an_empty_record(self):
        made = half_open()
        assert made.succeeded(made.admit()) == Transition(HALF_OPEN, CLOSED, 4)
        assert made.window.failure_count == 0

    def test_failure_opens_for_the_whole_time_again(self):
        made = half_open()
        assert made.failed(made.admit(), 113) == Transition(HALF_OPEN, OPEN, 4)
        assert made.open_until == 123

    def test_release_frees_the_permit_and_decides_nothing(self):
        made = half_open()
        for _ in range(5):
            permit = made.admit()
            made.released(permit)
        assert made.state is HALF_OPEN
        assert made.admit() is not None

    def test_outcome_reported_twice_frees_one_permit(self):
        made = half_open(permitted_calls=2)
        first = made.admit()
        made.admit()
        made.released(first)
        made.released(first)
        assert made.admit() is not None
        assert made.admit() is None

    def test_call_admitted_before_the_trip_decides_nothing(self):
        """Trap 11: neither its success nor its failure."""
        made = machine(failure_threshold=1)
        early = [made.admit(), made.admit()]
        made.failed(made.admit(), 100)
        made.advance(110)
        probe = made.admit()
        assert made.succeeded(early[0]) is None
        assert made.failed(early[1], 111) is None
        assert made.state is HALF_OPEN
        assert made.failed(probe, 111) is not None

    def test_trial_of_an_earlier_half_open_decides_nothing(self):
        made = half_open(permitted_calls=2)
        slow = made.admit()
        made.failed(made.admit(), 111)
        made.advance(121)
        assert made.succeeded(slow) is None
        assert made.failed(slow, 122) is None
        made.released(slow)
        assert made.state is HALF_OPEN
        assert sum(made.admit() is not None for _ in range(5)) == 2

    def test_second_success_after_the_first_changes_nothing(self):
        made = half_open(permitted_calls=2)
        first, second = made.admit(), made.admit()
        made.succeeded(first)
        assert made.succeeded(second) is None
        assert (made.state, made.epoch) == (CLOSED, 4)


class TestForced:
    def test_forced_open_admits_nothing_for_ever(self):
        made = machine()
        assert made.force(FORCED_OPEN) == Transition(CLOSED, FORCED_OPEN, 2)
        assert made.advance(10**12) is None
        assert made.admit() is None
        assert made.retry_after(0) is None
        assert made.open_until == math.inf

    def test_disabled_admits_all_and_never_opens(self):
        made = opened()
        assert made.force(DISABLED) == Transition(OPEN, DISABLED, 3)
        for _ in range(100):
            assert made.failed(made.admit(), 0) is None
        assert made.window.failure_count == 100
        assert made.state is DISABLED

    @pytest.mark.parametrize("start", [opened, half_open, machine])
    def test_reset_closes_with_an_empty_record(self, start):
        made = start()
        before = made.state
        transition = made.force(CLOSED)
        assert made.state is CLOSED
        assert made.window.failure_count == 0
        assert transition == (None if before is CLOSED else Transition(before, CLOSED, made.epoch))

    def test_outcome_of_a_call_admitted_before_a_reset_decides_nothing(self):
        made = machine(failure_threshold=1)
        permit = made.admit()
        made.force(CLOSED)
        assert made.failed(permit, 0) is None

    def test_same_forced_state_again_is_no_transition(self):
        made = machine()
        made.force(FORCED_OPEN)
        epoch = made.epoch
        assert made.force(FORCED_OPEN) is None
        assert made.epoch == epoch

    def test_trial_under_way_when_forced_open_does_not_close_it(self):
        made = half_open()
        trial = made.admit()
        assert isinstance(trial, Trial)
        made.force(FORCED_OPEN)
        assert made.succeeded(trial) is None
        assert made.state is FORCED_OPEN


class TestRate:
    def options(self):
        return {"failure_rate_threshold": 50, "sliding_window": 10, "minimum_calls": 4}

    def test_rate_below_the_minimum_of_calls_does_not_open(self):
        made = machine(**self.options())
        for _ in range(3):
            assert made.failed(made.admit(), 0) is None
        assert made.failed(made.admit(), 0) is not None

    def test_rate_at_the_threshold_opens(self):
        made = machine(**self.options())
        for _ in range(2):
            made.succeeded(made.admit())
        made.failed(made.admit(), 0)
        assert made.failed(made.admit(), 0) is not None

    def test_failures_out_of_the_window_are_forgotten(self):
        made = machine(**self.options())
        for _ in range(5):
            made.succeeded(made.admit())
        for _ in range(4):
            assert made.failed(made.admit(), 0) is None
        for _ in range(10):
            made.succeeded(made.admit())
        assert (made.window.failure_count, made.window.call_count) == (0, 10)
        assert made.failed(made.admit(), 0) is None
