"""Every form of callable is retried, or refused when it is decorated."""

import asyncio
import functools
import inspect
import threading

import pytest

from seawall.circuitbreaker import CircuitBreaker
from seawall.errors import AttemptTimeoutError
from seawall.fallback import fallback
from seawall.pipeline import Policy
from seawall.retry import RetryPolicy, RetryStrategy, call, retry
from support.operations import Script

NO_WAIT = {"initial_delay": 0, "jitter_range": 0}


class Service:
    def __init__(self):
        self.calls = []

    @retry(**NO_WAIT)
    async def method(self, x, *, y=0):
        """Adds."""
        self.calls.append((x, y))
        if len(self.calls) < 3:
            raise ConnectionError
        return x + y

    @staticmethod
    @retry(**NO_WAIT)
    async def static(x):
        return x

    @classmethod
    @retry(**NO_WAIT)
    async def of_class(cls, x):
        return cls.__name__, x

    async def plain_method(self, x):
        self.calls.append(x)
        if len(self.calls) < 3:
            raise ConnectionError
        return x


class AsyncCallable:
    def __init__(self):
        self.count = 0
        self.__doc__ = "An instance's own."

    async def __call__(self, x):
        self.count += 1
        if self.count < 3:
            raise ConnectionError
        return x


async def test_method_is_retried_with_its_own_signature():
    service = Service()
    assert await service.method(1, y=2) == 3
    assert service.calls == [(1, 2)] * 3
    assert Service.method.__name__ == "method"
    assert Service.method.__doc__ == "Adds."
    assert str(inspect.signature(Service.method)) == "(self, x, *, y=0)"
    assert inspect.iscoroutinefunction(Service.method)


async def test_static_and_class_methods_below_their_decorator_work():
    assert await Service.static(1) == 1
    assert await Service.of_class(2) == ("Service", 2)


async def test_bare_decorator_retries():
    count = 0

    @retry
    async def flaky():
        nonlocal count
        count += 1
        if count == 1:
            raise ConnectionError
        return count

    assert await flaky() == 2


async def test_policy_as_the_decorators_argument_is_used_with_its_options_replaced():
    policy = RetryPolicy(max_retries=1, **NO_WAIT)
    operation = Script(ConnectionError)
    with pytest.raises(ConnectionError):
        await retry(policy)(operation)()
    assert operation.count == 2
    operation = Script(ConnectionError)
    with pytest.raises(ConnectionError):
        await retry(policy, max_retries=2)(operation)()
    assert operation.count == 3


@pytest.mark.parametrize(
    "form", ["object", "partial of object", "bound", "partial of bound", "nested"]
)
async def test_callable_with_an_async_core_is_retried(form):
    """Trap 27: a callable object or a partial is no plain function."""
    forms = {
        "object": AsyncCallable(),
        "partial of object": functools.partial(AsyncCallable(), 5),
        "bound": Service().plain_method,
        "partial of bound": functools.partial(Service().plain_method, 5),
        "nested": functools.partial(functools.partial(AsyncCallable(), x=5)),
    }
    args = () if form.startswith(("partial", "nested")) else (5,)
    assert await retry(**NO_WAIT)(forms[form])(*args) == 5
    again = functools.partial(AsyncCallable(), 6)
    assert await call(RetryPolicy(**NO_WAIT), again) == 6


async def test_plain_function_runs_in_a_worker_thread_and_is_retried():
    threads = []

    def plain(x, *, y):
        threads.append(threading.current_thread())
        if len(threads) < 3:
            raise ConnectionError
        return x + y

    assert await retry(**NO_WAIT)(plain)(1, y=2) == 3
    assert len(threads) == 3
    assert threading.main_thread() not in threads


def test_plain_function_that_hangs_is_left_behind_by_an_attempt_timeout():
    """A thread can't be cancelled: the caller goes on, the thread ends by itself.

    On the real loop: where a thread takes part, virtual time would run ahead of it.
    """
    release, ended = threading.Event(), threading.Event()

    def hangs():
        release.wait(10)
        ended.set()

    async def main():
        with pytest.raises(AttemptTimeoutError):
            await retry(attempt_timeout=0.05, max_retries=0)(hangs)()
        left_behind = not ended.is_set()
        release.set()
        return left_behind

    assert asyncio.run(main())
    assert ended.wait(10)


async def test_lambda_around_an_async_call_is_awaited():
    operation = Script(ConnectionError, "rows")
    assert await call(RetryPolicy(**NO_WAIT), lambda: operation()) == "rows"
    assert operation.count == 2


async def generator():
    yield 1


def plain_generator():
    yield 1


class GeneratorObject:
    def __call__(self):
        yield 1


@pytest.mark.parametrize(
    ("subject", "why"),
    [
        (plain_generator, "generator"),
        (functools.partial(plain_generator), "generator"),
        (GeneratorObject(), "generator"),
        (Service, "class"),
        (staticmethod(plain_generator), "put @staticmethod above"),
        (classmethod(plain_generator), "put @classmethod above"),
        (5, "can't be called"),
    ],
)
@pytest.mark.parametrize(
    "decorator",
    [
        retry(**NO_WAIT),
        CircuitBreaker("service"),
        fallback(len),
        Policy(retry=RetryPolicy()),
        Policy(fallback=len),
    ],
)
def test_what_cannot_be_wrapped_is_refused_at_decoration(decorator, subject, why):
    with pytest.raises(TypeError, match=why):
        decorator(subject)


async def test_two_decorated_functions_never_share_state():
    """Trap 32: nothing is kept by the id of a function, so that a freed one's successor is itself."""
    decorator = retry(**NO_WAIT)
    for n in range(50):
        operation = Script(ConnectionError, n)
        assert await decorator(operation)() == n


async def test_retry_over_a_breaker_knows_it():
    breaker = CircuitBreaker("service", failure_threshold=2)
    operation = Script(ConnectionError)
    under = retry(strategy=RetryStrategy.CIRCUIT_BREAKER, **NO_WAIT)(breaker(operation))
    with pytest.raises(ConnectionError) as caught:
        await under()
    assert operation.count == 2
    assert caught.value.__notes__[0].endswith("circuit_open")


def test_attributes_of_a_function_are_kept_and_those_of_an_object_are_not():
    def function():
        pass

    function.mark = 1
    assert retry(function).mark == 1
    assert not hasattr(retry(AsyncCallable()), "count")


@pytest.mark.parametrize("subject", [generator, functools.partial(generator)])
@pytest.mark.parametrize(
    "decorator", [CircuitBreaker("service"), fallback(len), Policy(retry=RetryPolicy())]
)
def test_async_generator_is_for_retry_alone(decorator, subject):
    """Its body runs only as it is read: a breaker or a fallback would see nothing of it."""
    with pytest.raises(TypeError, match="generator"):
        decorator(subject)
