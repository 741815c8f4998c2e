"""``timeout``: a call that takes too long is cancelled."""

from collections.abc import Awaitable, Callable, Coroutine
from typing import Any, ParamSpec, TypeVar, overload

from seawall.config import Range
from seawall.operation import AsyncOperation, as_coroutine_function, like, name_of
from seawall.timer import limited

P = ParamSpec("P")
R = TypeVar("R")

_SECONDS = Range(float, low_open=True)


class Timeout:
    """What ``timeout`` gives: a decorator, and ``call``. May be shared between all tasks."""

    __slots__ = ("seconds",)

    def __init__(self, seconds: float) -> None:
        _SECONDS.check("seconds", seconds)
        self.seconds = seconds

    @overload
    def __call__(
        self, operation: Callable[P, Awaitable[R]], /
    ) -> Callable[P, Coroutine[Any, Any, R]]: ...
    @overload
    def __call__(self, operation: Callable[P, R], /) -> Callable[P, Coroutine[Any, Any, R]]: ...
    def __call__(self, operation: Callable[..., Any], /) -> Callable[..., Any]:
        return like(operation, self.guard(as_coroutine_function(operation), name_of(operation)))

    @overload
    async def call(
        self, operation: Callable[P, Awaitable[R]], /, *args: P.args, **kwargs: P.kwargs
    ) -> R: ...
    @overload
    async def call(self, operation: Callable[P, R], /, *args: P.args, **kwargs: P.kwargs) -> R: ...
    async def call(self, operation: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Any:
        """Call ``operation`` with the time limit.

        Raises:
            AttemptTimeoutError: it took longer.
        """
        run = as_coroutine_function(operation)
        return await self.guard(run, name_of(operation))(*args, **kwargs)

    def guard(self, operation: AsyncOperation, name: str) -> AsyncOperation:
        """The coroutine function that calls ``operation`` with the time limit."""
        return limited(operation, self.seconds, name)


def timeout(seconds: float) -> Timeout:
    """A limit to the time of each call, as a decorator or through its ``call``.

    The call is cancelled and ``AttemptTimeoutError`` (a ``TimeoutError``) raised. A plain function
    runs in a worker thread, which can't be cancelled: the caller goes on, the thread ends alone.

    Raises:
        InvalidConfigError: ``seconds`` is not a number above 0.
    """
    return Timeout(seconds)
