"""The first of several operations that succeeds."""

from collections.abc import Awaitable, Callable, Coroutine
from typing import Any, ParamSpec, Protocol, TypeVar, overload

from seawall.classification import Classifier, ErrorType, default_classifier
from seawall.errors import InvalidConfigError
from seawall.events import EventBus, FallbackUsed, default_bus
from seawall.fallback.last_good import LastGood, Memory
from seawall.operation import AsyncOperation, as_coroutine_function, like, name_of

P = ParamSpec("P")
R = TypeVar("R")
S_co = TypeVar("S_co", covariant=True)
T = TypeVar("T")

Handled = type[Exception] | ErrorType | tuple[type[Exception] | ErrorType, ...]
NOTHING: Any = object()  # no default is given


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
    *fallbacks: Callable[..., Awaitable[T]] | LastGood,
    handle: Handled = Exception,
    bus: EventBus = default_bus,
    classifier: Classifier = default_classifier,
) -> FallbackDecorator[T]: ...
@overload
def fallback(
    *fallbacks: Callable[..., T] | LastGood,
    handle: Handled = Exception,
    bus: EventBus = default_bus,
    classifier: Classifier = default_classifier,
) -> FallbackDecorator[T]: ...
@overload
def fallback(
    *fallbacks: LastGood,
    default: T,
    handle: Handled = Exception,
    bus: EventBus = default_bus,
    classifier: Classifier = default_classifier,
) -> FallbackDecorator[T]: ...
@overload
def fallback(
    *fallbacks: Callable[..., Any] | LastGood,
    default: T,
    handle: Handled = Exception,
    bus: EventBus = default_bus,
    classifier: Classifier = default_classifier,
) -> FallbackDecorator[Any]: ...
def fallback(
    *fallbacks: Callable[..., Any] | LastGood,
    default: Any = NOTHING,
    handle: Handled = Exception,
    bus: EventBus = default_bus,
    classifier: Classifier = default_classifier,
) -> Any:
    """Decorate a function with what answers in its place when it fails, in order.

    Functions get the function's own arguments. Put several on one function for different kinds of
    failure: each handles what its ``handle`` names. Cancellation is passed on at once.

    Args:
        *fallbacks: async functions, plain ones (which run in a worker thread), or ``LastGood``.
        default: the value to give where none of them answers.
        handle: exception types and error types (``ErrorType.TRANSIENT``) that lead to the next;
            every other failure leaves at once.
        bus: takes ``FallbackUsed``.
        classifier: decides the error type.

    Raises:
        InvalidConfigError: no fallback is given, or ``handle`` names neither an Exception type nor
            an error type.
        TypeError: a fallback can't be called.
        ExceptionGroup: raised by the decorated function where none succeeds; the members are the
            exceptions, in order.
    """
    chain = Chain(fallbacks, default, handle, bus, classifier)

    def decorate(operation: Callable[..., Any]) -> Callable[..., Any]:
        run = as_coroutine_function(operation)
        return like(operation, chain.around(name_of(operation), run))

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
    default: Any = ...,
    handle: Handled = Exception,
    bus: EventBus = default_bus,
) -> Any: ...
async def call_with_fallback(
    primary: Callable[..., Any],
    *fallbacks: Callable[..., Any],
    args: tuple[Any, ...] = (),
    default: Any = NOTHING,
    handle: Handled = Exception,
    bus: EventBus = default_bus,
) -> Any:
    """Call ``primary`` with ``args``, and each of ``fallbacks`` where those before it failed.

    Raises:
        ExceptionGroup: none succeeded, and there is no ``default``; the members are the exceptions,
            in order.
        InvalidConfigError: no fallback is given, or ``handle`` is none of its kinds.
        TypeError: one of them can't be called.
    """
    chain = Chain(fallbacks, default, handle, bus, default_classifier)
    return await chain.around(name_of(primary), as_coroutine_function(primary))(*args)


class Chain:
    """What answers in a function's place, in order."""

    __slots__ = ("_bus", "_classifier", "_default", "_followers", "_kinds", "_types")

    def __init__(
        self,
        fallbacks: tuple[Callable[..., Any] | LastGood, ...],
        default: object,
        handle: object,
        bus: EventBus,
        classifier: Classifier,
    ) -> None:
        self._followers = tuple(
            (type(each).__name__, each)
            if isinstance(each, LastGood)
            else (name_of(each), as_coroutine_function(each))
            for each in fallbacks
        )
        if not self._followers and default is NOTHING:
            raise InvalidConfigError(
                "fallback(): must be given at least one function, a LastGood or a default"
            )
        self._default, self._bus, self._classifier = default, bus, classifier
        self._types, self._kinds = _handled(handle)

    def around(self, name: str, primary: AsyncOperation) -> AsyncOperation:
        """The coroutine function that tries ``primary``, then each follower."""
        followers: list[tuple[str, AsyncOperation | Memory]] = [
            (called, Memory(each) if isinstance(each, LastGood) else each)
            for called, each in self._followers
        ]
        memories = [each for _, each in followers if isinstance(each, Memory)]

        async def falling_back(*args: Any, **kwargs: Any) -> Any:
            try:
                result = await primary(*args, **kwargs)
            except Exception as error:
                if not self._handles(error):
                    raise
                failed = [error]
            else:
                for memory in memories:
                    memory.remember(args, kwargs, result)
                return result
            try:
                return await self._follow(name, followers, failed, args, kwargs)
            finally:
                # The failures hold this frame; without the list they are freed at once.
                failed.clear()

        return falling_back

    async def _follow(
        self,
        name: str,
        followers: "list[tuple[str, AsyncOperation | Memory]]",
        failed: list[Exception],
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
    ) -> Any:
        for position, (called, follower) in enumerate(followers, 1):
            if isinstance(follower, Memory):
                found = follower.recall(args, kwargs)
                if found is None:
                    continue
                result = found[0]
            else:
                try:
                    result = await follower(*args, **kwargs)
                except Exception as error:
                    if not self._handles(error):
                        raise
                    failed.append(error)
                    continue
            self._tell(name, called, position)
            return result
        if self._default is not NOTHING:
            self._tell(name, "default", len(followers) + 1)
            return self._default
        raise ExceptionGroup(f"{name} and its fallbacks failed", failed)

    def _handles(self, error: Exception) -> bool:
        if isinstance(error, self._types):
            return True
        return bool(self._kinds) and self._classifier.classify(error) in self._kinds

    def _tell(self, name: str, called: str, position: int) -> None:
        if self._bus.listeners:
            self._bus.emit(FallbackUsed(operation=name, fallback=called, position=position))


def _handled(handle: object) -> tuple[tuple[type[Exception], ...], frozenset[ErrorType]]:
    types: list[type[Exception]] = []
    kinds: list[ErrorType] = []
    for each in handle if isinstance(handle, tuple) else (handle,):
        if isinstance(each, ErrorType):
            kinds.append(each)
        elif isinstance(each, type) and issubclass(each, Exception):
            types.append(each)
        else:
            raise InvalidConfigError(
                f"handle={each!r}: must be an Exception type or an ErrorType;"
                " cancellation is always passed on"
            )
    return tuple(types), frozenset(kinds)
