"""The operations that can be parked: their names, and the rules of each."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from seawall.classification import retry_after
from seawall.errors import DeadlineExceededError, InvalidConfigError, ParkedError, RefusedError
from seawall.operation import AsyncOperation, as_coroutine_function
from seawall.redelivery import Redelivery

ParkOn = type[Exception] | tuple[type[Exception], ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Rules(Redelivery):
    """When an operation is parked, for how long, and when it is given up.

    Attributes:
        park_on: exception types that park a call; None: those of a service that may answer later.

    Raises:
        InvalidConfigError: a value is out of range.
    """

    park_on: ParkOn | None = None

    def __post_init__(self) -> None:
        Redelivery.__post_init__(self)  # not super(): slots make the class anew
        types: tuple[object, ...] = _as_tuple(self.park_on)
        for each in types:
            if not (isinstance(each, type) and issubclass(each, Exception)):
                raise InvalidConfigError(
                    f"park_on={each!r}: must be an Exception type; cancellation is always passed on"
                )

    def parks(self, error: Exception) -> bool:
        """Whether the call is parked for this failure.

        One that was parked already is not parked again, as a part of what called it.
        """
        if isinstance(error, ParkedError):
            return False
        if self.park_on is not None:
            return isinstance(error, self.park_on)
        if isinstance(error, DeadlineExceededError):
            return True
        if isinstance(error, RefusedError):
            return error.retry_after is not None
        return error.__dict__.get("seawall_stop_reason") == "deadline"

    def first_wait(self, error: Exception) -> float:
        """Seconds until a call that failed may be taken up."""
        return max(retry_after(error) or 0.0, 0.0) or self.delay


@dataclass(frozen=True, slots=True)
class Operation:
    run: AsyncOperation
    rules: Rules


class Operations:
    """Operations by name; a name is given once."""

    def __init__(self) -> None:
        self._known: dict[str, Operation] = {}

    def check(self, name: str) -> None:
        """Refuse a name that is empty or taken.

        Raises:
            InvalidConfigError: it is.
        """
        if name in self._known or not name:
            raise InvalidConfigError(f"operation {name!r}: must be a name that isn't taken")

    def add(self, name: str, operation: Callable[..., Any], rules: Rules) -> AsyncOperation:
        """Keep the operation under the name; gives its async form.

        Raises:
            InvalidConfigError: the name is taken.
            TypeError: it can't be called.
        """
        self.check(name)
        run = as_coroutine_function(operation)
        self._known[name] = Operation(run, rules)
        return run

    def names(self) -> tuple[str, ...]:
        return tuple(self._known)

    def __getitem__(self, name: str) -> Operation:
        return self._known[name]


def _as_tuple(types: Any) -> tuple[object, ...]:
    if types is None:
        return ()
    return types if isinstance(types, tuple) else (types,)
