"""``retry_on``: exception types, a predicate or a tenacity object, made one question."""

from collections.abc import Awaitable, Callable
from typing import Any

from seawall.errors import InvalidConfigError, RefusedError, SeawallError
from seawall.operation import is_async

RetryOn = (
    type[BaseException]
    | tuple[type[BaseException], ...]
    | Callable[[Any], bool]
    | Callable[[Any], Awaitable[bool]]
)
Matcher = Callable[[Exception], bool]


def is_tenacity_object(value: object) -> bool:
    """Whether its class or a base of it is tenacity's; tenacity need not be imported to know."""
    return any(base.__module__.partition(".")[0] == "tenacity" for base in type(value).__mro__)


def matcher_of(retry_on: object) -> Matcher | None:
    """The question that ``retry_on`` asks of an exception; None where there is none.

    A group is retried where every member is.

    Raises:
        InvalidConfigError: it is no exception type, tuple of them or function of an exception.
    """
    if retry_on is None or is_tenacity_object(retry_on):
        return None
    if isinstance(retry_on, type | tuple):
        return _by_types(retry_on if isinstance(retry_on, tuple) else (retry_on,))
    if not callable(retry_on):
        raise InvalidConfigError(
            f"retry_on={retry_on!r}: must be an exception type, a tuple of them,"
            " a function of an exception or a tenacity retry object"
        )
    if is_async(retry_on):
        raise InvalidConfigError(
            f"retry_on={retry_on!r}: must be a plain function;"
            " an async one goes in as tenacity.asyncio.retry_if_exception"
        )
    return _by_predicate(retry_on)


def _by_types(types: tuple[object, ...]) -> Matcher:
    chosen: list[type[Exception]] = []
    for each in types:
        if not (isinstance(each, type) and issubclass(each, Exception)):
            raise InvalidConfigError(
                f"retry_on={each!r}: must be an Exception type; cancellation and exits"
                " are never retried"
            )
        chosen.append(each)
    known = tuple(chosen)
    # A refusal is retried only where it is named: not by a plain `retry_on=Exception`.
    named = tuple(each for each in known if issubclass(each, SeawallError))
    groups = tuple(each for each in known if issubclass(each, ExceptionGroup))

    def matches(error: Exception) -> bool:
        if isinstance(error, ExceptionGroup):
            if isinstance(error, groups):
                return True
            return all(map(matches, error.exceptions))
        return isinstance(error, named if isinstance(error, RefusedError) else known)

    return matches


def _by_predicate(predicate: Callable[[Exception], object]) -> Matcher:
    def matches(error: Exception) -> bool:
        if predicate(error):
            return True
        return isinstance(error, ExceptionGroup) and all(map(matches, error.exceptions))

    return matches
