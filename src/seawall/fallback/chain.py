"""The first of several operations that succeeds."""

from collections.abc import Awaitable, Callable, Coroutine
from typing import Any, ParamSpec, Protocol, TypeVar, overload

from seawall.errors import InvalidConfigError
from seawall.events import EventBus, FallbackUsed, default_bus
from seawall.operation import AsyncOperation, as_coroutine_function, like, name_of

P = ParamSpec("P")
R = TypeVar("R")
S_co = TypeVar("S_co", covariant=True)
T = TypeVar("T")

Handled = type[Exception] | tuple[type[Exception], ...]


class FallbackDecorator(Protocol[S_co]):
    """A decorator; the result gives what the function or a fallback gives."""

    @overload
    def __call__(
        self, operation: Callable[P, Awaitable[R]], /
    ) -> Callable[P, Coroutine[Any, Any, R | S_co]]: ...
    @overload
    def __call__(
        self, operation: Callable[P, R], /
    ) -> Callable[P, Coroutine[Any, Any, R | S_co]]: ...


@overload
def fallback(
    *fallbacks: Callable[..., Awaitable[T]],
    handle: Handled = Exception,
    bus: EventBus = default_bus,
) -> FallbackDecorator[T]: ...
@overload
def fallback(
    *fallbacks: Callable[..., T], handle: Handled = Exception, bus: EventBus = default_bus
) -> FallbackDecorator[T]: ...
def fallback(
    *fallbacks: Callable[..., Any], handle: Handled = Exception, bus: EventBus = default_bus
) -> Any:
    """Decorate a function with others that answer in its place when it fails, in their order.

    Each gets the function's own arguments. For a fixed value give a function of it:
    ``fallback(lambda *args, **kwargs: None)``. Cancellation is passed on at once.

    Args:
        *fallbacks: async functions, or plain ones (which run in a worker thread).
        handle: exception types that lead to the next; every other leaves at once.
        bus: takes ``FallbackUsed``.

    Raises:
        InvalidConfigError: no fallback is given, or ``handle`` names no Exception type.
        TypeError: a fallback can't be called.
        ExceptionGroup: raised by the decorated function where none succeeds; the members are the
            exceptions, in order.
    """
    followers = tuple((name_of(each), as_coroutine_function(each)) for each in fallbacks)
    if not followers:
        raise InvalidConfigError("fallback(): must be given at least one function to fall back to")
    types = _handled(handle)

    def decorate(operation: Callable[..., Any]) -> Callable[..., Any]:
        run = as_coroutine_function(operation)
        return like(operation, chained(name_of(operation), run, followers, types, bus))

    return decorate


@overload
async def call_with_fallback(
    primary: Callable[..., Awaitable[R]],
    *fallbacks: Callable[..., Awaitable[T]],
    args: tuple[Any, ...] = (),
    handle: Handled = Exception,
    bus: EventBus = default_bus,
) -> R | T: ...
@overload
async def call_with_fallback(
    primary: Callable[..., Any],
    *fallbacks: Callable[..., Any],
    args: tuple[Any, ...] = (),
    handle: Handled = Exception,
    bus: EventBus = default_bus,
) -> Any: ...
async def call_with_fallback(
    primary: Callable[..., Any],
    *fallbacks: Callable[..., Any],
    args: tuple[Any, ...] = (),
    handle: Handled = Exception,
    bus: EventBus = default_bus,
) -> Any:
    """Call ``primary`` with ``args``, and each of ``fallbacks`` where those before it failed.

    Raises:
        ExceptionGroup: none succeeded; the members are the exceptions, in order.
        InvalidConfigError: no fallback is given, or ``handle`` names no Exception type.
        TypeError: one of them can't be called.
    """
    return await fallback(*fallbacks, handle=handle, bus=bus)(primary)(*args)


def chained(
    name: str,
    primary: AsyncOperation,
    followers: tuple[tuple[str, AsyncOperation], ...],
    handle: tuple[type[Exception], ...],
    bus: EventBus,
) -> AsyncOperation:
    """The coroutine function that tries ``primary``, then each follower."""

    async def falling_back(*args: Any, **kwargs: Any) -> Any:
        try:
            return await primary(*args, **kwargs)
        except handle as error:
            failed = [error]
        try:
            return await _follow(name, followers, handle, bus, failed, args, kwargs)
        finally:
            # The failures hold this frame; without the list they are freed at once.
            failed.clear()

    return falling_back


async def _follow(
    name: str,
    followers: tuple[tuple[str, AsyncOperation], ...],
    handle: tuple[type[Exception], ...],
    bus: EventBus,
    failed: list[Exception],
    args: tuple[Any, ...],
    kwargs: dict[str, Any],
) -> Any:
    for position, (follower_name, follower) in enumerate(followers, 1):
        try:
            result = await follower(*args, **kwargs)
        except handle as error:
            failed.append(error)
            continue
        if bus.listeners:
            bus.emit(FallbackUsed(operation=name, fallback=follower_name, position=position))
        return result
    raise ExceptionGroup(f"{name} and its fallbacks failed", failed)


def _handled(handle: object) -> tuple[type[Exception], ...]:
    chosen: list[type[Exception]] = []
    for each in handle if isinstance(handle, tuple) else (handle,):
        if not (isinstance(each, type) and issubclass(each, Exception)):
            raise InvalidConfigError(
                f"handle={each!r}: must be an Exception type; cancellation is always passed on"
            )
        chosen.append(each)
    return tuple(chosen)
