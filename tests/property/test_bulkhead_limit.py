"""Limits never leave their bounds, whatever they are fed; bulkheads never pass their limit."""

import asyncio

from hypothesis import given, settings
from hypothesis import strategies as st

from seawall.bulkhead import AIMD, Bulkhead, Gradient
from seawall.errors import BulkheadFullError
from support.virtual_time import LoopClock, run

SAMPLES = st.lists(
    st.tuples(
        st.one_of(st.just(0.0), st.floats(1e-9, 1e6)),  # seconds
        st.integers(1, 300),  # in flight
        st.booleans(),  # dropped
    ),
    max_size=300,
)
RULES = st.sampled_from([AIMD, Gradient])


@settings(max_examples=150, deadline=None)
@given(RULES, st.integers(1, 50), st.integers(0, 50), st.integers(0, 50), SAMPLES)
def test_limit_stays_between_its_bounds(rule, low, up, more, samples):
    limit = rule(min_limit=low, initial_limit=low + up, max_limit=low + up + more)
    for latency, in_flight, dropped in samples:
        limit.sample(latency, in_flight, dropped=dropped)
        assert low <= limit.current <= low + up + more


@settings(max_examples=50, deadline=None)
@given(RULES, SAMPLES)
def test_limit_comes_down_to_its_floor_under_drops_and_recovers(rule, samples):
    """From wherever it has been."""
    limit = rule(initial_limit=20, min_limit=2, max_limit=40)
    for latency, in_flight, dropped in samples:
        limit.sample(latency, in_flight, dropped=dropped)
    for _ in range(3000):
        limit.sample(0.1, limit.current, dropped=True)
    assert limit.current == 2
    for _ in range(3000):
        limit.sample(0.1, limit.current, dropped=False)
    assert limit.current == 40


@settings(max_examples=50, deadline=None)
@given(RULES, st.integers(3, 30), st.integers(0, 1))
def test_limit_is_not_raised_by_calls_that_it_does_not_hold_back(rule, initial, in_flight):
    """A service that is hardly used says nothing about what it can take."""
    limit = rule(initial_limit=initial)
    for _ in range(1000):
        limit.sample(0.1, in_flight, dropped=False)
    assert limit.current == initial


@settings(max_examples=100, deadline=None)
@given(
    st.integers(1, 4),
    st.integers(0, 4),
    st.sampled_from([None, 0.5, 3.0]),
    st.lists(
        st.tuples(
            st.sampled_from([0.0, 0.3, 1.0]),  # seconds after the one before
            st.sampled_from([0.0, 0.7, 2.0]),  # seconds that it takes
            st.sampled_from([None, 0.0, 0.31, 1.0]),  # seconds until it is cancelled
        ),
        max_size=30,
    ),
)
def test_bulkhead_never_passes_its_limit_and_ends_empty(slots, waiting, max_wait, arrivals):
    async def main():
        bulkhead = Bulkhead(
            max_concurrent_calls=slots, max_waiting=waiting, max_wait=max_wait, clock=LoopClock()
        )
        order = []
        running = 0

        @bulkhead
        async def work(number, seconds):
            nonlocal running
            order.append(number)
            running += 1
            assert running <= slots
            try:
                await asyncio.sleep(seconds)
            finally:
                running -= 1

        tasks = []
        loop = asyncio.get_running_loop()
        for number, (pause, seconds, patience) in enumerate(arrivals):
            await asyncio.sleep(pause)
            tasks.append(asyncio.ensure_future(work(number, seconds)))
            if patience is not None:
                loop.call_later(patience, tasks[-1].cancel)
            assert bulkhead.snapshot().waiting <= waiting
        for ended in await asyncio.gather(*tasks, return_exceptions=True):
            assert ended is None or isinstance(ended, BulkheadFullError | asyncio.CancelledError)
        assert order == sorted(order)  # first come, first served
        assert (bulkhead.snapshot().in_flight, bulkhead.snapshot().waiting) == (0, 0)

    run(main())
