"""The first of several operations that succeeds, in order."""

import asyncio

import pytest

from seawall.classification import ErrorType
from seawall.errors import CircuitOpenError, InvalidConfigError
from seawall.fallback import LastGood, call_with_fallback, fallback
from support.operations import RecordingBus, Script


async def test_primary_that_succeeds_answers_alone():
    primary, other, bus = Script("rows"), Script("other"), RecordingBus()
    assert await fallback(other, bus=bus)(primary)(1, two=2) == "rows"
    assert (other.count, bus.events) == (0, [])


async def test_first_fallback_that_succeeds_answers_with_the_same_arguments():
    primary, bad, good, never = (Script(x) for x in (OSError, KeyError, "good", "never"))
    assert await fallback(bad, good, never)(primary)(1, two=2) == "good"
    assert primary.calls == bad.calls == good.calls == [((1,), {"two": 2})]
    assert never.count == 0


async def test_none_succeeding_raises_the_group_of_all_in_order():
    errors = [OSError("a"), KeyError("b"), ValueError("c")]
    scripts = [Script(each) for each in errors]
    with pytest.raises(ExceptionGroup, match="fallbacks failed") as caught:
        await call_with_fallback(*scripts)
    assert caught.value.exceptions == tuple(errors)


async def test_exception_that_is_not_handled_leaves_at_once():
    other = Script("other")
    with pytest.raises(KeyError):
        await fallback(other, handle=OSError)(Script(KeyError))()
    assert other.count == 0
    third = Script("third")
    with pytest.raises(KeyError):
        await call_with_fallback(Script(OSError), Script(KeyError), third, handle=(OSError,))
    assert third.count == 0


async def test_refusal_of_an_open_breaker_is_answered_by_the_fallback():
    refused = Script(CircuitOpenError("api", 5.0))
    assert await fallback(Script("cached"), handle=CircuitOpenError)(refused)() == "cached"


async def test_plain_function_answers_from_a_thread():
    assert await fallback(lambda key: f"cached {key}")(Script(OSError))("a") == "cached a"


async def test_call_passes_args():
    primary, other = Script(OSError), Script("other")
    assert await call_with_fallback(primary, other, args=(1, 2)) == "other"
    assert other.calls == [((1, 2), {})]


async def test_use_of_a_fallback_is_told():
    bus = RecordingBus()

    async def load():
        raise OSError

    async def cached():
        return 1

    await fallback(Script(OSError), cached, bus=bus)(load)()
    (event,) = bus.events
    assert event.operation.endswith("load")
    assert event.fallback.endswith("cached")
    assert event.position == 2


async def test_cancellation_in_a_fallback_passes_at_once(clock):
    third = Script("third")
    chain = fallback(Script("second", seconds=10), third)(Script(OSError, seconds=1))
    task = asyncio.get_running_loop().create_task(chain())
    await asyncio.sleep(5)
    task.cancel()
    start = clock.monotonic()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert clock.monotonic() - start < 0.001
    assert third.count == 0


@pytest.mark.parametrize(
    "handle", [BaseException, KeyboardInterrupt, (OSError, SystemExit), "OSError"]
)
def test_handle_of_what_is_no_exception_type_is_refused(handle):
    with pytest.raises(InvalidConfigError, match="always passed on"):
        fallback(len, handle=handle)


def test_no_fallback_is_refused():
    with pytest.raises(InvalidConfigError, match="at least one"):
        fallback()


def test_plain_value_is_refused_as_a_fallback():
    with pytest.raises(TypeError, match="can't be called"):
        fallback(0)


async def test_fallback_default_answers_last():
    bus = RecordingBus()
    broken = Script(ConnectionError)
    assert await fallback(broken, default=None, bus=bus)(Script(ConnectionError))() is None
    assert [(e.fallback, e.position) for e in bus.events] == [("default", 2)]
    assert await fallback(default="none")(Script("rows"))() == "rows"


async def test_fallback_handles_error_types():
    """One classification: what a retry takes for transient, so does a fallback."""
    guarded = fallback(lambda: "spare", handle=(ErrorType.TRANSIENT, KeyError))
    assert await guarded(Script(ConnectionError))() == "spare"
    assert await guarded(Script(KeyError))() == "spare"
    with pytest.raises(PermissionError):
        await guarded(Script(PermissionError))()


async def test_fallbacks_for_different_kinds_stack():
    @fallback(default="bad record", handle=ErrorType.DATA)
    @fallback(default="down", handle=ErrorType.TRANSIENT)
    async def fetch(error):
        raise error

    assert await fetch(ConnectionError()) == "down"
    assert await fetch(UnicodeDecodeError("utf8", b"x", 0, 1, "bad")) == "bad record"
    with pytest.raises(PermissionError):
        await fetch(PermissionError())


class TestLastGood:
    def make(self, clock, operation, **options):
        return fallback(LastGood(**({"max_age": 60, "clock": clock} | options)), default="default")(
            operation
        )

    async def test_last_good_value_is_of_the_same_call(self, clock):
        down = []

        async def fetch(key, *, page=0):
            if down:
                raise ConnectionError
            return f"{key} {page}"

        call = self.make(clock, fetch)
        assert [await call("a"), await call("a", page=2), await call("b")] == ["a 0", "a 2", "b 0"]
        down.append(1)
        assert [await call("a"), await call("a", page=2), await call("c")] == [
            "a 0",
            "a 2",
            "default",
        ]

    async def test_last_good_value_too_old_is_not_given(self, clock):
        call = self.make(clock, Script("good", ConnectionError))
        await call()
        await clock.sleep(59.9)
        assert await call() == "good"
        await clock.sleep(0.2)
        assert await call() == "default"

    async def test_last_good_value_none_is_a_value(self, clock):
        call = self.make(clock, Script(None, ConnectionError))
        assert [await call(), await call()] == [None, None]

    async def test_last_good_forgets_the_call_used_longest_ago(self, clock):
        down = []

        async def fetch(key):
            if down:
                raise ConnectionError
            return key

        call = self.make(clock, fetch, max_entries=2)
        for key in ("a", "b", "a", "c"):
            await call(key)
        down.append(1)
        assert [await call(key) for key in "abc"] == ["a", "default", "c"]

    async def test_last_good_with_arguments_that_cannot_be_hashed_passes(self, clock):
        call = self.make(clock, Script("good", ConnectionError))
        assert [await call([1]), await call([1])] == ["good", "default"]

    async def test_last_good_of_two_functions_are_apart(self, clock):
        rule = fallback(LastGood(60, clock=clock), default="default")
        one, two = rule(Script("one", ConnectionError)), rule(Script(ConnectionError))
        await one()
        assert [await one(), await two()] == ["one", "default"]

    @pytest.mark.parametrize("options", [{"max_age": 0}, {"max_age": 1, "max_entries": 0}])
    def test_last_good_option_out_of_range_is_refused(self, options):
        with pytest.raises(InvalidConfigError, match="must be"):
            LastGood(**options)
