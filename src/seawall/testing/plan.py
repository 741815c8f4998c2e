"""What an injection does to each call, decided from its seed, and the record of it."""

import random
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any, NamedTuple

from seawall.config import Range
from seawall.errors import InvalidConfigError
from seawall.testing.script import Fault, Make, Step, maker_of, steps_of

_RATE = Range(float, 0, 1)
_SECONDS = Range(float)

Latency = float | tuple[float, float]


@dataclass(frozen=True, slots=True)
class InjectedCall:
    """One call that went through an injection.

    Attributes:
        number: which call it was, from 1.
        args: its positional arguments, without the object of a method.
        kwargs: its keyword arguments.
        latency: seconds that were added.
        error: the name of the injected exception's type; None where the operation had its way.
    """

    number: int
    args: tuple[Any, ...]
    kwargs: dict[str, Any]
    latency: float
    error: str | None


class Fate(NamedTuple):
    """What one call is to meet."""

    latency: float
    error: BaseException | None


class Injection:
    """The faults of one operation. Calls are numbered as they begin, so that a seed decides all.

    Attributes:
        calls: what was done to each call so far.
    """

    __slots__ = ("_faults", "_latency", "_random", "_rate", "_steps", "after_call", "calls")

    def __init__(
        self,
        *,
        latency: Latency,
        errors: Iterable[Fault],
        rate: float | None,
        script: str | Iterable[str | Fault | None] | None,
        seed: int,
        after_call: bool,
    ) -> None:
        errors = tuple(errors)
        if rate is not None:
            _RATE.check("rate", rate)
        if script is not None and rate is not None:
            raise InvalidConfigError("inject(): a script says which calls fail; leave rate out")
        if rate is not None and not errors:
            raise InvalidConfigError(f"inject(): rate={rate!r} needs errors= to choose from")
        self._latency = _range(latency)
        self._faults: list[Make] = [maker_of(each) for each in errors]
        self._rate = (1.0 if errors else 0.0) if rate is None else rate
        self._steps: Iterator[Step] | None = None
        if script is not None:
            self._steps = iter(steps_of(script, errors))
        # Chance is wanted to be the same each time.
        self._random = random.Random(seed)  # noqa: S311
        self.after_call = after_call
        self.calls: list[InjectedCall] = []

    @property
    def count(self) -> int:
        """Calls so far."""
        return len(self.calls)

    @property
    def failed_count(self) -> int:
        """Calls so far that were made to fail."""
        return sum(call.error is not None for call in self.calls)

    def begin(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Fate:
        """Decide over one more call, and note it."""
        # As many draws for each call, so that its fate hangs on its number alone.
        low, high = self._latency
        latency = self._random.uniform(low, high)
        chance, choice = self._random.random(), self._random.random()
        make: Make | None = None
        if self._steps is not None:
            step = next(self._steps, Step())
            make = step.make
            latency = latency if step.seconds is None else step.seconds
        elif chance < self._rate:
            make = self._faults[int(choice * len(self._faults))]
        error = None if make is None else make()
        name = None if error is None else type(error).__qualname__
        self.calls.append(InjectedCall(len(self.calls) + 1, args, kwargs, latency, name))
        return Fate(latency, error)


def _range(latency: Latency) -> tuple[float, float]:
    least_most = latency if isinstance(latency, tuple) else (latency, latency)
    for each in least_most:
        _SECONDS.check("latency", each)
    low, high = least_most[0], least_most[-1]
    if low > high:
        raise InvalidConfigError(f"latency={latency!r}: must be (least, most) seconds")
    return float(low), float(high)
