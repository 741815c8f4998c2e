"""What a user gives as an operation, made a coroutine function of the same arguments.

A plain function runs in a worker thread. A thread can't be cancelled: whoever cancels the caller,
or a timeout, returns at once and lets the thread end by itself.
"""

import functools
import inspect
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any, ParamSpec, Protocol, TypeVar, overload

import anyio.to_thread

P = ParamSpec("P")
R = TypeVar("R")

AsyncOperation = Callable[..., Coroutine[Any, Any, Any]]


class OperationDecorator(Protocol):
    """A decorator of async and of plain functions; the result is async, with the same arguments."""

    @overload
    def __call__(
        self, operation: Callable[P, Awaitable[R]], /
    ) -> Callable[P, Coroutine[Any, Any, R]]: ...

    @overload
    def __call__(self, operation: Callable[P, R], /) -> Callable[P, Coroutine[Any, Any, R]]: ...


def as_coroutine_function(operation: Callable[..., Any]) -> AsyncOperation:
    """The operation itself where calling it makes a coroutine, else a form that runs in a thread.

    A plain callable that returns an awaitable (a lambda around an async call) is awaited.

    Raises:
        TypeError: it can't be called, or it is a generator, a class or a method's descriptor.
    """
    refusal = _refusal(_core(operation))
    if refusal is not None:
        raise TypeError(f"{operation!r} can't be wrapped: {refusal}")
    if is_async(operation):
        return operation

    async def in_thread(*args: Any, **kwargs: Any) -> Any:
        work = functools.partial(operation, *args, **kwargs)
        result = await anyio.to_thread.run_sync(work, abandon_on_cancel=True)
        return await result if inspect.isawaitable(result) else result

    return in_thread


def is_async(operation: Callable[..., Any]) -> bool:
    """Whether calling it is known to make a coroutine: functions, partials, callable objects."""
    core = _core(operation)
    return inspect.iscoroutinefunction(core) or inspect.iscoroutinefunction(_call_of(core))


def like(operation: Callable[..., Any], wrapper: AsyncOperation) -> AsyncOperation:
    """Give ``wrapper`` the name, docstring and signature of ``operation``."""
    # The attributes of a callable object are its own business; those of a function are marks.
    updated = ("__dict__",) if inspect.isroutine(operation) else ()
    functools.update_wrapper(wrapper, operation, updated=updated)
    return wrapper


def name_of(operation: Callable[..., Any]) -> str:
    """What to call the operation in notes, events and errors."""
    core = _core(operation)
    name = getattr(core, "__qualname__", None)
    return name if isinstance(name, str) else type(core).__qualname__


def _core(operation: Callable[..., Any]) -> Callable[..., Any]:
    while isinstance(operation, functools.partial):
        operation = operation.func
    return operation


def _call_of(core: object) -> Any:
    return None if inspect.isroutine(core) else inspect.getattr_static(type(core), "__call__", None)


def _refusal(core: object) -> str | None:
    if isinstance(core, staticmethod | classmethod):
        return f"put @{type(core).__name__} above this decorator"
    if isinstance(core, type):
        return "it is a class; wrap the function that makes or uses its instances"
    if not callable(core):
        return "it can't be called"
    for each in (core, _call_of(core)):
        if inspect.isasyncgenfunction(each) or inspect.isgeneratorfunction(each):
            return "it is a generator, whose body runs only as it is read"
    return None
