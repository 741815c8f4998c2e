"""What policies ask at their failures, and what never is overridden."""

import pytest

from seawall.classification import ErrorType
from seawall.events import EventBus, RetryExhausted, RetrySucceeded
from seawall.retry import RetryPolicy, call
from seawall.scope import Scope, scoped
from seawall.tuning.counter import TimingCounter
from seawall.tuning.model import Timing
from seawall.tuning.store import Key, Tuned
from seawall.tuning.tuner import Tuner
from support.virtual_time import LoopClock, run

KEY = Key("p", "load", ErrorType.TRANSIENT)
TIMING = Timing(max_retries=1, initial_delay=8.0, backoff_factor=1.5, max_delay=60.0)


@pytest.fixture
def tuner():
    tuner = Tuner("p", is_on=True)
    tuner.put([Tuned(KEY, 3, TIMING)])
    return tuner


def waits_of(tuner, given=None, times=9, **options):
    """The waits of a call that fails, and how often it was made."""
    bus, ended = EventBus(), []
    bus.subscribe(ended.append)

    async def load():
        raise ConnectionResetError(104, "reset")

    load.__qualname__ = "load"
    made = {"max_retries": 2, "initial_delay": 1.0, "jitter_range": 0, **options}
    policy = RetryPolicy(bus=bus, clock=LoopClock(), tuner=tuner.for_options(given or ()), **made)

    async def main():
        with pytest.raises(ConnectionResetError):
            await call(policy, load)

    run(main())
    return ended[-1].waits


def test_tuned_numbers_hold_at_the_next_failure(tuner):
    assert waits_of(tuner) == (8.0,)
    tuner.put([])
    assert waits_of(tuner) == (1.0, 2.0)


def test_options_given_with_the_call_win(tuner):
    assert waits_of(tuner, {"max_retries"}) == (8.0, 12.0)
    assert waits_of(tuner, {"initial_delay"}) == (1.0,)
    assert waits_of(tuner, {"retry_strategy"}) == (1.0,)
    assert tuner.for_options({"max_retries", "jitter"}) is None
    kinds = {ErrorType.TRANSIENT: {"max_retries": 0}}
    assert waits_of(tuner, by_error_type=kinds) == ()


def test_other_pipelines_operations_and_kinds_are_not_meant(tuner):
    bound = tuner.for_options(())
    assert bound.overrides("load", ErrorType.TRANSIENT) is bound.overrides(
        "load", ErrorType.TRANSIENT
    )
    assert bound.overrides("load", ErrorType.UNKNOWN) is None
    assert bound.overrides("load", None) is None
    assert bound.overrides("other", ErrorType.TRANSIENT) is None
    with scoped(Scope("q")):
        assert bound.overrides("load", ErrorType.TRANSIENT) is None


def test_policy_is_made_once_for_the_same_numbers(tuner):
    policy = RetryPolicy(tuner=tuner.for_options(()))
    error = ConnectionResetError()
    first = policy.options_for(error, ErrorType.TRANSIENT, "load")
    tuner.put([Tuned(KEY, 3, TIMING)])
    assert policy.options_for(error, ErrorType.TRANSIENT, "load") is first
    assert first.max_retries == 1
    assert policy.options_for(error, ErrorType.UNKNOWN, "load") is policy


def test_tuner_that_is_off_is_never_asked():
    off = Tuner("p", is_on=False)
    off.put([Tuned(KEY, 3, TIMING)])
    assert off.for_options(()) is None
    assert off.revision(KEY) == 0
    assert not RetryPolicy(tuner=None).has_variants


def succeeded(waits, operation="load", attempt=None):
    return RetrySucceeded(
        operation=operation,
        attempt=len(waits) + 1 if attempt is None else attempt,
        elapsed_seconds=1.0,
        waits=waits,
        error_type="transient",
    )


class Ticking:
    now = 0.0

    def monotonic(self):
        return self.now


def test_counter_samples_twenty_calls_in_ten_minutes(tuner):
    clock = Ticking()
    counter = TimingCounter(tuner, pipeline_id="p", clock=clock)
    for _ in range(50):
        counter.hear(succeeded((1.0,)))
    clock.now = 700.0
    counter.hear(succeeded((1.0,)))
    (delta,) = counter.take()
    assert (delta.key, delta.revision, delta.calls) == (KEY, 3, 21)
    assert counter.take() == []
    counter.put_back([delta])
    assert counter.take() == [delta]


def test_counter_leaves_out_what_says_nothing_of_waits(tuner):
    counter = TimingCounter(tuner, pipeline_id="p")
    counter.hear(succeeded((1.0,) * 32, attempt=99))
    counter.hear(
        RetryExhausted(
            operation="load",
            attempt=1,
            elapsed_seconds=0.0,
            error_type="transient",
            exception_type="x",
            message="",
            stop_reason="max_retries",
        )
    )
    counter.hear(
        RetryExhausted(
            operation="load",
            attempt=2,
            elapsed_seconds=0.0,
            error_type="data",
            exception_type="x",
            message="",
            stop_reason="not_retryable",
            waits=(1.0,),
        )
    )
    assert counter.take() == []


def test_counter_keeps_at_most_so_many_operations(tuner):
    counter = TimingCounter(tuner, pipeline_id="p")
    for n in range(600):
        counter.hear(succeeded((1.0,), operation=f"load {n}"))
    assert len(counter.take()) == 500
