"""Wrappers with the parameters of what they wrap."""

import functools
import inspect
import traceback

import pytest

from seawall.compiled import compiled

TEMPLATE = """
async def wrapper($params):
    try:
        return await operation($passed)
    except ValueError:
        return await slow($packed)
"""


class Holder:
    async def method(self, a, b=2):
        return (a, b)

    async def swallow(*args):
        return args[1:]

    async def __call__(self, a, *, c=3):
        return (a, c)


SENTINEL = object()


async def nothing():
    return ()


async def plain(a, b):
    return (a, b)


async def mixed(a, /, b, c=SENTINEL, *rest, d, e=5, **others):
    return (a, b, c, rest, d, e, others)


async def keyword_only(*, a, b=SENTINEL):
    return (a, b)


async def clashing(operation, slow=1):
    return (operation, slow)


CASES = [
    (nothing, (), {}),
    (plain, (1, 2), {}),
    (plain, (1,), {"b": 2}),
    (mixed, (1, 2), {"d": 4}),
    (mixed, (1, 2, 3, 4, 5), {"d": 4, "e": 6, "x": 7}),
    (keyword_only, (), {"a": 1}),
    (clashing, (1,), {"slow": 2}),
    (Holder().method, (1,), {}),
    (Holder().swallow, (1, 2), {}),
    (Holder(), (1,), {"c": 4}),
    (functools.partial(plain, 1), (2,), {}),
]


@pytest.mark.parametrize(("operation", "args", "kwargs"), CASES)
async def test_compiled_call_arrives_with_the_same_arguments(operation, args, kwargs):
    """Positional, keyword, default and starred arguments reach the operation unchanged."""
    wrapper = compiled(TEMPLATE, operation, slow=None)
    assert await wrapper(*args, **kwargs) == await operation(*args, **kwargs)


async def test_compiled_slow_path_gets_arguments_packed():
    """The packed form calls the operation with the same arguments."""

    async def failing(a, /, b, *rest, c, d=SENTINEL, **others):
        raise ValueError

    async def slow(args, kwargs):
        return args, kwargs

    wrapper = compiled(TEMPLATE, failing, slow=slow)
    got = await wrapper(1, 2, 3, c=4, x=5)
    assert got == ((1, 2, 3), {"c": 4, "d": SENTINEL, "x": 5})


@pytest.mark.parametrize("operation", [plain, mixed, keyword_only, nothing])
def test_compiled_signature_is_the_operations_own(operation):
    """A wrapper has the very parameters, so that a wrong call is refused where it is made."""
    wrapper = compiled(TEMPLATE, operation, slow=None)
    assert inspect.signature(wrapper) == inspect.signature(operation)


def test_compiled_wrong_call_raises_type_error():
    """A missing argument is refused at the call, before a coroutine exists."""
    with pytest.raises(TypeError, match="missing 1 required positional argument"):
        compiled(TEMPLATE, plain, slow=None)(1)


async def test_compiled_traceback_shows_the_wrappers_line():
    """Whoever debugs sees the text that ran."""

    async def broken(a):
        raise KeyError(a)

    wrapper = compiled(TEMPLATE, broken, slow=None)
    try:
        await wrapper(1)
    except KeyError as error:
        shown = "".join(traceback.format_exception(error))
    assert "return await operation(a)" in shown


def test_compiled_same_shape_shares_its_code():
    """Ten thousand decorated functions of one shape cost one compilation."""

    async def other(a, b):
        return None

    one, two = compiled(TEMPLATE, plain, slow=None), compiled(TEMPLATE, other, slow=None)
    assert one.__code__ is two.__code__


def test_compiled_template_without_a_function_is_refused():
    """What is no coroutine function is a mistake of ours, said at once."""
    with pytest.raises(ValueError, match="async def"):
        compiled("x = 1", plain)
