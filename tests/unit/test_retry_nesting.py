"""R5: retries inside retries don't multiply, and a mark of the past binds nobody."""

import pytest

from seawall.retry import RetryPolicy, call, retry, retrying
from support.operations import RecordingBus, Script


@pytest.fixture
def options(clock):
    return {"initial_delay": 0, "jitter_range": 0, "clock": clock}


@pytest.mark.parametrize("extra", [{}, {"deadline": 100}, {"attempt_timeout": 9}])
async def test_three_nested_layers_make_the_calls_of_one(options, extra):
    """Trap 25: three layers of three attempts are 3 calls, not 27."""
    operation = Script(ConnectionError("down"))
    layered = retry(RetryPolicy(max_retries=2, **options, **extra))
    with pytest.raises(ConnectionError) as caught:
        await layered(layered(layered(operation)))()
    assert operation.count == 3
    assert len(caught.value.__notes__) == 1
    assert "after 3 attempts" in caught.value.__notes__[0]


async def test_outer_that_says_so_retries_an_exhaustion(options):
    operation = Script(ConnectionError("down"))
    inner = retry(max_retries=2, **options)(operation)
    with pytest.raises(ConnectionError):
        await retry(max_retries=1, retry_exhausted=True, **options)(inner)()
    assert operation.count == 6


async def test_exhaustion_wrapped_in_another_exception_is_still_seen(options):
    operation = Script(ConnectionError("down"))
    inner = retry(max_retries=2, **options)(operation)

    async def cause():
        try:
            await inner()
        except ConnectionError as error:
            raise TimeoutError("wrapped") from error

    async def context():
        try:
            await inner()
        except ConnectionError:
            raise TimeoutError("wrapped")

    async def group():
        errors = []
        try:
            await inner()
        except ConnectionError as error:
            errors.append(error)
        raise ExceptionGroup("", [TimeoutError(), ExceptionGroup("", errors)])

    for wrapping in (cause, context, group):
        before = operation.count
        with pytest.raises((TimeoutError, ExceptionGroup)):
            await retry(max_retries=5, **options)(wrapping)()
        assert operation.count - before == 3


async def test_failure_made_from_none_of_it_is_retried(options):
    operation = Script(ConnectionError("down"))
    inner = retry(max_retries=1, **options)(operation)
    tries = []

    async def unrelated():
        tries.append(1)
        try:
            await inner()
        except ConnectionError:
            pass
        raise TimeoutError("another thing")

    with pytest.raises(TimeoutError):
        await retry(max_retries=2, **options)(unrelated)()
    assert len(tries) == 3


async def test_same_instance_raised_by_a_later_call_is_retried(options):
    """The mark says that it was given up on then, not now."""
    error = ConnectionError("the one instance")
    inner = retry(max_retries=1, **options)(Script(error))
    with pytest.raises(ConnectionError):
        await inner()
    later = Script(error)
    with pytest.raises(ConnectionError):
        await retry(max_retries=2, **options)(later)()
    assert later.count == 3
    with pytest.raises(ConnectionError):
        await retry(max_retries=4, **options)(inner)()


async def test_inner_policy_without_retries_leaves_the_retrying_to_the_outer(options):
    operation = Script(ConnectionError("down"))
    inner = retry(max_retries=0, **options)(operation)
    with pytest.raises(ConnectionError):
        await retry(max_retries=2, **options)(inner)()
    assert operation.count == 3


async def test_failure_that_the_inner_does_not_retry_is_the_outers_to_judge(options):
    operation = Script(KeyError("x"))
    inner = retry(max_retries=2, retry_on=OSError, **options)(operation)
    with pytest.raises(KeyError):
        await retry(max_retries=1, retry_on=KeyError, **options)(inner)()
    assert operation.count == 2


async def test_exhaustion_in_a_child_task_is_seen_outside(options):
    import anyio

    operation = Script(ConnectionError("down"))
    inner = retry(max_retries=2, **options)(operation)

    async def in_children():
        async with anyio.create_task_group() as group:
            group.start_soon(inner)

    with pytest.raises(ExceptionGroup):
        await retry(max_retries=3, **options)(in_children)()
    assert operation.count == 3


async def test_loop_form_marks_and_sees_marks(options):
    operation = Script(ConnectionError("down"))

    async def looped():
        async for attempt in retrying(max_retries=2, **options):
            with attempt:
                await operation()

    with pytest.raises(ConnectionError):
        await retry(max_retries=3, **options)(looped)()
    assert operation.count == 3
    with pytest.raises(ConnectionError):
        async for attempt in retrying(max_retries=3, **options):
            with attempt:
                await looped()
    assert operation.count == 6


async def test_outer_reports_that_it_gave_up_too(options):
    bus = RecordingBus()
    inner = retry(max_retries=1, name="inner", bus=bus, **options)(Script(ConnectionError()))
    with pytest.raises(ConnectionError):
        await call(RetryPolicy(name="outer", bus=bus, **options), inner)
    ends = [
        (e.operation, e.attempt, e.stop_reason) for e in bus.events if hasattr(e, "stop_reason")
    ]
    assert ends == [("inner", 2, "max_retries"), ("outer", 1, "not_retryable")]


async def test_old_mark_says_nothing_although_another_call_gave_up_meanwhile(options):
    error = ConnectionError("the one instance")
    with pytest.raises(ConnectionError):
        await retry(max_retries=1, **options)(Script(error))()
    elsewhere = retry(max_retries=1, **options)(Script(TimeoutError("another")))
    tries = []

    async def operation():
        tries.append(1)
        try:
            await elsewhere()
        except TimeoutError:
            pass
        raise error

    with pytest.raises(ConnectionError):
        await retry(max_retries=2, **options)(operation)()
    assert len(tries) == 3


async def test_exhaustion_hidden_by_from_none_is_still_seen(options):
    """The retries were made, whatever the traceback shows."""
    operation = Script(ConnectionError("down"))
    inner = retry(max_retries=2, **options)(operation)

    async def hiding():
        try:
            await inner()
        except ConnectionError:
            raise TimeoutError("mine") from None

    with pytest.raises(TimeoutError):
        await retry(max_retries=2, **options)(hiding)()
    assert operation.count == 3
