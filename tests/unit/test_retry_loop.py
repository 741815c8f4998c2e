"""``async for attempt in retrying(…)``: the block is run anew, within its task."""

import pytest

from seawall.errors import InvalidConfigError
from seawall.retry import RetryPolicy, retrying
from support.operations import RecordingBus, Script


@pytest.fixture
def options(clock):
    return {"initial_delay": 1, "jitter_range": 0, "clock": clock}


async def test_block_is_run_until_it_succeeds(options):
    operation = Script(ConnectionError, ConnectionError, "rows")
    numbers = []
    async for attempt in retrying(**options):
        with attempt:
            numbers.append(attempt.number)
            rows = await operation()
    assert rows == "rows"
    assert numbers == [1, 2, 3]
    assert operation.gaps == [1, 2]


async def test_block_that_succeeds_runs_once(options):
    runs = 0
    async for attempt in retrying(**options):
        with attempt:
            runs += 1
    assert runs == 1


async def test_last_exception_leaves_the_block_with_its_note(options):
    operation = Script(ConnectionError)
    with pytest.raises(ConnectionError) as caught:
        async for attempt in retrying(max_retries=2, name="block", **options):
            with attempt:
                await operation()
    assert operation.count == 3
    assert caught.value.__notes__ == [
        "seawall: block gave up after 3 attempts, elapsed 3.000 s: max_retries"
    ]


async def test_failure_not_to_be_retried_leaves_at_once(options):
    runs = 0
    with pytest.raises(UnicodeError):
        async for attempt in retrying(**options):
            with attempt:
                runs += 1
                "é".encode("ascii")
    assert runs == 1


async def test_return_and_break_inside_the_block_end_the_loop(options):
    async def returns():
        async for attempt in retrying(**options):
            with attempt:
                return attempt.number

    assert await returns() == 1
    async for attempt in retrying(**options):
        with attempt:
            break


async def test_loop_body_that_forgets_the_with_ends(options):
    runs = 0
    async for _ in retrying(**options):
        runs += 1
    assert runs == 1


async def test_exit_passes_through_the_block(options):
    runs = 0
    with pytest.raises(KeyboardInterrupt):
        async for attempt in retrying(**options):
            with attempt:
                runs += 1
                raise KeyboardInterrupt
    assert runs == 1


async def test_one_retrying_looped_over_twice_starts_anew(options):
    shared = retrying(RetryPolicy(max_retries=1, **options))
    for _ in range(2):
        operation = Script(ConnectionError)
        with pytest.raises(ConnectionError):
            async for attempt in shared:
                with attempt:
                    await operation()
        assert operation.count == 2


async def test_events_are_those_of_a_call(options):
    bus = RecordingBus()
    operation = Script(ConnectionError, "rows")
    async for attempt in retrying(bus=bus, **options):
        with attempt:
            await operation()
    assert bus.names == ["RetryScheduled", "RetrySucceeded"]


def test_option_out_of_range_is_refused_when_the_loop_is_made():
    with pytest.raises(InvalidConfigError):
        retrying(max_retries=-1)


def test_loop_refuses_an_option_for_results():
    """A block has none."""
    with pytest.raises(InvalidConfigError, match="a block has no result"):
        retrying(retry_if_result=bool)
