"""The waits keep their bounds for every option, and a call its promises for every script."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from seawall.classification import default_classifier, most_retries
from seawall.events import EventBus
from seawall.retry import RetryPolicy, RetryStrategy, call
from seawall.retry.backoff import waits_of
from support.operations import RecordingBus, Script
from support.virtual_time import LoopClock, run

seconds = st.floats(0, 1e6, allow_nan=False)


@settings(max_examples=300, deadline=None)
@given(
    st.sampled_from(RetryStrategy),
    st.integers(1, 10_000),
    seconds,
    seconds,
    st.floats(1, 1e3),
    st.floats(0, 1),
    st.floats(0, 1, exclude_max=True),
)
def test_wait_stays_within_its_bounds(strategy, retry, a, b, factor, spread, drawn):
    low, high = sorted((a, b))
    policy = RetryPolicy(
        initial_delay=low, max_delay=high, backoff_factor=factor, jitter_range=spread
    )
    wait = waits_of(strategy)(policy, retry, draw=lambda: drawn)
    assert 0 <= wait <= high * (1 + spread)
    if strategy is RetryStrategy.FIXED_DELAY:
        assert wait == low


ERRORS = [
    ConnectionError,
    MemoryError,
    UnicodeError,
    PermissionError,
    ZeroDivisionError,
    TimeoutError,
]


@settings(max_examples=150, deadline=None)
@given(
    st.lists(st.sampled_from([*ERRORS, "rows"]), min_size=1, max_size=8),
    st.integers(0, 5),
    st.one_of(st.none(), st.floats(0.5, 30)),
    st.sampled_from([0.0, 0.7, 3.0]),
)
def test_call_attempts_as_the_matrix_and_the_deadline_say(script, max_retries, deadline, duration):
    async def main():
        operation = Script(*script, seconds=duration)
        clock, bus = LoopClock(), RecordingBus()
        policy = RetryPolicy(
            max_retries=max_retries, deadline=deadline, clock=clock, bus=bus, jitter_range=0
        )
        start = clock.monotonic()
        try:
            result = await call(policy, operation)
        except Exception as error:
            result = error
        took = clock.monotonic() - start
        if deadline is not None:
            assert took <= deadline + 1e-6
        ran = [script[min(n, len(script) - 1)] for n in range(operation.count)]
        assert "rows" not in ran[:-1]
        assert operation.count <= max_retries + 1
        retried = [default_classifier.classify(each()) for each in ran[:-1]]
        assert all(n < most_retries(kind, max_retries) for n, kind in enumerate(retried))
        if isinstance(result, Exception):
            assert len(result.__notes__) == 1
            assert bus.names[-1] == "RetryExhausted"
        else:
            assert result == ran[-1] == "rows"
        assert bus.names.count("RetryScheduled") >= operation.count - 1

    run(main())


def test_policy_without_listeners_makes_no_event(monkeypatch):
    from seawall.retry import report

    def refuse(**_):
        raise AssertionError

    for name in ("RetryScheduled", "RetrySucceeded", "RetryExhausted"):
        monkeypatch.setattr(report, name, refuse)

    async def main():
        policy = RetryPolicy(clock=LoopClock(), bus=EventBus())
        assert await call(policy, Script(ConnectionError, 1)) == 1
        with pytest.raises(ConnectionError):
            await call(policy, Script(ConnectionError))

    run(main())
