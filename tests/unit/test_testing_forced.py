"""``force``: a breaker in a state, and back in its own."""

import pytest

from seawall.circuitbreaker import CircuitBreaker, CircuitState
from seawall.errors import CircuitOpenError, InvalidConfigError
from seawall.testing import force
from support.operations import RecordingBus, Script

STATES = list(CircuitState)


@pytest.fixture
def breaker(clock):
    return CircuitBreaker("api", failure_threshold=3, timeout=10, clock=clock, bus=RecordingBus())


async def failing(breaker, times):
    for _ in range(times):
        with pytest.raises(ConnectionError):
            await breaker.call(Script(ConnectionError))


@pytest.mark.parametrize("before", STATES)
@pytest.mark.parametrize("forced", STATES)
async def test_force_from_any_state_to_any_other_and_back(breaker, before, forced):
    breaker.follow(before, 10, "test")
    seen = breaker.snapshot()
    with force(breaker, forced) as given:
        assert given is breaker
        assert breaker.state is forced
    after = breaker.snapshot()
    assert after.epoch > seen.epoch or before is forced
    for name in ("state", "call_count", "failure_count", "opened_count", "retry_after"):
        assert getattr(after, name) == getattr(seen, name), name


async def test_force_open_refuses_and_says_how_long(breaker):
    guarded = breaker(Script("rows"))
    with force(breaker, CircuitState.OPEN), pytest.raises(CircuitOpenError) as caught:
        await guarded()
    assert caught.value.retry_after == 10
    with force(guarded, CircuitState.OPEN, seconds=77), pytest.raises(CircuitOpenError) as caught:
        await guarded()
    assert caught.value.retry_after == 77
    assert await guarded() == "rows"


async def test_force_open_ends_after_its_time(breaker, clock):
    guarded = breaker(Script("rows"))
    with force(breaker, CircuitState.OPEN):
        await clock.sleep(10)
        assert await guarded() == "rows"
        assert breaker.state is CircuitState.CLOSED


async def test_force_half_open_decides_by_the_next_call(breaker):
    with force(breaker, CircuitState.HALF_OPEN):
        await failing(breaker, 1)
        assert breaker.state is CircuitState.OPEN
    assert breaker.state is CircuitState.CLOSED


async def test_force_gives_the_record_back_that_was_before(breaker):
    """Two failures before the block and one after it open the breaker; those within don't count."""
    await failing(breaker, 2)
    with force(breaker, CircuitState.CLOSED):
        assert breaker.snapshot().failure_count == 0
        await failing(breaker, 2)
    assert breaker.snapshot().failure_count == 2
    assert breaker.state is CircuitState.CLOSED
    await failing(breaker, 1)
    assert breaker.state is CircuitState.OPEN


async def test_force_call_of_the_block_that_ends_later_decides_nothing(breaker):
    with force(breaker, CircuitState.HALF_OPEN):
        permit = await breaker.acquire_permission()
    breaker.follow(CircuitState.HALF_OPEN, 0, "test")
    breaker.on_error(permit, ConnectionError())
    assert breaker.state is CircuitState.HALF_OPEN


async def test_force_trial_under_way_leaves_its_permit_free(breaker):
    breaker.follow(CircuitState.HALF_OPEN, 0, "test")
    permit = await breaker.acquire_permission()
    with force(breaker, CircuitState.CLOSED):
        pass
    breaker.release_permission(permit)
    await breaker.acquire_permission()
    with pytest.raises(CircuitOpenError):
        await breaker.acquire_permission()


async def test_force_is_undone_where_the_block_fails(breaker):
    with pytest.raises(KeyError), force(breaker, CircuitState.FORCED_OPEN):
        raise KeyError
    assert breaker.state is CircuitState.CLOSED


async def test_force_tells_the_fleet_nothing(breaker):
    class Link:
        governs = True
        epoch = 1

        def __getattr__(self, name):
            raise AssertionError(f"the fleet was asked for {name}")

    link = breaker.link = Link()
    with force(breaker, CircuitState.CLOSED):
        await failing(breaker, 3)
        assert breaker.state is CircuitState.OPEN
    assert breaker.link is link


async def test_force_is_told_to_listeners(breaker):
    with force(breaker, CircuitState.OPEN):
        pass
    told = [(event.from_state, event.to_state) for event in breaker._bus.events]
    assert told == [("closed", "open"), ("open", "closed")]


@pytest.mark.parametrize("target", ["api", len, None])
def test_force_of_what_has_no_breaker_is_refused(target):
    with pytest.raises(InvalidConfigError, match="must be a CircuitBreaker"):
        with force(target, CircuitState.OPEN):
            pass


def test_force_for_no_time_is_refused(breaker):
    with pytest.raises(InvalidConfigError, match="seconds=0"):
        with force(breaker, CircuitState.OPEN, seconds=0):
            pass
