"""Each window against a list of outcomes counted by hand."""

from hypothesis import given, settings
from hypothesis import strategies as st

from seawall.circuitbreaker.window import ConsecutiveWindow, CountWindow

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
            opened = window.record_failure()
        run = 0
        for each in reversed(calls[:n]):
            if each:
                break
            run += 1
        assert window.failure_count == run
        assert opened == (run >= threshold and not success)


@settings(max_examples=200, deadline=None)
@given(outcomes, st.integers(1, 30), st.data())
def test_count_window_opens_as_the_last_calls_are_counted(calls, size, data):
    minimum = data.draw(st.integers(1, size))
    rate = data.draw(st.floats(0.5, 100))
    window = CountWindow(1, size, minimum, rate)
    for n, success in enumerate(calls, 1):
        if success:
            window.successes += 1
            opened = False
        else:
            opened = window.record_failure()
        last = calls[:n][-size:]
        failed = last.count(False)
        assert (window.failure_count, window.call_count) == (failed, len(last))
        # Evaluated on failures: a success can't raise the rate.
        assert opened == (not success and len(last) >= minimum and 100 * failed >= rate * len(last))


@settings(max_examples=50, deadline=None)
@given(st.integers(1, 50), outcomes)
def test_count_window_keeps_no_more_than_its_size(size, calls):
    window = CountWindow(1, size, 1, 100)
    for success in calls:
        if success:
            window.successes += 1
        else:
            window.record_failure()
            assert window.failure_count <= size
    assert len(window._failed) <= size
