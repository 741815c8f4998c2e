"""RetryBudget: how many retries a service may get, so that retries never make an outage worse."""

import threading

import msgspec

from seawall.config import Range
from seawall.errors import InvalidConfigError, RetryBudgetExhaustedError
from seawall.slices import FleetShares, TokenAnswer, TokenRequest

_RANGES = {"capacity": Range(float, 1), "ratio": Range(float, low_open=True)}

_ROUNDING = 1e-9  # ten tenths are a whole


class RetryBudget:
    """A token bucket of one service's retries: a retry takes a token, a success gives a part back.

    While the service is well the bucket is full. When it fails, retries use the bucket up and
    stop; first attempts go on, and their successes fill it again: at ``ratio=0.1`` a service that
    fails all the time gets no more than ``capacity`` retries, and one that recovers gets a retry
    for every tenth success (as in gRPC's retry throttling, A6, and Finagle's retry budgets).

    May be shared between all policies and tasks of an event loop; a policy given the budget's name
    finds it by ``RetryBudget.of``.

    Args:
        name: the service.
        capacity: tokens at the start and at the most.
        ratio: tokens that a success gives back.

    Attributes:
        tokens: what is left.

    Raises:
        InvalidConfigError: an option is out of range.
    """

    __slots__ = ("_asked_at", "_told", "capacity", "name", "ratio", "tokens")

    def __init__(self, name: str, *, capacity: float = 100.0, ratio: float = 0.1) -> None:
        self.name, self.capacity, self.ratio = name, capacity, ratio
        for option, allowed in _RANGES.items():
            allowed.check(option, getattr(self, option))
        self.tokens = float(capacity)
        # In a fleet: what was held at the last exchange, and at the request under way.
        self._told = self._asked_at = float(capacity)

    @classmethod
    def of(
        cls, name: str, *, capacity: float | None = None, ratio: float | None = None
    ) -> "RetryBudget":
        """The process's budget of that name, made where there is none.

        Raises:
            InvalidConfigError: it exists with other options.
        """
        asked = {
            option: value
            for option, value in (("capacity", capacity), ("ratio", ratio))
            if value is not None
        }
        with _lock:
            held = _budgets.get(name)
            if held is None:
                held = _budgets[name] = cls(name, **asked)
        for option, value in asked.items():
            if getattr(held, option) != value:
                raise InvalidConfigError(
                    f"{option}={value!r}: the retry budget {name!r} exists with"
                    f" {option}={getattr(held, option)!r}; use the same, or another name"
                )
        return held

    def try_acquire(self) -> bool:
        """Take a token for one retry; False where none is left."""
        if self.tokens < 1 - _ROUNDING:
            return False
        self.tokens -= 1
        return True

    def acquire_permission(self) -> None:
        """Take a token for one retry.

        Raises:
            RetryBudgetExhaustedError: none is left.
        """
        if not self.try_acquire():
            raise RetryBudgetExhaustedError(self.name, None)

    def on_success(self) -> None:
        """A call succeeded: give a part of a token back."""
        if self.tokens < self.capacity:
            self.tokens = min(self.capacity, self.tokens + self.ratio)

    # -- in a fleet ----------------------------------------------------------------------------

    def share(self, shares: FleetShares | None) -> None:  # noqa: ARG002 - one shape for all
        """Take part in the fleet's tokens (which are spent by ``try_acquire`` as its own are)."""
        self._told = self.tokens

    def request(self) -> TokenRequest:
        """What was given back by successes, less what was spent, since the last exchange."""
        self._asked_at = self.tokens
        return TokenRequest(
            kind="retry_budget",
            name=self.name,
            capacity=self.capacity,
            per_second=0.0,
            amount=self.tokens - self._told,
        )

    def take(self, answer: TokenAnswer) -> None:
        """Hold this worker's share of the fleet's tokens, less what was spent meanwhile."""
        spent = self._asked_at - self.tokens
        self._told = answer.granted
        self.tokens = min(self.capacity, max(0.0, answer.granted - spent))

    def give_back(self) -> TokenRequest:
        """The last change."""
        return msgspec.structs.replace(self.request(), leaving=True)

    def go_alone(self) -> None:
        """Go on with what is held; successes fill it as always."""


_budgets: dict[str, RetryBudget] = {}
_lock = threading.Lock()
