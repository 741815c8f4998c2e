"""The breaker in its three forms: what counts, what it refuses, what it tells."""

import asyncio
import pickle

import anyio
import pytest

from seawall.circuitbreaker import BreakerOptions, BreakerRegistry, CircuitBreaker, CircuitState
from seawall.classification import Classifier, ErrorType
from seawall.errors import CircuitOpenError, InvalidConfigError, RefusedError
from support.operations import RecordingBus, Script


@pytest.fixture
def make(clock):
    def made(name="api", **options):
        defaults = {"failure_threshold": 3, "timeout": 10, "clock": clock, "bus": RecordingBus()}
        return CircuitBreaker(name, **(defaults | options))

    return made


def as_decorator(breaker, operation):
    return breaker(operation)


def as_block(breaker, operation):
    async def block(*args, **kwargs):
        async with breaker:
            return await operation(*args, **kwargs)

    return block


def as_call(breaker, operation):
    async def called(*args, **kwargs):
        return await breaker.call(operation, *args, **kwargs)

    return called


def as_permission(breaker, operation):
    async def by_hand(*args, **kwargs):
        permit = await breaker.acquire_permission()
        time = asyncio.get_running_loop().time
        started = time()
        try:
            result = await operation(*args, **kwargs)
        except BaseException as error:
            breaker.on_error(permit, error, time() - started)
            raise
        breaker.on_success(permit, time() - started)
        return result

    return by_hand


EVERY_FORM = pytest.mark.parametrize("form", [as_decorator, as_block, as_call, as_permission])


async def fail(call, times=1, error=ConnectionError):
    for _ in range(times):
        with pytest.raises(error):
            await call()


@EVERY_FORM
async def test_breaker_goes_through_its_states(form, make):
    breaker = make()
    operation = Script(*[ConnectionError] * 4, "rows")
    call = form(breaker, operation)
    await fail(call, 3)
    assert breaker.state is CircuitState.OPEN
    await fail(call, 5, CircuitOpenError)
    assert operation.count == 3
    await asyncio.sleep(10)
    await fail(call)
    assert breaker.state is CircuitState.OPEN
    await asyncio.sleep(9.9)
    await fail(call, 1, CircuitOpenError)
    await asyncio.sleep(0.2)
    assert await call() == "rows"
    assert breaker.state is CircuitState.CLOSED


@EVERY_FORM
async def test_call_passes_arguments_and_result(form, make):
    operation = Script("rows")
    assert await form(make(), operation)(1, two=2) == "rows"
    assert operation.calls == [((1,), {"two": 2})]


@EVERY_FORM
async def test_half_open_admits_one_of_a_herd(form, make):
    """Trap 10: twenty callers at once, one reaches the service."""
    breaker = make(failure_threshold=1)
    operation = Script(ConnectionError, "rows", seconds=1)
    call = form(breaker, operation)
    await fail(call)
    await asyncio.sleep(10)
    refused = []

    async def attempt():
        try:
            await call()
        except CircuitOpenError as error:
            refused.append(error.retry_after)

    async with anyio.create_task_group() as group:
        for _ in range(20):
            group.start_soon(attempt)
    assert operation.count == 2
    assert refused == [0.0] * 19
    assert breaker.state is CircuitState.CLOSED


async def by_cancel(call, seconds):
    task = asyncio.get_running_loop().create_task(call())
    await asyncio.sleep(seconds)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


async def by_scope(call, seconds):
    with anyio.move_on_after(seconds) as scope:
        await call()
    assert scope.cancelled_caught


async def by_closing(call, seconds):
    coroutine = call()
    coroutine.send(None)
    coroutine.close()


@EVERY_FORM
@pytest.mark.parametrize("end", [by_cancel, by_scope, by_closing])
async def test_trial_that_is_cancelled_or_closed_gives_its_permit_back(form, end, make):
    """Traps 3 and 4: for both ends, at once, and with no verdict."""
    breaker = make(failure_threshold=1)
    operation = Script(ConnectionError, "rows", seconds=1)
    call = form(breaker, operation)
    await fail(call)
    await asyncio.sleep(10)
    for _ in range(3):
        await end(call, 0.5)
        assert breaker.state is CircuitState.HALF_OPEN
    assert await call() == "rows"
    assert breaker.state is CircuitState.CLOSED


@EVERY_FORM
@pytest.mark.parametrize("end", [by_cancel, by_scope, by_closing])
async def test_cancelled_call_is_neither_failure_nor_success(form, end, make):
    """Trap 2: it neither opens the breaker nor ends a run of failures."""
    breaker = make()
    call = form(breaker, Script(ConnectionError, seconds=1))
    await fail(call, 2)
    for _ in range(5):
        await end(call, 0.5)
    assert breaker.snapshot().failure_count == 2
    await fail(call)
    assert breaker.state is CircuitState.OPEN


@EVERY_FORM
@pytest.mark.parametrize("exit_type", [KeyboardInterrupt, SystemExit, GeneratorExit])
async def test_exit_in_a_trial_gives_the_permit_back(form, exit_type, make):
    breaker = make(failure_threshold=1)
    call = form(breaker, Script(ConnectionError, exit_type, "rows"))
    await fail(call)
    await asyncio.sleep(10)
    await fail(call, 1, exit_type)
    assert await call() == "rows"


@EVERY_FORM
async def test_stale_outcome_decides_nothing(form, make):
    """Trap 11: admitted closed, ended while a trial is under way."""
    breaker = make(failure_threshold=1)

    async def slow(seconds, error):
        await asyncio.sleep(seconds)
        if error:
            raise error

    call = form(breaker, slow)
    async with anyio.create_task_group() as group:

        async def ends(seconds, error):
            try:
                await call(seconds, error)
            except ConnectionError:
                pass

        group.start_soon(ends, 12, None)
        group.start_soon(ends, 13, ConnectionError())
        group.start_soon(ends, 1, ConnectionError())
        await asyncio.sleep(11.5)
        group.start_soon(ends, 3, None)
        await asyncio.sleep(1)
        assert breaker.state is CircuitState.HALF_OPEN
        await asyncio.sleep(1)
        assert breaker.state is CircuitState.HALF_OPEN
    assert breaker.state is CircuitState.CLOSED


@pytest.mark.parametrize(
    ("error_type", "counts"),
    [
        (ErrorType.TRANSIENT, True),
        (ErrorType.SYSTEM, True),
        (ErrorType.UNKNOWN, True),
        (ErrorType.DATA, False),
        (ErrorType.CONFIGURATION, False),
    ],
)
async def test_error_type_decides_whether_a_failure_counts(error_type, counts, make):
    breaker = make(classifier=Classifier([(LookupError, error_type)]))
    await fail(breaker(Script(LookupError)), 3, LookupError)
    assert breaker.state is (CircuitState.OPEN if counts else CircuitState.CLOSED)


async def test_ignored_exception_does_not_end_a_run_and_frees_the_permit(make):
    """Trap 12."""
    breaker = make(failure_threshold=2, ignored=(KeyError,))
    call = breaker(Script(ConnectionError, KeyError, ConnectionError, KeyError, "rows"))
    await fail(call)
    await fail(call, 1, KeyError)
    await fail(call)
    assert breaker.state is CircuitState.OPEN
    await asyncio.sleep(10)
    await fail(call, 1, KeyError)
    assert breaker.state is CircuitState.HALF_OPEN
    assert await call() == "rows"


async def test_refusals_do_not_count(make):
    breaker = make(failure_threshold=1)
    inner = CircuitOpenError("inner", 1.0)
    await fail(breaker(Script(inner)), 3, CircuitOpenError)
    await fail(breaker(Script(ExceptionGroup("", [inner, inner]))), 3, ExceptionGroup)
    await fail(breaker(Script(RefusedError())), 3, RefusedError)
    assert breaker.state is CircuitState.CLOSED


async def test_group_counts_as_one_failure(make):
    """Trap 6: one a call, not one a leaf; and it leaves as it was."""
    breaker = make()
    group = ExceptionGroup("", [ConnectionError() for _ in range(9)])
    with pytest.raises(ExceptionGroup) as caught:
        await breaker(Script(group))()
    assert caught.value is group
    assert breaker.snapshot().failure_count == 1


async def test_exception_leaves_as_it_was(make):
    """Trap 28: also the one that opens the breaker."""
    error = ConnectionError("cut")
    with pytest.raises(ConnectionError) as caught:
        await make(failure_threshold=1)(Script(error))()
    assert caught.value is error
    assert error.__cause__ is None
    assert not hasattr(error, "__notes__")


async def test_refusal_says_who_and_how_long_and_can_be_pickled(make):
    """Trap 29."""
    breaker = make("flights", failure_threshold=1)
    await fail(breaker(Script(ConnectionError)))
    await asyncio.sleep(4)
    with pytest.raises(CircuitOpenError) as caught:
        await breaker.call(len, ())
    copy = pickle.loads(pickle.dumps(caught.value))  # noqa: S301 - our own bytes
    for error in (caught.value, copy):
        assert error.service_name == "flights"
        assert error.retry_after == pytest.approx(6, abs=1e-6)
        assert "'flights' is open; next trial call in 6.000 s" in str(error)
    caught.value.add_note("can be noted")


async def test_transitions_are_told_once_each(make):
    """Trap 14: late failures tell nobody."""
    bus = RecordingBus()
    breaker = make(failure_threshold=1, bus=bus)
    operation = Script(*[ConnectionError("cut")] * 4, "rows", seconds=1)
    call = breaker(operation)

    async def quiet():
        try:
            await call()
        except ConnectionError:
            pass

    async with anyio.create_task_group() as group:
        for _ in range(4):
            group.start_soon(quiet)
    await asyncio.sleep(11)
    await call()
    told = [(e.from_state, e.to_state, e.epoch, e.reason) for e in bus.events]
    assert told == [
        ("closed", "open", 2, "ConnectionError: cut"),
        ("open", "half_open", 3, "its time open has passed"),
        ("half_open", "closed", 4, "a trial call succeeded"),
    ]


async def test_listener_that_raises_or_reenters_harms_nobody(make, caplog):
    """Trap 15."""
    bus = RecordingBus()
    breaker = make(failure_threshold=1, bus=bus)

    def reenter(_):
        seen.append((breaker.state, breaker.snapshot().epoch))
        with pytest.raises(CircuitOpenError):
            breaker.acquire_permission().send(None)
        raise ZeroDivisionError

    seen = []
    bus.subscribe(reenter)
    await fail(breaker(Script(ConnectionError)))
    assert seen == [(CircuitState.OPEN, 2)]
    assert "ZeroDivisionError" in caplog.text


async def test_listener_that_resets_the_breaker_wins(make):
    bus = RecordingBus()
    breaker = make(failure_threshold=1, bus=bus)
    bus.subscribe(lambda event: breaker.reset() if event.to_state == "open" else None)
    await fail(breaker(Script(ConnectionError)), 3)
    assert breaker.state is CircuitState.CLOSED


async def test_forced_open_refuses_until_reset(make):
    breaker = make()
    call = breaker(Script("rows"))
    breaker.force_open()
    await asyncio.sleep(10**6)
    with pytest.raises(CircuitOpenError) as caught:
        await call()
    assert caught.value.retry_after is None
    assert str(caught.value) == "circuit breaker 'api' is open"
    breaker.reset()
    assert await call() == "rows"


async def test_disabled_lets_all_through(make):
    breaker = make(failure_threshold=1)
    breaker.disable()
    await fail(breaker(Script(ConnectionError)), 20)
    assert breaker.state is CircuitState.DISABLED
    assert breaker.snapshot().failure_count == 0


async def test_snapshot_shows_the_breaker(make):
    breaker = make(failure_rate_threshold=50, sliding_window=10, minimum_calls=4)
    await breaker.call(Script("rows"))
    await fail(breaker(Script(ConnectionError("cut"))), 2)
    shown = breaker.snapshot()
    assert (shown.failure_count, shown.call_count, shown.retry_after, shown.reason) == (
        2,
        3,
        None,
        None,
    )
    await fail(breaker(Script(ConnectionError("cut"))), 1)
    shown = breaker.snapshot()
    assert (shown.state, shown.epoch, shown.reason) == ("open", 2, "ConnectionError: cut")
    assert shown.retry_after == pytest.approx(10)
    assert breaker.is_open()


async def test_nested_blocks_of_two_breakers_and_of_one_keep_their_permits(make):
    outer, inner = make("outer", failure_threshold=1), make("inner", failure_threshold=1)
    with pytest.raises(ConnectionError):
        async with outer, inner, outer:
            raise ConnectionError
    assert outer.state is inner.state is CircuitState.OPEN


async def test_block_refused_runs_nothing_and_leaves_no_entry(make):
    breaker, other = make(), make("other")
    breaker.force_open()
    async with other:
        with pytest.raises(CircuitOpenError):
            async with breaker:
                raise AssertionError
    breaker.reset()
    async with breaker:
        pass


async def test_block_left_in_another_context_says_so(make):
    breaker = make()
    task = asyncio.get_running_loop().create_task(breaker.__aenter__())
    await task
    with pytest.raises(RuntimeError, match="another context"):
        await breaker.__aexit__(None, None, None)


async def test_block_in_child_tasks_keeps_each_ones_permit(make):
    breaker = make(failure_threshold=50)

    async def child(n):
        async with breaker:
            await asyncio.sleep(n % 3)
            async with breaker:
                await asyncio.sleep(1)

    async with breaker, anyio.create_task_group() as group:
        for n in range(10):
            group.start_soon(child, n)
    assert breaker.machine.window.successes == 21


async def test_plain_function_runs_in_a_thread_through_the_breaker(make):
    breaker = make(failure_threshold=1)

    @breaker
    def plain():
        raise ConnectionError

    await fail(plain)
    await fail(plain, 1, CircuitOpenError)


async def test_wall_clock_that_steps_changes_nothing(make, monkeypatch):
    """Trap 16."""
    import time

    breaker = make(failure_threshold=1)
    await fail(breaker(Script(ConnectionError)))
    for step in (3600, -3600):
        monkeypatch.setattr(time, "time", lambda step=step: 10**9 + step)
        await fail(breaker(Script("rows")), 1, CircuitOpenError)
    await asyncio.sleep(10)
    await breaker.call(Script("rows"))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"failure_threshold": 0}, "failure_threshold=0: must be a whole number, 1 or more"),
        ({"failure_threshold": 2.5}, "failure_threshold=2.5"),
        (
            {"failure_rate_threshold": 0},
            "failure_rate_threshold=0: must be a number, above 0, to 100",
        ),
        ({"failure_rate_threshold": 101}, "failure_rate_threshold=101"),
        (
            {"failure_rate_threshold": 50, "sliding_window": 10},
            "minimum_calls=20: must not pass sliding_window=10",
        ),
        ({"sliding_window": 0}, "sliding_window=0"),
        ({"minimum_calls": 0}, "minimum_calls=0"),
        ({"timeout": 0}, "timeout=0: must be a number, above 0"),
        ({"permitted_calls": 0}, "permitted_calls=0"),
        ({"ignored": (KeyboardInterrupt,)}, "ignored="),
        ({"recorded": BaseException}, "recorded="),
        ({"failed_result": 5}, "failed_result=5: must be a function of a result"),
        ({"max_wait": 0}, "max_wait=0"),
        ({"timeout_factor": 0.5}, "timeout_factor=0.5: must be a number, 1 or more"),
        ({"timeout_jitter": 2}, "timeout_jitter=2"),
        ({"slow_call_duration": 1, "failure_rate_threshold": 50}, "give both"),
        ({"slow_call_rate_threshold": 50, "failure_rate_threshold": 50}, "give both"),
        (
            {"slow_call_rate_threshold": 50, "slow_call_duration": 1},
            "slow_call_rate_threshold=50: needs failure_rate_threshold",
        ),
        ({"sliding_window_seconds": 60}, "sliding_window_seconds=60: needs failure_rate_threshold"),
        ({"ignored": "KeyError"}, "ignored='KeyError'"),
    ],
)
def test_options_that_could_never_work_are_refused(options, message):
    """Traps 13 and 21."""
    with pytest.raises(InvalidConfigError, match=message):
        CircuitBreaker("api", **options)


def test_ignored_may_be_one_type():
    assert BreakerOptions(ignored=KeyError).ignored == (KeyError,)


def test_registry_gives_one_breaker_a_service(clock):
    registry = BreakerRegistry(clock=clock)
    breaker = registry.get("api", failure_threshold=2)
    assert registry.get("api") is breaker
    assert registry.get("api", failure_threshold=2, timeout=300.0) is breaker
    assert registry.get("other") is not breaker
    assert [each.name for each in registry] == ["api", "other"]
    assert len(registry) == 2


def test_registry_refuses_the_same_name_with_other_options():
    registry = BreakerRegistry()
    registry.get("api", failure_threshold=2)
    with pytest.raises(
        InvalidConfigError, match="failure_threshold=3: the circuit breaker 'api' exists"
    ):
        registry.get("api", failure_threshold=3)


def test_registry_takes_one_ignored_type_for_the_tuple_of_it():
    registry = BreakerRegistry()
    breaker = registry.get("api", ignored=KeyError)
    assert (
        registry.get("api", ignored=(KeyError,)) is registry.get("api", ignored=KeyError) is breaker
    )


def test_registry_with_an_option_out_of_range_makes_no_breaker():
    registry = BreakerRegistry()
    with pytest.raises(InvalidConfigError):
        registry.get("api", timeout=-1)
    assert len(registry) == 0


async def test_count_only_lets_all_through_and_counts(make):
    """METRICS_ONLY: the figures are there, the breaker never opens."""
    breaker = make(failure_threshold=1)
    breaker.count_only()
    await fail(breaker(Script(ConnectionError)), 20)
    assert (breaker.state, breaker.snapshot().failure_count) == (CircuitState.METRICS_ONLY, 20)
    breaker.reset()
    assert breaker.state is CircuitState.CLOSED


@EVERY_FORM
async def test_slow_calls_open_at_their_rate(form, make, clock):
    """A service that answers late is left alone as one that fails."""
    breaker = make(
        failure_rate_threshold=100,
        slow_call_duration=2,
        slow_call_rate_threshold=50,
        minimum_calls=4,
    )

    async def answer(seconds):
        await clock.sleep(seconds)
        return seconds

    call = form(breaker, answer)
    assert [await call(seconds) for seconds in (0.1, 3, 0.1, 1.9)] == [0.1, 3, 0.1, 1.9]
    assert breaker.snapshot().slow_count == 1
    await call(2)
    assert breaker.state is CircuitState.CLOSED
    await call(2)
    assert breaker.state is CircuitState.OPEN
    assert "took 2.000 s" in breaker.snapshot().reason


@EVERY_FORM
async def test_time_window_forgets_what_is_old(form, make, clock):
    """Failures an hour apart say nothing about the service."""
    breaker = make(failure_rate_threshold=50, sliding_window_seconds=60, minimum_calls=3)
    call = form(breaker, Script(ConnectionError))
    for _ in range(5):
        await fail(call)
        await clock.sleep(3600)
    assert breaker.state is CircuitState.CLOSED
    await fail(call, 3)
    assert breaker.state is CircuitState.OPEN


@pytest.mark.parametrize("form", [as_decorator, as_call])
async def test_failed_result_counts_and_is_returned(form, make):
    """A 503 that comes as a value opens the breaker too."""
    breaker = make(failed_result=lambda status: status >= 500)

    async def answer(status):
        return status

    call = form(breaker, answer)
    assert [await call(status) for status in (503, 500, 200, 503, 502)] == [503, 500, 200, 503, 502]
    assert breaker.state is CircuitState.CLOSED
    await call(503)
    assert breaker.state is CircuitState.OPEN


@pytest.mark.parametrize("form", [as_decorator, as_call])
async def test_failed_result_of_a_trial_opens_again(form, make, clock):
    """In half-open too."""
    breaker = make(failure_threshold=1, failed_result=lambda value: value is None)

    async def nothing():
        return None

    await form(breaker, nothing)()
    await clock.sleep(10)
    await form(breaker, nothing)()
    assert (breaker.state, breaker.snapshot().opened_count) == (CircuitState.OPEN, 2)


@EVERY_FORM
async def test_recorded_types_alone_count(form, make):
    """`recorded` takes the place of the decision by error type; `ignored` still wins."""
    breaker = make(failure_threshold=2, recorded=(ValueError,), ignored=(UnicodeError,))
    await fail(form(breaker, Script(ConnectionError)), 5)
    await fail(form(breaker, Script(UnicodeError)), 5, UnicodeError)
    assert breaker.snapshot().failure_count == 0
    group = ExceptionGroup("both", [ConnectionError(), ValueError()])
    await fail(form(breaker, Script(group)), 2, ExceptionGroup)
    assert breaker.state is CircuitState.OPEN


@EVERY_FORM
async def test_hung_trial_gives_way_after_max_wait(form, make, clock):
    """A trial that never ends doesn't keep the breaker half-open for ever."""
    breaker = make(failure_threshold=1, max_wait=5)
    await fail(form(breaker, Script(ConnectionError)))
    await clock.sleep(10)
    hung = asyncio.ensure_future(form(breaker, clock.sleep)(100))
    await clock.sleep(5)
    with pytest.raises(CircuitOpenError) as refused:
        await form(breaker, Script(1))()
    assert refused.value.retry_after == 10
    await clock.sleep(10)
    assert await form(breaker, Script(1))() == 1
    await hung
    assert breaker.state is CircuitState.CLOSED


@pytest.mark.parametrize("name", ["", "x" * 256, "a\x00b", 3, None])
def test_name_that_could_not_be_shared_is_refused(name):
    """It travels in a notification and is a key."""
    with pytest.raises(InvalidConfigError, match="1 to 255 characters"):
        CircuitBreaker(name)
