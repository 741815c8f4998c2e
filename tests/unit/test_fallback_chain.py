"""The first of several operations that succeeds, in order."""

import asyncio
import gc
import weakref
from functools import partial

import pytest

from seawall.classification import ErrorType
from seawall.errors import CircuitOpenError, InvalidConfigError
from seawall.fallback import LastGood, call_with_fallback, fallback
from seawall.pipeline import Policy
from seawall.retry import RetryPolicy
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

    async def test_last_good_value_that_was_given_counts_as_used(self, clock):
        down = []

        async def fetch(key):
            if key in down:
                raise ConnectionError
            return key

        call = self.make(clock, fetch, max_entries=2)
        await call("a")
        await call("b")
        down.append("a")
        await call("a")
        await call("c")
        down.append("b")
        assert [await call(key) for key in "ab"] == ["a", "default"]

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

    async def test_last_good_given_to_calls_remembers_from_one_to_the_next(self, clock):
        """A call has no decorated function that could remember for it."""
        memory, fetch, other = LastGood(60, clock=clock), Script("a", OSError), Script(OSError)

        async def call(operation, *args):
            return await call_with_fallback(operation, memory, args=args, default="default")

        assert [await call(fetch, 1), await call(fetch, 1)] == ["a", "a"]
        assert [await call(fetch, 2), await call(other, 1)] == ["default", "default"]

    async def test_last_good_in_a_policy_remembers_over_calls(self, clock):
        """``Policy.call`` wraps the function anew each time."""
        policy = Policy(fallback=LastGood(60, clock=clock), retry=RetryPolicy(max_retries=0))
        fetch = Script("a", OSError)
        assert [await policy.call(fetch, 1), await policy.call(fetch, 1)] == ["a", "a"]

    async def test_last_good_of_a_partial_made_anew_is_found(self, clock):
        memory, fetch = LastGood(60, clock=clock), Script("one", "two", OSError)
        for expected in ("one", "two"):
            page = {"one": 1, "two": 2}[expected]
            call = partial(partial(fetch, "key"), page=page)
            assert await call_with_fallback(call, memory) == expected
        for page, expected in ((2, "two"), (1, "one")):
            assert await call_with_fallback(partial(fetch, "key", page=page), memory) == expected

    async def test_last_good_of_two_objects_are_apart(self, clock):
        down, memory = [], LastGood(60, clock=clock)

        class Client:
            def __init__(self, name):
                self.name = name

            async def fetch(self):
                if down:
                    raise OSError
                return self.name

            guarded = fallback(memory, default="default")(fetch)

        one, two, three = Client("one"), Client("two"), Client("three")
        for client in (one, two):
            await client.guarded()
            await call_with_fallback(client.fetch, memory)
        down.append(1)
        for client, expected in ((one, "one"), (two, "two"), (three, "default")):
            assert await client.guarded() == expected
            call = call_with_fallback(client.fetch, memory, default="default")
            assert await call == expected

    async def test_last_good_of_one_call_written_in_two_ways_is_one(self, clock):
        down = []

        @fallback(LastGood(60, clock=clock), default="default")
        async def fetch(key, page=1):
            if down:
                raise OSError
            return f"{key} {page}"

        await fetch("a")
        down.append(1)
        assert await fetch(page=1, key="a") == "a 1"

    async def test_last_good_of_a_fallback_is_not_remembered(self, clock):
        """Else an old value would become young again, and a stand-in a good one."""
        down = []

        async def replica():
            if down:
                raise OSError
            return "replica"

        call = fallback(replica, LastGood(60, clock=clock), default="default")(Script(OSError))
        assert await call() == "replica"
        down.append(1)
        assert await call() == "default"

    async def test_last_good_too_old_is_forgotten(self, clock):
        memory = LastGood(60, clock=clock)
        call = fallback(memory, default="default")(Script(object(), OSError))
        await call()
        await clock.sleep(61)
        assert await call() == "default"
        assert len(memory._results) == 0

    async def test_last_good_use_is_told(self, clock):
        bus = RecordingBus()
        call = fallback(Script(OSError), LastGood(60, clock=clock), bus=bus)(Script(1, OSError))
        assert [await call(), await call()] == [1, 1]
        assert [(e.fallback, e.position) for e in bus.events] == [("the last good value", 2)]


async def test_group_is_handled_where_every_member_is():
    """R4: exception groups are looked into; what leaves is the group itself."""
    guarded = fallback(default="spare", handle=(OSError, ErrorType.DATA))
    both = ExceptionGroup("both", [OSError(), ExceptionGroup("inner", [ConnectionError()])])
    assert await guarded(Script(both))() == "spare"
    mixed = ExceptionGroup("mixed", [OSError(), PermissionError(), RuntimeError("?")])
    with pytest.raises(ExceptionGroup) as caught:
        await guarded(Script(mixed))()
    assert caught.value is mixed


async def test_group_with_a_cancellation_passes_at_once():
    other = Script("spare")
    with pytest.raises(BaseExceptionGroup):
        await fallback(other)(Script(BaseExceptionGroup("g", [asyncio.CancelledError()])))()
    assert other.count == 0


async def test_wrong_arguments_are_the_callers_fault_and_fall_back_to_nothing():
    async def fetch(key):
        return key

    other = Script("spare")
    with pytest.raises(TypeError):
        await fallback(other)(fetch)()
    assert other.count == 0


@pytest.mark.real_time
@pytest.mark.parametrize("ends", ["answer", "group", "unhandled"])
async def test_failures_are_freed_at_once(ends):
    """Trap 31: a failed attempt's frames and their locals, without a run of the collector."""

    class Payload:
        pass

    async def load(payload):
        raise OSError

    async def second(payload):
        if ends == "answer":
            return "spare"
        raise OSError if ends == "group" else KeyError

    guarded, payload = fallback(second, handle=OSError)(load), Payload()
    gc.disable()
    try:
        kept = weakref.ref(payload)
        try:
            await guarded(payload)
        except Exception as error:
            del error
        del payload
        assert kept() is None
    finally:
        gc.enable()
