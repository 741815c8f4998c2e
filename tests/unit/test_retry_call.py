"""How often a failure is tried again, with which waits, and what leaves."""

import traceback

import pytest

from seawall.classification import Classifier, ErrorType
from seawall.errors import CircuitOpenError, RefusedError
from seawall.retry import RetryPolicy, RetryStrategy, call, retry
from support.operations import RecordingBus, Script


class HasRetryAfter(ConnectionError):
    def __init__(self, seconds):
        super().__init__("slow down")
        self.retry_after = seconds


class Frozen(ConnectionError):
    def __setattr__(self, name, value):
        raise AttributeError(name)


@pytest.fixture
def policy(clock):
    def make(**options):
        defaults = {"initial_delay": 1, "jitter_range": 0, "clock": clock, "bus": RecordingBus()}
        return RetryPolicy(**(defaults | options))

    return make


async def test_call_that_succeeds_runs_once_with_its_arguments(policy):
    operation = Script("rows")
    assert await call(policy(), operation, 1, two=2) == "rows"
    assert operation.calls == [((1,), {"two": 2})]


async def test_max_retries_three_means_four_attempts_with_growing_waits(policy):
    operation = Script(ConnectionError)
    with pytest.raises(ConnectionError, match="scripted"):
        await call(policy(), operation)
    assert operation.count == 4
    assert operation.gaps == [1, 2, 4]


async def test_no_sleep_follows_the_last_attempt(policy, clock):
    start = clock.monotonic()
    with pytest.raises(ConnectionError):
        await call(policy(max_retries=1), Script(ConnectionError))
    assert clock.monotonic() - start == pytest.approx(1, abs=1e-6)


async def test_call_succeeds_after_failures_with_the_same_arguments(policy):
    operation = Script(ConnectionError, TimeoutError, "rows")
    assert await call(policy(), operation, "a", b=1) == "rows"
    assert operation.calls == [(("a",), {"b": 1})] * 3


async def test_max_retries_zero_tries_once(policy):
    operation = Script(ConnectionError)
    with pytest.raises(ConnectionError) as caught:
        await call(policy(max_retries=0), operation)
    assert operation.count == 1
    assert "max_retries" in caught.value.__notes__[0]


@pytest.mark.parametrize(
    ("error_type", "attempts"),
    [
        (ErrorType.TRANSIENT, 6),
        (ErrorType.UNKNOWN, 6),
        (ErrorType.SYSTEM, 3),
        (ErrorType.DATA, 1),
        (ErrorType.CONFIGURATION, 1),
    ],
)
async def test_matrix_bounds_the_attempts(policy, error_type, attempts):
    operation = Script(LookupError)
    classifier = Classifier([(LookupError, error_type)])
    with pytest.raises(LookupError):
        await call(policy(max_retries=5, classifier=classifier), operation)
    assert operation.count == attempts


async def test_matrix_counts_retries_over_the_whole_call(policy):
    """Two retries used for a transient failure leave none for a SYSTEM one."""
    operation = Script(ConnectionError, ConnectionError, MemoryError)
    with pytest.raises(MemoryError):
        await call(policy(max_retries=5), operation)
    assert operation.count == 3


async def test_retry_on_takes_the_place_of_the_matrix(policy):
    operation = Script(ValueError)
    with pytest.raises(ValueError):
        await call(policy(retry_on=ValueError), operation)
    assert operation.count == 4
    operation = Script(ConnectionError)
    with pytest.raises(ConnectionError):
        await call(policy(retry_on=ValueError), operation)
    assert operation.count == 1


async def test_predicate_sees_the_exception(policy):
    operation = Script(OSError("again"), OSError("enough"))
    with pytest.raises(OSError, match="enough"):
        await call(policy(retry_on=lambda error: str(error) == "again"), operation)
    assert operation.count == 2


async def test_predicate_that_raises_shows_its_own_error(policy):
    def broken(_):
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError) as caught:
        await call(policy(retry_on=broken), Script(OSError("it")))
    assert str(caught.value.__context__) == "it"


async def test_group_is_retried_as_its_least_retryable_member(policy):
    good = Script(ExceptionGroup("", [ConnectionError(), TimeoutError()]))
    with pytest.raises(ExceptionGroup):
        await call(policy(), good)
    assert good.count == 4
    bad = Script(
        ExceptionGroup("", [ConnectionError(), UnicodeDecodeError("utf8", b"x", 0, 1, "")])
    )
    with pytest.raises(ExceptionGroup):
        await call(policy(), bad)
    assert bad.count == 1


async def test_exception_that_leaves_is_the_last_one_with_one_note(policy):
    last = ConnectionError("last")
    with pytest.raises(ConnectionError) as caught:
        await call(policy(max_retries=1, name="load"), Script(ConnectionError("first"), last))
    assert caught.value is last
    assert last.__cause__ is None
    assert last.__context__ is None
    assert last.__notes__ == [
        "seawall: load gave up after 2 attempts, elapsed 1.000 s since the first failure: max_retries"
    ]
    assert "gave up" in "".join(traceback.format_exception(last))


async def test_not_retryable_failure_says_so_in_its_note(policy):
    with pytest.raises(UnicodeError) as caught:
        await call(policy(), Script(UnicodeEncodeError("utf8", "x", 0, 1, "no")))
    (note,) = caught.value.__notes__
    assert "after 1 attempt," in note
    assert note.endswith("not_retryable")


async def test_one_instance_raised_again_and_again_keeps_one_note(policy):
    error = ConnectionError("the same")
    error.add_note("the user's own")
    for _ in range(5):
        with pytest.raises(ConnectionError):
            await call(policy(max_retries=2), Script(error))
    assert len(error.__notes__) == 2
    assert error.__notes__[0] == "the user's own"


async def test_exception_that_refuses_attributes_leaves_with_its_note(policy):
    with pytest.raises(Frozen) as caught:
        await call(policy(max_retries=1), Script(Frozen("no")))
    assert len(caught.value.__notes__) == 1


async def test_retry_after_wins_over_the_computed_wait_and_the_cap(policy):
    operation = Script(HasRetryAfter(30), HasRetryAfter(0), ConnectionError, "rows")
    assert await call(policy(max_delay=10), operation) == "rows"
    assert operation.gaps == [30, 0, 4]


async def test_refusal_is_not_retried_unless_asked(policy):
    operation = Script(CircuitOpenError("api", 5.0))
    with pytest.raises(CircuitOpenError) as caught:
        await call(policy(), operation)
    assert operation.count == 1
    assert caught.value.__notes__[0].endswith("circuit_open")
    asked = Script(CircuitOpenError("api", 5.0), "rows")
    assert await call(policy(retry_on=CircuitOpenError), asked) == "rows"
    assert asked.gaps == [5]


async def test_refusal_without_a_wait_is_not_retried_in_a_spin(policy):
    operation = Script(CircuitOpenError("api", 0.0), "rows")
    await call(policy(retry_on=CircuitOpenError), operation)
    assert operation.gaps == [1]


async def test_other_refusal_is_not_retryable(policy):
    class Refused(RefusedError):
        retry_after = 1.0

    operation = Script(Refused("no slot"))
    with pytest.raises(Refused) as caught:
        await call(policy(), operation)
    assert caught.value.__notes__[0].endswith("not_retryable")


async def test_circuit_breaker_strategy_stops_as_soon_as_the_breaker_opens(policy):
    class Gate:
        opened = False

        def is_open(self):
            return self.opened

    gate = Gate()
    operation = Script(ConnectionError)
    under = policy(strategy=RetryStrategy.CIRCUIT_BREAKER, breaker=gate)
    with pytest.raises(ConnectionError):
        await call(under, operation)
    assert operation.gaps == [1, 2, 4]
    gate.opened = True
    operation = Script(ConnectionError)
    with pytest.raises(ConnectionError) as caught:
        await call(under, operation)
    assert operation.count == 1
    assert caught.value.__notes__[0].endswith("circuit_open")


async def test_events_tell_of_each_retry_and_of_the_end(policy):
    bus = RecordingBus()
    await call(policy(bus=bus, name="load"), Script(ConnectionError("cut"), "rows"))
    scheduled, succeeded = bus.events
    assert (scheduled.operation, scheduled.attempt, scheduled.wait_seconds) == ("load", 1, 1)
    assert (scheduled.error_type, scheduled.exception_type) == ("transient", "ConnectionError")
    assert scheduled.message == "cut"
    assert (succeeded.attempt, round(succeeded.elapsed_seconds)) == (2, 1)
    bus = RecordingBus()
    with pytest.raises(ConnectionError):
        await call(policy(bus=bus, max_retries=1), Script(ConnectionError("cut")))
    assert bus.names == ["RetryScheduled", "RetryExhausted"]
    assert (bus.events[1].attempt, bus.events[1].stop_reason) == (2, "max_retries")


async def test_first_success_says_nothing(policy):
    bus = RecordingBus()
    await call(policy(bus=bus), Script("rows"))
    assert bus.events == []


async def test_listener_that_raises_does_not_change_the_outcome(policy, caplog):
    bus = RecordingBus()
    bus.subscribe(lambda _: 1 / 0)
    assert await call(policy(bus=bus), Script(ConnectionError, "rows")) == "rows"
    assert "ZeroDivisionError" in caplog.text


async def test_exception_whose_text_raises_is_reported_without_it(policy):
    class Mute(ConnectionError):
        def __str__(self):
            raise RuntimeError

    bus = RecordingBus()
    with pytest.raises(Mute):
        await call(policy(bus=bus, max_retries=1), Script(Mute("x")))
    assert [event.message for event in bus.events] == ["", ""]


async def test_policy_shared_by_many_tasks_keeps_each_calls_own_waits(policy):
    """Trap 23: waits belong to the call, not to the policy."""
    import anyio

    shared = retry(policy())
    operations = [Script(ConnectionError, ConnectionError, ConnectionError, n) for n in range(20)]
    results = {}

    async def run(n):
        await anyio.sleep(n * 0.25)
        results[n] = await shared(operations[n])()

    async with anyio.create_task_group() as group:
        for n in range(20):
            group.start_soon(run, n)
    assert results == {n: n for n in range(20)}
    assert all(operation.gaps == [1, 2, 4] for operation in operations)
