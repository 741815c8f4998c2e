"""The pure machine, state by state: what goes in, what comes out, and what is too late."""

import math

import pytest

from seawall.circuitbreaker.machine import Machine, Trial
from seawall.circuitbreaker.options import BreakerOptions
from seawall.circuitbreaker.state import CircuitState, Transition
from seawall.circuitbreaker.window import Counts

CLOSED, OPEN, HALF_OPEN = CircuitState.CLOSED, CircuitState.OPEN, CircuitState.HALF_OPEN
FORCED_OPEN, DISABLED = CircuitState.FORCED_OPEN, CircuitState.DISABLED
METRICS_ONLY = CircuitState.METRICS_ONLY


def machine(**options):
    return Machine(BreakerOptions(**({"failure_threshold": 2, "timeout": 10} | options)), 0)


def opened(**options):
    made = machine(failure_threshold=1, **options)
    made.failed(made.admit(0), 100)
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
        assert {id(made.admit(0)) for _ in range(50)} == {id(made.window)}

    def test_threshold_of_failures_opens(self):
        made = machine()
        assert made.failed(made.admit(0), 100) is None
        assert made.failed(made.admit(0), 100) == Transition(CLOSED, OPEN, 2)
        assert made.open_until == 110

    def test_success_between_failures_ends_the_run(self):
        made = machine()
        for _ in range(20):
            made.failed(made.admit(0), 0)
            made.succeeded(made.admit(0), 0)
        assert made.state is CLOSED

    def test_release_counts_neither_way(self):
        made = machine()
        made.failed(made.admit(0), 0)
        made.released(made.admit(0))
        assert made.window.counts(0).failures == 1
        made.failed(made.admit(0), 0)
        assert made.state is OPEN

    def test_advance_changes_nothing(self):
        made = machine()
        assert made.advance(10**9) is None
        assert made.state is CLOSED


class TestOpen:
    def test_admits_nothing_and_says_how_long(self):
        made = opened()
        assert made.admit(0) is None
        assert made.retry_after(104) == 6
        assert made.advance(109.9) is None

    def test_late_failures_do_not_extend_it(self):
        """Trap 14."""
        made = machine(failure_threshold=1)
        early = [made.admit(0) for _ in range(5)]
        made.failed(made.admit(0), 100)
        assert [made.failed(permit, 105) for permit in early] == [None] * 5
        assert (made.open_until, made.epoch) == (110, 2)

    def test_late_success_does_not_close_it(self):
        """Trap 17."""
        made = machine(failure_threshold=1)
        early = made.admit(0)
        made.failed(made.admit(0), 100)
        assert made.succeeded(early, 0) is None
        assert made.state is OPEN

    def test_its_time_passed_becomes_half_open(self):
        made = opened()
        assert made.advance(110) == Transition(OPEN, HALF_OPEN, 3)
        assert made.advance(111) is None


class TestHalfOpen:
    @pytest.mark.parametrize("permitted", [1, 3])
    def test_admits_the_permitted_calls(self, permitted):
        made = half_open(permitted_calls=permitted)
        assert sum(made.admit(0) is not None for _ in range(20)) == permitted
        assert made.retry_after(110) == 0

    def test_success_closes_with_an_empty_record(self):
        made = half_open()
        assert made.succeeded(made.admit(0), 0) == Transition(HALF_OPEN, CLOSED, 4)
        assert made.window.counts(0).failures == 0

    def test_failure_opens_for_the_whole_time_again(self):
        made = half_open()
        assert made.failed(made.admit(0), 113) == Transition(HALF_OPEN, OPEN, 4)
        assert made.open_until == 123

    def test_release_frees_the_permit_and_decides_nothing(self):
        made = half_open()
        for _ in range(5):
            permit = made.admit(0)
            made.released(permit)
        assert made.state is HALF_OPEN
        assert made.admit(0) is not None

    def test_outcome_reported_twice_frees_one_permit(self):
        made = half_open(permitted_calls=2)
        first = made.admit(0)
        made.admit(0)
        made.released(first)
        made.released(first)
        assert made.admit(0) is not None
        assert made.admit(0) is None

    def test_call_admitted_before_the_trip_decides_nothing(self):
        """Trap 11: neither its success nor its failure."""
        made = machine(failure_threshold=1)
        early = [made.admit(0), made.admit(0)]
        made.failed(made.admit(0), 100)
        made.advance(110)
        probe = made.admit(0)
        assert made.succeeded(early[0], 0) is None
        assert made.failed(early[1], 111) is None
        assert made.state is HALF_OPEN
        assert made.failed(probe, 111) is not None

    def test_trial_of_an_earlier_half_open_decides_nothing(self):
        made = half_open(permitted_calls=2)
        slow = made.admit(0)
        made.failed(made.admit(0), 111)
        made.advance(121)
        assert made.succeeded(slow, 0) is None
        assert made.failed(slow, 122) is None
        made.released(slow)
        assert made.state is HALF_OPEN
        assert sum(made.admit(0) is not None for _ in range(5)) == 2

    def test_second_success_after_the_first_changes_nothing(self):
        made = half_open(permitted_calls=2)
        first, second = made.admit(0), made.admit(0)
        made.succeeded(first, 0)
        assert made.succeeded(second, 0) is None
        assert (made.state, made.epoch) == (CLOSED, 4)


class TestForced:
    def test_forced_open_admits_nothing_for_ever(self):
        made = machine()
        assert made.enter(FORCED_OPEN, 0) == Transition(CLOSED, FORCED_OPEN, 2)
        assert made.advance(10**12) is None
        assert made.admit(0) is None
        assert made.retry_after(0) is None
        assert made.open_until == math.inf

    def test_disabled_admits_all_and_never_opens(self):
        made = opened()
        assert made.enter(DISABLED, 0) == Transition(OPEN, DISABLED, 3)
        for _ in range(100):
            assert made.failed(made.admit(0), 0) is None
        assert made.window.counts(0).failures == 0
        assert made.state is DISABLED

    @pytest.mark.parametrize("start", [opened, half_open, machine])
    def test_reset_closes_with_an_empty_record(self, start):
        made = start()
        before = made.state
        transition = made.enter(CLOSED, 0)
        assert made.state is CLOSED
        assert made.window.counts(0).failures == 0
        assert transition == (None if before is CLOSED else Transition(before, CLOSED, made.epoch))

    def test_outcome_of_a_call_admitted_before_a_reset_decides_nothing(self):
        made = machine(failure_threshold=1)
        permit = made.admit(0)
        made.enter(CLOSED, 0)
        assert made.failed(permit, 0) is None

    def test_same_forced_state_again_is_no_transition(self):
        made = machine()
        made.enter(FORCED_OPEN, 0)
        epoch = made.epoch
        assert made.enter(FORCED_OPEN, 0) is None
        assert made.epoch == epoch

    def test_trial_under_way_when_forced_open_does_not_close_it(self):
        made = half_open()
        trial = made.admit(0)
        assert isinstance(trial, Trial)
        made.enter(FORCED_OPEN, 0)
        assert made.succeeded(trial, 0) is None
        assert made.state is FORCED_OPEN


class TestRate:
    def options(self):
        return {"failure_rate_threshold": 50, "sliding_window": 10, "minimum_calls": 4}

    def test_rate_below_the_minimum_of_calls_does_not_open(self):
        made = machine(**self.options())
        for _ in range(3):
            assert made.failed(made.admit(0), 0) is None
        assert made.failed(made.admit(0), 0) is not None

    def test_rate_at_the_threshold_opens(self):
        made = machine(**self.options())
        for _ in range(2):
            made.succeeded(made.admit(0), 0)
        made.failed(made.admit(0), 0)
        assert made.failed(made.admit(0), 0) is not None

    def test_failures_out_of_the_window_are_forgotten(self):
        made = machine(**self.options())
        for _ in range(5):
            made.succeeded(made.admit(0), 0)
        for _ in range(4):
            assert made.failed(made.admit(0), 0) is None
        for _ in range(10):
            made.succeeded(made.admit(0), 0)
        assert made.window.counts(0) == Counts(10, 0, 0)
        assert made.failed(made.admit(0), 0) is None


class TestSlowCalls:
    def options(self):
        return {
            "failure_rate_threshold": 100,
            "slow_call_duration": 1,
            "slow_call_rate_threshold": 50,
            "sliding_window": 10,
            "minimum_calls": 4,
        }

    def test_slow_successes_open_at_their_rate(self):
        made = machine(**self.options())
        for _ in range(3):
            assert made.succeeded_slowly(made.admit(0), 5) is None
        assert made.succeeded_slowly(made.admit(0), 5) == Transition(CLOSED, OPEN, 2)
        assert made.tripped_by == Counts(4, 0, 4)

    def test_slow_failure_counts_for_both_rates(self):
        made = machine(**self.options())
        made.failed(made.admit(0), 0, slow=True)
        assert made.window.counts(0) == Counts(1, 1, 1)

    def test_quick_calls_push_slow_ones_out_of_the_window(self):
        made = machine(**self.options())
        for _ in range(3):
            made.succeeded_slowly(made.admit(0), 0)
        for _ in range(10):
            made.succeeded(made.admit(0), 0)
        assert made.window.counts(0) == Counts(10, 0, 0)

    def test_slow_trial_that_succeeds_closes(self):
        made = half_open()
        assert made.succeeded_slowly(made.admit(110), 112).to_state is CLOSED


class TestTimeWindow:
    def options(self):
        return {
            "failure_rate_threshold": 50,
            "sliding_window_seconds": 20,
            "minimum_calls": 4,
        }

    def test_failures_older_than_the_window_are_forgotten(self):
        made = machine(**self.options())
        for _ in range(3):
            made.failed(made.admit(0), 0)
        assert made.failed(made.admit(0), 20.5) is None
        assert made.window.counts(20.5) == Counts(1, 1, 0)

    def test_failures_within_the_window_open(self):
        made = machine(**self.options())
        for second in (0, 6, 12):
            assert made.failed(made.admit(second), second) is None
        assert made.failed(made.admit(18), 18) is not None

    def test_success_counts_in_the_bucket_of_its_moment(self):
        made = machine(**self.options())
        made.succeeded(made.admit(0), 0.5)
        made.succeeded(made.admit(0), 10)
        assert made.window.counts(10).calls == 2
        assert made.window.counts(21).calls == 1
        assert made.window.counts(10**9).calls == 0


class TestBreak:
    def test_break_grows_with_each_opening_to_its_cap(self):
        made = opened(timeout_factor=2, max_timeout=35)
        ends = []
        for _ in range(4):
            now = made.open_until
            ends.append(now)
            made.advance(now)
            made.failed(made.admit(now), now)
        assert ends == [110, 130, 165, 200]

    def test_closing_ends_the_growth(self):
        made = opened(timeout_factor=2)
        made.advance(110)
        made.failed(made.admit(110), 110)
        assert (made.opened_count, made.open_until) == (2, 130)
        made.advance(130)
        made.succeeded(made.admit(130), 130)
        made.failed(made.admit(131), 131)
        assert (made.opened_count, made.open_until) == (1, 141)

    @pytest.mark.parametrize(("draw", "end"), [(0.0, 105), (0.5, 110), (1.0, 115)])
    def test_jitter_spreads_the_break_both_ways(self, draw, end):
        made = Machine(
            BreakerOptions(failure_threshold=1, timeout=10, timeout_jitter=0.5), 0, lambda: draw
        )
        made.failed(made.admit(0), 100)
        assert made.open_until == end

    def test_timeout_above_the_cap_is_kept(self):
        made = opened(timeout=5000, timeout_factor=2, max_timeout=100)
        assert made.open_until == 5100


class TestMaxWait:
    def test_trial_that_takes_too_long_opens_again_and_decides_nothing(self):
        made = half_open(max_wait=5)
        hung = made.admit(110)
        assert made.advance(114.9) is None
        assert made.advance(115) == Transition(HALF_OPEN, OPEN, 4)
        assert made.succeeded(hung, 116) is None
        assert made.state is OPEN

    def test_trial_given_back_stops_the_wait(self):
        made = half_open(max_wait=5)
        made.released(made.admit(110))
        assert made.advance(1000) is None
        assert made.admit(1000) is not None


class TestMetricsOnly:
    def test_metrics_only_counts_and_never_opens(self):
        made = machine()
        assert made.enter(METRICS_ONLY, 0) == Transition(CLOSED, METRICS_ONLY, 2)
        for _ in range(10):
            assert made.failed(made.admit(0), 0) is None
        assert made.window.counts(0).failures == 10
        assert made.state is METRICS_ONLY


class TestFollowing:
    def test_open_entered_again_takes_the_new_end(self):
        made = opened()
        assert made.enter(OPEN, 104, 20) is None
        assert (made.open_until, made.epoch, made.opened_count) == (124, 2, 1)

    def test_half_open_entered_from_closed_asks_for_permits(self):
        made = machine()
        assert made.enter(HALF_OPEN, 0) == Transition(CLOSED, HALF_OPEN, 2)
        assert made.window is None
