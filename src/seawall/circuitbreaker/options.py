"""The options of a circuit breaker, checked when they are built."""

from dataclasses import dataclass
from typing import TypedDict

from seawall.circuitbreaker.window import ConsecutiveWindow, CountWindow, Window
from seawall.config import Range
from seawall.errors import InvalidConfigError


class BreakerKeywords(TypedDict, total=False):
    """The options of ``BreakerOptions`` as keywords; their meaning stands there."""

    failure_threshold: int
    failure_rate_threshold: float | None
    sliding_window: int
    minimum_calls: int
    timeout: float
    permitted_calls: int
    ignored: tuple[type[Exception], ...]


_RANGES = {
    "failure_threshold": Range(int, 1),
    "failure_rate_threshold": Range(float, 0, 100, low_open=True),
    "sliding_window": Range(int, 1),
    "minimum_calls": Range(int, 1),
    "timeout": Range(float, low_open=True),
    "permitted_calls": Range(int, 1),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class BreakerOptions:
    """When a breaker opens, for how long, and how it tries again.

    Attributes:
        failure_threshold: failures in a row that open it, where no rate is given.
        failure_rate_threshold: percent (above 0, to 100) of failed calls among the last
            ``sliding_window`` that opens it, in place of ``failure_threshold``. Evaluated on each
            failure.
        sliding_window: calls that the rate looks back over.
        minimum_calls: calls before the rate is looked at.
        timeout: seconds that it stays open.
        permitted_calls: trial calls under way at once in half-open. One that succeeds closes the
            breaker, one that fails opens it again.
        ignored: exception types that count neither as failure nor as success.

    Raises:
        InvalidConfigError: an option is out of range, or the rule could never open the breaker.
    """

    failure_threshold: int = 5
    failure_rate_threshold: float | None = None
    sliding_window: int = 100
    minimum_calls: int = 20
    timeout: float = 300.0
    permitted_calls: int = 1
    ignored: tuple[type[Exception], ...] = ()

    def __post_init__(self) -> None:
        for name, allowed in _RANGES.items():
            value = getattr(self, name)
            if value is not None or name != "failure_rate_threshold":
                allowed.check(name, value)
        if self.failure_rate_threshold is not None and self.minimum_calls > self.sliding_window:
            raise InvalidConfigError(
                f"minimum_calls={self.minimum_calls!r}: must not pass"
                f" sliding_window={self.sliding_window!r}, or the breaker could never open"
            )
        ignored: object = self.ignored
        types = ignored if isinstance(ignored, tuple) else (ignored,)
        for each in types:
            if not (isinstance(each, type) and issubclass(each, Exception)):
                raise InvalidConfigError(f"ignored={each!r}: must be Exception types")
        object.__setattr__(self, "ignored", types)

    def new_window(self, epoch: int) -> Window:
        """An empty record of closed calls."""
        if self.failure_rate_threshold is None:
            return ConsecutiveWindow(epoch, self.failure_threshold)
        return CountWindow(
            epoch, self.sliding_window, self.minimum_calls, self.failure_rate_threshold
        )
