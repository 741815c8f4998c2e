"""The last good value: what a call gave when it last succeeded."""

from collections import OrderedDict
from dataclasses import dataclass
from typing import Any

from seawall.clock import SYSTEM_CLOCK, Clock
from seawall.config import Range


@dataclass(frozen=True, slots=True)
class LastGood:
    """A fallback to what the same call gave when it last succeeded.

    Each decorated function remembers its own results, by the call's arguments; a call with
    arguments that can't be hashed is not remembered.

    Args:
        max_age: seconds after which a value is too old to be given.
        max_entries: calls that are remembered; the one that was used longest ago is forgotten.
        clock: measures the age.

    Raises:
        InvalidConfigError: an option is out of range.
    """

    max_age: float
    max_entries: int = 128
    clock: Clock = SYSTEM_CLOCK

    def __post_init__(self) -> None:
        Range(float, low_open=True).check("max_age", self.max_age)
        Range(int, 1).check("max_entries", self.max_entries)


class Memory:
    """The results of one function."""

    __slots__ = ("_results", "_rule")

    def __init__(self, rule: LastGood) -> None:
        self._rule = rule
        self._results: OrderedDict[object, tuple[float, Any]] = OrderedDict()

    def remember(self, args: tuple[Any, ...], kwargs: dict[str, Any], result: object) -> None:
        """Keep the result of a call that succeeded."""
        key = _key(args, kwargs)
        try:
            self._results[key] = (self._rule.clock.monotonic(), result)
        except TypeError:  # an argument can't be hashed
            return
        self._results.move_to_end(key)
        if len(self._results) > self._rule.max_entries:
            self._results.popitem(last=False)

    def recall(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> tuple[Any] | None:
        """The result of the same call, in a tuple; None where there is none that is fresh."""
        key = _key(args, kwargs)
        try:
            found = self._results.get(key)
        except TypeError:
            return None
        if found is None or self._rule.clock.monotonic() - found[0] > self._rule.max_age:
            return None
        self._results.move_to_end(key)
        return (found[1],)


def _key(args: tuple[Any, ...], kwargs: dict[str, Any]) -> object:
    return (args, tuple(sorted(kwargs.items()))) if kwargs else args
