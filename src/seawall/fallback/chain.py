"""The first of several operations that succeeds."""

from collections.abc import Awaitable, Callable, Coroutine
from typing import Any, ParamSpec, Protocol, TypeVar, overload

from seawall.classification import Classifier, default_classifier
from seawall.compiled import compiled
from seawall.errors import InvalidConfigError
from seawall.events import EventBus, FallbackExhausted, FallbackUsed, default_bus
from seawall.fallback.handling import Handled, Handling
from seawall.fallback.last_good import LastGood, owner_of
from seawall.operation import AsyncOperation, as_coroutine_function, like, name_of

P = ParamSpec("P")
R = TypeVar("R")
S_co = TypeVar("S_co", covariant=True)
T = TypeVar("T")

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

    Functions get the function's own arguments. Every failure of whatever kind leads to the next,
    unless ``handle`` says otherwise: bad data may be good elsewhere. Put several on one function
    for different kinds of failure: each handles what its ``handle`` names. Cancellation is passed
    on at once.

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
        return like(operation, chain.around(operation))

    return decorate


@overload
async def call_with_fallback(
    primary: Callable[..., Awaitable[R]],
    *fallbacks: Callable[..., Awaitable[T]] | LastGood,
    args: tuple[Any, ...] = (),
    handle: Handled = Exception,
    bus: EventBus = default_bus,
) -> R | T: ...
@overload
async def call_with_fallback(
    primary: Callable[..., Any],
    *fallbacks: Callable[..., Any] | LastGood,
    args: tuple[Any, ...] = (),
    default: Any = ...,
    handle: Handled = Exception,
    bus: EventBus = default_bus,
) -> Any: ...
async def call_with_fallback(
    primary: Callable[..., Any],
    *fallbacks: Callable[..., Any] | LastGood,
    args: tuple[Any, ...] = (),
    default: Any = NOTHING,
    handle: Handled = Exception,
    bus: EventBus = default_bus,
) -> Any:
    """Call ``primary`` with ``args``, and each of ``fallbacks`` where those before it failed.

    A ``LastGood`` must be one that is kept, and given to each call.

    Raises:
        ExceptionGroup: none succeeded, and there is no ``default``; the members are the exceptions,
            in order.
        InvalidConfigError: no fallback is given, or ``handle`` is none of its kinds.
        TypeError: one of them can't be called.
    """
    chain = Chain(fallbacks, default, handle, bus, default_classifier)
    return await chain.call(primary, args)


class Chain:
    """What answers in a function's place, in order."""

    __slots__ = ("_bus", "_classifier", "_default", "_followers", "_handles", "_memories")

    def __init__(
        self,
        fallbacks: tuple[Callable[..., Any] | LastGood, ...],
        default: object,
        handle: object,
        bus: EventBus,
        classifier: Classifier,
    ) -> None:
        self._followers: tuple[tuple[str, AsyncOperation | LastGood], ...] = tuple(
            ("the last good value", each)
            if isinstance(each, LastGood)
            else (name_of(each), as_coroutine_function(each))
            for each in fallbacks
        )
        if not self._followers and default is NOTHING:
            raise InvalidConfigError(
                "fallback(): must be given at least one function, a LastGood or a default"
            )
        self._memories = tuple(each for each in fallbacks if isinstance(each, LastGood))
        self._default, self._bus, self._classifier = default, bus, classifier
        self._handles = Handling(handle, classifier).handles

    def around(self, operation: Callable[..., Any]) -> AsyncOperation:
        """The coroutine function that tries ``operation``, then each follower."""
        return compiled(
            _REMEMBERING if self._memories else _PLAIN,
            as_coroutine_function(operation),
            handles=self._handles,
            follow=self._follow,
            remember=self._remember,
            name=name_of(operation),
            owner=owner_of(operation),
        )

    async def call(self, operation: Callable[..., Any], args: tuple[Any, ...]) -> Any:
        """Try ``operation`` once, then each follower: what ``around`` compiles."""
        owner = owner_of(operation)
        run = as_coroutine_function(operation)
        try:
            result = await run(*args)
        except Exception as error:
            if not self._handles(error):
                raise
            failed = [error]
        else:
            self._remember(owner, result, args, {})
            return result
        return await self._follow(name_of(operation), owner, failed, args, {})

    def _remember(
        self, owner: object, result: object, args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> None:
        for memory in self._memories:
            memory.remember(owner, args, kwargs, result)

    async def _follow(
        self,
        name: str,
        owner: object,
        failed: list[Exception],
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
    ) -> Any:
        try:
            for position, (called, follower) in enumerate(self._followers, 1):
                if isinstance(follower, LastGood):
                    found = follower.recall(owner, args, kwargs)
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
                self._tell(name, called, position, failed[0])
                return result
            if self._default is not NOTHING:
                self._tell(name, "default", len(self._followers) + 1, failed[0])
                return self._default
            if self._bus.listeners:
                kind = self._classifier.classify(failed[0])
                self._bus.emit(
                    FallbackExhausted(
                        operation=name, fallbacks=len(self._followers), error_type=kind
                    )
                )
            raise ExceptionGroup(f"{name} and its fallbacks failed", failed)
        finally:
            # The failures hold this frame; without the list they are freed at once.
            failed.clear()

    def _tell(self, name: str, called: str, position: int, error: Exception) -> None:
        if self._bus.listeners:
            kind = self._classifier.classify(error)
            self._bus.emit(
                FallbackUsed(operation=name, fallback=called, position=position, error_type=kind)
            )


_PLAIN = """
async def falling_back($params):
    try:
        return await operation($passed)
    except Exception as error:
        if not handles(error):
            raise
        failed = [error]
    return await follow(name, owner, failed, $packed)
"""

# The answers of fallbacks are not remembered: an old value must not become young again.
_REMEMBERING = """
async def falling_back($params):
    try:
        result = await operation($passed)
    except Exception as error:
        if not handles(error):
            raise
        failed = [error]
    else:
        remember(owner, result, $packed)
        return result
    return await follow(name, owner, failed, $packed)
"""
