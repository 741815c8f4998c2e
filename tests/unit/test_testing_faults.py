"""Injected faults: which call meets what, and that everything is as before afterwards."""

import asyncio
import copyreg
import gc
import inspect
import weakref
from functools import partial

import pytest
from hypothesis import given
from hypothesis import strategies as st

from seawall.errors import CircuitOpenError, InvalidConfigError
from seawall.retry import retry
from seawall.testing import VirtualClock, faults, no_waits
from support.operations import Script


async def outcomes(call, times):
    seen = []
    for number in range(times):
        try:
            seen.append(await call(number))
        except Exception as error:
            seen.append(type(error).__name__)
    return seen


async def double(x):
    return 2 * x


async def test_faults_script_decides_over_each_call_and_then_over_none():
    flaky = faults.inject(double, script="ok, ConnectionError*2, ok, CircuitOpenError")
    assert await outcomes(flaky, 6) == [
        0, "ConnectionError", "ConnectionError", 6, "CircuitOpenError", 10,
    ]  # fmt: skip
    assert (flaky.faults.count, flaky.faults.failed_count) == (6, 3)


async def test_faults_script_of_objects():
    script = ["ok", None, OSError("gone"), KeyError, lambda: CircuitOpenError("api", 1.0)]
    flaky = faults.inject(double, script=script)
    assert await outcomes(flaky, 5) == [0, 2, "OSError", "KeyError", "CircuitOpenError"]


async def test_faults_script_names_modules_and_types_of_its_own():
    class OwnError(Exception):
        pass

    flaky = faults.inject(double, script="OwnError, asyncio.QueueFull", errors=[OwnError])
    assert await outcomes(flaky, 3) == ["OwnError", "QueueFull", 4]


@pytest.mark.parametrize(
    ("script", "says"),
    [
        ("ok,, ok", "script step ''"),
        ("ok * x", "script step"),
        ("NoSuchError", "is no exception of Python or seawall"),
        ("len", "is no exception"),
        ("no_such_module.Error", "can't be imported"),
        ([len], "can't be made anew"),
        ([lambda: "text"], "must be an exception"),
    ],
)
def test_faults_script_that_cannot_be_read_is_refused(script, says):
    with pytest.raises(InvalidConfigError, match=says):
        faults.inject(double, script=script)


async def test_faults_errors_alone_fail_every_call():
    flaky = faults.inject(double, errors=[ConnectionError])
    assert await outcomes(flaky, 3) == ["ConnectionError"] * 3


async def test_faults_rate_fails_about_its_share():
    flaky = faults.inject(double, errors=[ConnectionError, TimeoutError], rate=0.3, seed=5)
    seen = await outcomes(flaky, 1000)
    assert 250 < flaky.faults.failed_count < 350
    assert 100 < seen.count("TimeoutError") < 200
    assert 100 < seen.count("ConnectionError") < 200


async def test_faults_of_one_seed_are_the_same_and_of_another_are_not():
    options = {"errors": [ConnectionError, KeyError], "rate": 0.5, "latency": (0, 1)}

    async def fates(seed):
        flaky = faults.inject(double, seed=seed, **options)
        await outcomes(flaky, 50)
        return [(call.error, call.latency) for call in flaky.faults.calls]

    assert await fates(1) == await fates(1)
    assert await fates(1) != await fates(2)


async def test_faults_fate_of_a_call_hangs_on_its_number_not_on_who_ends_first():
    async def seen(seconds):
        flaky = faults.inject(double, errors=[ConnectionError], rate=0.5, latency=seconds)
        await asyncio.gather(*(flaky(n) for n in range(20)), return_exceptions=True)
        return [call.error for call in flaky.faults.calls]

    assert await seen(0) == await seen((0, 5))


async def test_faults_latency_is_waited_before_each_call():
    loop = asyncio.get_running_loop()
    began = loop.time()
    flaky = faults.inject(double, latency=5, script="ok, 0.5s ConnectionError, 2s")
    assert await outcomes(flaky, 4) == [0, "ConnectionError", 4, 6]
    assert loop.time() - began == pytest.approx(5 + 0.5 + 2 + 5, abs=0.001)
    assert [call.latency for call in flaky.faults.calls] == [5, 0.5, 2, 5]


@pytest.mark.real_time
async def test_faults_latency_is_of_the_policies_clock():
    with no_waits() as waits:
        assert await faults.inject(double, latency=3600)(1) == 2
    assert waits == [3600]
    clock = VirtualClock()
    call = asyncio.get_running_loop().create_task(faults.inject(double, latency=9, clock=clock)(1))
    await clock.elapse(9)
    assert call.done()


async def test_faults_failing_call_does_no_work_unless_asked_to():
    operation = Script("done")
    before = faults.inject(operation, script="OSError")
    after = faults.inject(operation, script="OSError", after_call=True)
    with pytest.raises(OSError):
        await before()
    assert operation.count == 0
    with pytest.raises(OSError):
        await after()
    assert operation.count == 1
    assert await after() == "done"


async def test_faults_calls_are_recorded_with_their_arguments():
    flaky = faults.inject(Script("rows"), script="KeyError")
    with pytest.raises(KeyError):
        await flaky(1, page=2)
    await flaky(3)
    assert [(c.number, c.args, c.kwargs, c.error) for c in flaky.faults.calls] == [
        (1, (1,), {"page": 2}, "KeyError"),
        (2, (3,), {}, None),
    ]


async def test_faults_under_a_retry_are_retried():
    fetch = retry(max_retries=2, initial_delay=1)(faults.inject(double, script="OSError*2"))
    assert await fetch(4) == 8


async def test_faults_twin_is_of_the_same_kind_name_and_signature():
    def plain(a: int) -> int:
        return a

    flaky = faults.inject(double)
    assert inspect.iscoroutinefunction(flaky)
    assert (flaky.__name__, inspect.signature(flaky)) == ("double", inspect.signature(double))
    assert not inspect.iscoroutinefunction(faults.inject(plain))
    assert faults.inject(plain)(1) == 1
    assert await faults.inject(partial(double, 4))() == 8


def test_faults_plain_function_fails_too():
    work = []
    flaky = faults.inject(work.append, script="KeyError, 0.001s ok")
    with pytest.raises(KeyError):
        flaky(1)
    flaky(2)
    lost = faults.inject(work.append, script="KeyError", after_call=True)
    with pytest.raises(KeyError):
        lost(3)
    assert work == [2, 3]


def _sharing(error):
    twin = type(error)(*error.args)
    twin.__dict__ = error.__dict__
    return twin


def test_faults_into_a_generator_or_class_are_refused():
    async def rows():
        yield 1

    for target in (rows, dict, 5):
        with pytest.raises(TypeError):
            faults.inject(target)


async def test_faults_one_exception_raised_often_gathers_nothing(monkeypatch):
    def sharing(error):  # as tblib registers one for every exception
        return _sharing, (error,)

    monkeypatch.setitem(copyreg.dispatch_table, ConnectionError, sharing)
    given_error = ConnectionError("reset")
    given_error.add_note("from the test")
    flaky = faults.inject(double, errors=[given_error])
    seen = []
    for _ in range(3):
        with pytest.raises(ConnectionError, match="reset") as caught:
            await flaky(1)
        caught.value.add_note("seen")
        seen.append(caught.value)
    assert len({id(each) for each in [given_error, *seen]}) == 4
    assert all(each.__notes__ == ["from the test", "seen"] for each in seen)
    assert given_error.__traceback__ is None


@pytest.mark.real_time
async def test_faults_exception_and_its_frames_are_freed_at_once():
    """Without a run of the garbage collector."""

    class Payload:
        pass

    async def load(payload):
        return payload

    flaky, payload = faults.inject(load, errors=[OSError]), Payload()
    gc.disable()
    try:
        kept = weakref.ref(payload)
        with pytest.raises(OSError):
            await flaky(payload)
        flaky.faults.calls.clear()
        del payload
        assert kept() is None
    finally:
        gc.enable()


class TestPatch:
    class Client:
        async def fetch(self, key):
            return (self, key)

        @staticmethod
        async def shared(key):
            return key

        @classmethod
        async def of(cls, key):
            return (cls, key)

    class Child(Client):
        pass

    async def test_patch_of_an_object_touches_no_other(self):
        one, other = self.Client(), self.Client()
        with faults.inject(one, "fetch", script="OSError") as injection:
            with pytest.raises(OSError):
                await one.fetch(1)
            assert await one.fetch(2) == (one, 2)
            assert await other.fetch(3) == (other, 3)
        assert [call.args for call in injection.calls] == [(1,), (2,)]
        assert vars(one) == {}

    @pytest.mark.parametrize("owner", [Client, Child])
    async def test_patch_of_a_class_keeps_how_each_kind_of_method_is_bound(self, owner):
        before = dict(vars(owner))
        made = owner()
        for name, bound in (("fetch", made), ("shared", None), ("of", owner)):
            with faults.inject(owner, name, script="OSError") as injection:
                call = getattr(made, name)
                with pytest.raises(OSError):
                    await call(1)
                assert await call(2) == ((bound, 2) if bound is not None else 2)
            assert [each.args for each in injection.calls] == [(1,), (2,)]
        assert dict(vars(owner)) == before

    async def test_patch_of_a_class_with_a_callable_object_passes_no_self(self):
        class Owner:
            operation = Script("rows")

        with faults.inject(Owner, "operation"):
            await Owner().operation(1)
        assert Owner.operation.calls == [((1,), {})]

    async def test_patch_of_a_module_and_of_a_slot(self):
        class Slotted:
            __slots__ = ("load",)

        slotted = Slotted()
        slotted.load = double
        with faults.inject(slotted, "load", script="OSError"), pytest.raises(OSError):
            await slotted.load(1)
        assert slotted.load is double
        with faults.inject(asyncio, "sleep", script="OSError"), pytest.raises(OSError):
            await asyncio.sleep(0)
        await asyncio.sleep(0)

    async def test_patch_is_undone_where_the_block_fails(self):
        client = self.Client()
        with pytest.raises(ZeroDivisionError), faults.inject(client, "fetch"):
            raise ZeroDivisionError
        assert vars(client) == {}

    def test_patch_of_no_attribute_is_refused(self):
        for owner in (self.Client, self.Client()):
            with pytest.raises(AttributeError), faults.inject(owner, "nothing"):
                pass


@pytest.mark.parametrize(
    "options",
    [
        {"rate": 1.5, "errors": [OSError]},
        {"rate": 0.5},
        {"rate": 0.5, "errors": [OSError], "script": "ok"},
        {"latency": -1},
        {"latency": (2, 1)},
        {"errors": ["OSError"]},
        {"errors": [CircuitOpenError("a", 1), len]},
    ],
)
def test_faults_option_out_of_range_is_refused(options):
    with pytest.raises(InvalidConfigError):
        faults.inject(double, **options)


@given(
    st.lists(
        st.tuples(
            st.sampled_from(["ok", "OSError", "KeyError"]),
            st.integers(1, 3),
            st.sampled_from([None, "0", "1.5"]),
        ),
        min_size=1,
        max_size=6,
    )
)
def test_faults_script_means_what_it_says(steps):
    """Whatever the steps, their repetitions and latencies."""
    text = ", ".join(f"{'' if s is None else s + 's '}{name}*{n}" for name, n, s in steps)
    injection = faults.inject(double, script=text).faults
    for name, times, seconds in steps:
        for _ in range(times):
            latency, error = injection.begin((), {})
            assert latency == float(seconds or 0)
            assert type(error).__name__ == {"ok": "NoneType"}.get(name, name)
