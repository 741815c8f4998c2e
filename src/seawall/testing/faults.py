"""Faults injected into any operation: latency, and errors by rate or by script.

``inject(operation, …)`` gives a faulty twin of a function; ``with inject(owner, "name", …)`` puts
one in the place of an attribute.
"""

import inspect
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Any, ParamSpec, Protocol, TypeVar, cast, overload

from seawall.clock import SYSTEM_CLOCK, Clock
from seawall.operation import as_coroutine_function, is_async, like
from seawall.testing.plan import InjectedCall, Injection, Latency
from seawall.testing.script import Fault

__all__ = ["FaultyOperation", "InjectedCall", "Injection", "inject"]

P = ParamSpec("P")
R_co = TypeVar("R_co", covariant=True)
R = TypeVar("R")


class FaultyOperation(Protocol[P, R_co]):
    """A function with faults; called as the one that it was made of.

    Attributes:
        faults: the injection, with the calls so far.
    """

    faults: Injection

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> R_co: ...


@overload
def inject(
    target: Callable[P, R],
    attribute: None = None,
    *,
    latency: Latency = 0.0,
    errors: Iterable[Fault] = (),
    rate: float | None = None,
    script: str | Iterable[str | Fault | None] | None = None,
    seed: int = 0,
    after_call: bool = False,
    clock: Clock = SYSTEM_CLOCK,
) -> FaultyOperation[P, R]: ...
@overload
def inject(
    target: object,
    attribute: str,
    *,
    latency: Latency = 0.0,
    errors: Iterable[Fault] = (),
    rate: float | None = None,
    script: str | Iterable[str | Fault | None] | None = None,
    seed: int = 0,
    after_call: bool = False,
    clock: Clock = SYSTEM_CLOCK,
) -> AbstractContextManager[Injection]: ...
def inject(
    target: Any,
    attribute: str | None = None,
    *,
    latency: Latency = 0.0,
    errors: Iterable[Fault] = (),
    rate: float | None = None,
    script: str | Iterable[str | Fault | None] | None = None,
    seed: int = 0,
    after_call: bool = False,
    clock: Clock = SYSTEM_CLOCK,
) -> Any:
    """Give an operation latency and errors, the same ones each time.

    With ``attribute``, a context manager that puts the faulty operation in the place of
    ``target.attribute`` (of an object, a class or a module) and gives the ``Injection``; else the
    faulty twin of the function ``target``. Inject below a policy, into what the decorated function
    calls: a fault around the policy is not retried by it.

    Args:
        target: the function, or the owner of the attribute.
        attribute: the attribute's name.
        latency: seconds before each call, or (least, most) of them. A plain function's is waited
            for in its thread, in real time.
        errors: what failing calls raise: exception types, exceptions (raised as copies) or
            functions that make one.
        rate: share (0 to 1) of calls that fail; 1 where there are ``errors`` and no script.
        script: the fate of each call in turn, ``"ok, ConnectionError*2, 0.5s ok"``, or a sequence
            of such steps, of exceptions and of None for ok. Calls after the last step are ok.
        seed: decides what chance does; the same seed does the same to the same calls.
        after_call: let a failing call do its work and lose its answer, where else it does nothing.
        clock: waits for the latency of an async operation.

    Raises:
        InvalidConfigError: an option is out of range, or a script can't be read.
        TypeError: the target can't be called, or is a generator or a class.
        AttributeError: there is no such attribute.
    """
    injection = Injection(
        latency=latency,
        errors=errors,
        rate=rate,
        script=script,
        seed=seed,
        after_call=after_call,
    )
    if attribute is not None:
        return _patched(target, attribute, injection, clock)
    return _faulty(target, injection, clock)


@contextmanager
def _patched(owner: Any, attribute: str, injection: Injection, clock: Clock) -> Iterator[Injection]:
    is_class = isinstance(owner, type)
    held = inspect.getattr_static(owner, attribute) if is_class else getattr(owner, attribute)
    inside = attribute in getattr(owner, "__dict__", ()) or _is_slot(owner, attribute)
    put = _in_class(held, injection, clock) if is_class else _faulty(held, injection, clock)
    setattr(owner, attribute, put)
    try:
        yield injection
    finally:
        if inside:
            setattr(owner, attribute, held)
        else:
            delattr(owner, attribute)


def _is_slot(owner: object, attribute: str) -> bool:
    return hasattr(inspect.getattr_static(type(owner), attribute, None), "__set__")


def _in_class(held: Any, injection: Injection, clock: Clock) -> object:
    """What takes the place of a class's attribute, and is bound as that was."""
    if isinstance(held, staticmethod | classmethod):
        skipped = int(isinstance(held, classmethod))
        return type(held)(_faulty(held.__func__, injection, clock, skipped))
    if hasattr(type(held), "__get__"):
        return _faulty(held, injection, clock, skipped=1)
    return staticmethod(_faulty(held, injection, clock))


def _faulty(
    operation: Callable[P, R], injection: Injection, clock: Clock, skipped: int = 0
) -> FaultyOperation[P, R]:
    """The operation with faults; the first ``skipped`` arguments are its object."""
    as_coroutine_function(operation)  # refuses what can't be one
    if is_async(operation):
        wrapper: Any = like(operation, _faulty_async(operation, injection, clock, skipped))
    else:
        wrapper = like(operation, _faulty_plain(operation, injection, skipped))
    wrapper.faults = injection
    return cast("FaultyOperation[P, R]", wrapper)


def _faulty_async(
    operation: Callable[..., Any], injection: Injection, clock: Clock, skipped: int
) -> Callable[..., Any]:
    async def faulty(*args: Any, **kwargs: Any) -> Any:
        latency, error = injection.begin(args[skipped:], kwargs)
        if latency:
            await clock.sleep(latency)
        if error is None:
            return await operation(*args, **kwargs)
        if injection.after_call:
            await operation(*args, **kwargs)
        try:
            raise error
        finally:
            del error  # it holds this frame; without the name both are freed at once

    return faulty


def _faulty_plain(
    operation: Callable[..., Any], injection: Injection, skipped: int
) -> Callable[..., Any]:
    def faulty(*args: Any, **kwargs: Any) -> Any:
        latency, error = injection.begin(args[skipped:], kwargs)
        if latency:
            time.sleep(latency)
        if error is None:
            return operation(*args, **kwargs)
        if injection.after_call:
            operation(*args, **kwargs)
        try:
            raise error
        finally:
            del error

    return faulty
