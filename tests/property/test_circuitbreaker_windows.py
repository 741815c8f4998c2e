"""Each window against a list of outcomes counted by hand."""

from hypothesis import given, settings
from hypothesis import strategies as st

from seawall.circuitbreaker.window import (
    BUCKETS,
    ConsecutiveWindow,
    Counts,
    CountWindow,
    Rates,
    TimeWindow,
)

outcomes = st.lists(st.booleans(), max_size=120)


@settings(max_examples=200, deadline=None)
@given(outcomes, st.integers(1, 10))
def test_consecutive_window_opens_as_a_run_is_counted(calls, threshold):
    window = ConsecutiveWindow(1, threshold)
    for n, success in enumerate(calls, 1):
        if success:
            window.successes += 1
            opened = False
        else:
            opened = window.record_failure(0)
        run = 0
        for each in reversed(calls[:n]):
            if each:
                break
            run += 1
        assert window.counts(0).failures == run
        assert opened == (run >= threshold and not success)


@settings(max_examples=200, deadline=None)
@given(outcomes, st.integers(1, 30), st.data())
def test_count_window_opens_as_the_last_calls_are_counted(calls, size, data):
    minimum = data.draw(st.integers(1, size))
    rate = data.draw(st.floats(0.5, 100))
    window = CountWindow(1, size, Rates(minimum, rate))
    for n, success in enumerate(calls, 1):
        if success:
            window.successes += 1
            opened = False
        else:
            opened = window.record_failure(0)
        last = calls[:n][-size:]
        failed = last.count(False)
        assert (window.counts(0).failures, window.counts(0).calls) == (failed, len(last))
        # Evaluated on failures: a success can't raise the rate.
        assert opened == (not success and len(last) >= minimum and 100 * failed >= rate * len(last))


@settings(max_examples=50, deadline=None)
@given(st.integers(1, 50), outcomes)
def test_count_window_keeps_no_more_than_its_size(size, calls):
    window = CountWindow(1, size, Rates(1, 100))
    for success in calls:
        if success:
            window.successes += 1
        else:
            window.record_failure(0)
            assert window.counts(0).failures <= size
    assert len(window._failed) <= size


KINDS = st.sampled_from(["success", "failure", "slow success", "slow failure"])


def report(window, kind, now):
    """What the breaker does with each outcome; True where the window says to open."""
    if kind == "success":
        if now >= window.bucket_end:
            window.roll(now)
        window.successes += 1
        return False
    if kind == "slow success":
        return window.record_slow_success(now)
    return window.record_failure(now, slow=kind.startswith("slow"))


def counted(kinds):
    return Counts(
        len(kinds),
        sum(kind.endswith("failure") for kind in kinds),
        sum(kind.startswith("slow") for kind in kinds),
    )


@settings(max_examples=200, deadline=None)
@given(
    st.lists(
        st.tuples(KINDS, st.sampled_from([0.0, 0.1, 0.5, 1.0, 3.3, 19.0, 3600.0])), max_size=80
    ),
    st.integers(1, 10),
    st.floats(1, 100),
    st.floats(1, 100),
)
def test_time_window_counts_as_its_buckets_are_counted(calls, minimum, failure_rate, slow_rate):
    """By hand: the calls whose bucket is one of the last twenty."""
    rates = Rates(minimum, failure_rate, slow_rate)
    width, now, seen = 0.5, 1000.0, []
    window = TimeWindow(1, BUCKETS * width, rates, now)
    for kind, pause in calls:
        now += pause
        opened = report(window, kind, now)
        seen.append((int((now - 1000.0) / width), kind))
        last = counted([k for bucket, k in seen if bucket > seen[-1][0] - BUCKETS])
        assert window.counts(now) == last
        assert opened == (kind != "success" and rates.exceeded_by(last))


@settings(max_examples=200, deadline=None)
@given(st.lists(KINDS, max_size=80), st.integers(1, 20), st.floats(1, 100), st.floats(1, 100))
def test_count_window_counts_slow_and_failed_calls(calls, size, failure_rate, slow_rate):
    rates = Rates(1, failure_rate, slow_rate)
    window = CountWindow(1, size, rates)
    for n, kind in enumerate(calls, 1):
        opened = report(window, kind, 0)
        last = counted(calls[:n][-size:])
        assert window.counts(0) == last
        assert opened == (kind != "success" and rates.exceeded_by(last))
