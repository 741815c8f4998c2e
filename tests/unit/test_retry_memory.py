"""Traps 24, 30 and 31: nothing of a failed attempt outlives it, and nothing grows with the calls."""

import gc
import weakref

import pytest
import tenacity

from seawall.circuitbreaker import CircuitBreaker
from seawall.fallback import fallback
from seawall.pipeline import Policy
from seawall.retry import RetryPolicy, retry, retrying
from support.operations import RecordingBus

NO_WAIT = {"initial_delay": 0, "jitter_range": 0}


class Local:
    """What a failed attempt's frame holds."""


def failing_once():
    """An operation that fails once, and the weak references of what each attempt held."""
    held = []

    async def operation():
        local = Local()
        held.append(weakref.ref(local))
        if len(held) == 1:
            raise ConnectionError
        # The failed attempt's frame is gone already while the next one runs.
        return [reference() for reference in held[:1]]

    return operation


def forms():
    breaker = CircuitBreaker("service")
    return {
        "retry": retry(**NO_WAIT),
        "bounded": retry(deadline=9, attempt_timeout=9, **NO_WAIT),
        "tenacity": retry(wait=tenacity.wait_none(), stop=tenacity.stop_after_attempt(3)),
        "listened": retry(bus=RecordingBus(), **NO_WAIT),
        "policy": Policy(retry=RetryPolicy(**NO_WAIT), breaker=breaker),
    }


@pytest.mark.parametrize("form", list(forms()))
async def test_failed_attempts_frame_is_free_before_the_next(form):
    gc.collect()
    gc.disable()
    try:
        assert await forms()[form](failing_once())() == [None]
    finally:
        gc.enable()


async def test_failed_attempts_frame_is_free_in_the_loop_form():
    gc.disable()
    try:
        operation = failing_once()
        async for attempt in retrying(**NO_WAIT):
            with attempt:
                freed = await operation()
        assert freed == [None]
    finally:
        gc.enable()


async def test_failed_primarys_frame_is_free_after_the_fallback():
    held = []

    async def primary():
        local = Local()
        held.append(weakref.ref(local))
        raise ConnectionError

    async def other():
        return "other"

    gc.disable()
    try:
        assert await fallback(other)(primary)() == "other"
        assert held[0]() is None
    finally:
        gc.enable()


async def test_breaker_keeps_no_exception():
    held = []

    async def operation():
        local = Local()
        held.append(weakref.ref(local))
        raise ConnectionError("cut")

    breaker = CircuitBreaker("service", failure_threshold=1)
    gc.disable()
    try:
        with pytest.raises(ConnectionError):
            await breaker(operation)()
        assert held[0]() is None
    finally:
        gc.enable()
    assert breaker.snapshot().reason == "ConnectionError: cut"


async def test_refusals_never_gather_a_traceback():
    """Trap 30: each refusal is an exception of its own."""
    breaker = CircuitBreaker("service")
    breaker.force_open()
    depths, instances = set(), []
    for _ in range(200):
        with pytest.raises(Exception) as caught:
            await breaker.call(Local)
        instances.append(caught.value)
        depths.add(len(caught.traceback))
    assert len(depths) == 1
    assert len({id(each) for each in instances}) == 200


async def test_operation_that_raises_one_instance_leaves_after_fifty_attempts():
    error = ConnectionError("the same")

    async def operation():
        raise error

    with pytest.raises(ConnectionError) as caught:
        await retry(max_retries=49, **NO_WAIT)(operation)()
    assert caught.value is error
    # Two frames an attempt, which Python itself adds.
    assert len(caught.traceback) <= 2 * 50 + 3


async def test_decorator_holds_nothing_of_its_calls():
    """Trap 24: a hundred calls leave as many objects as one."""

    @retry(**NO_WAIT)
    async def operation(box):
        box.append(1)
        if len(box) < 3:
            raise ConnectionError

    await operation([])
    gc.collect()
    before = len(gc.get_objects())
    for _ in range(100):
        await operation([])
    gc.collect()
    assert len(gc.get_objects()) - before < 20
