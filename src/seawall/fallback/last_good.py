"""The last good value: what a call gave when it last succeeded."""

from collections import OrderedDict
from collections.abc import Callable
from functools import partial
from types import FunctionType
from typing import Any

from seawall.clock import SYSTEM_CLOCK, Clock
from seawall.config import Range


class LastGood:
    """A fallback to what the same call gave when it last succeeded.

    A call is known by its function and its arguments; one whose arguments can't be hashed is not
    remembered. Only the function's own results are, never those of another fallback. They are the
    objects themselves: don't change them. May be shared by functions, which never see each other's
    values, and by the tasks of one event loop.

    Args:
        max_age: seconds after which a value is too old to be given.
        max_entries: calls that are remembered; the one that was used longest ago is forgotten.
        clock: measures the age.

    Raises:
        InvalidConfigError: an option is out of range.
    """

    __slots__ = ("_clock", "_results", "max_age", "max_entries")

    def __init__(
        self, max_age: float, *, max_entries: int = 128, clock: Clock = SYSTEM_CLOCK
    ) -> None:
        Range(float, low_open=True).check("max_age", max_age)
        Range(int, 1).check("max_entries", max_entries)
        self.max_age, self.max_entries, self._clock = max_age, max_entries, clock
        self._results: OrderedDict[object, tuple[float, Any]] = OrderedDict()

    def remember(
        self, owner: object, args: tuple[Any, ...], kwargs: dict[str, Any], result: object
    ) -> None:
        """Keep the result of a call that succeeded."""
        key = _key(owner, args, kwargs)
        try:
            self._results[key] = (self._clock.monotonic(), result)
        except TypeError:  # an argument can't be hashed
            return
        self._results.move_to_end(key)
        if len(self._results) > self.max_entries:
            self._results.popitem(last=False)

    def recall(
        self, owner: object, args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> tuple[Any] | None:
        """The result of the same call, in a tuple; None where there is none that is fresh."""
        key = _key(owner, args, kwargs)
        try:
            found = self._results.get(key)
        except TypeError:
            return None
        if found is None:
            return None
        if self._clock.monotonic() - found[0] > self.max_age:
            del self._results[key]
            return None
        self._results.move_to_end(key)
        return (found[1],)


def owner_of(operation: Callable[..., Any]) -> object:
    """What stays the same where a function is wrapped, or made a partial of, anew for each call."""
    while isinstance(operation, FunctionType) and hasattr(operation, "__wrapped__"):
        operation = operation.__wrapped__
    if isinstance(operation, partial):
        return _key(owner_of(operation.func), operation.args, operation.keywords)
    return operation


def _key(owner: object, args: tuple[Any, ...], kwargs: dict[str, Any]) -> object:
    return (owner, args, tuple(sorted(kwargs.items()))) if kwargs else (owner, args)
