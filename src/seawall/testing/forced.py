"""``force``: a circuit breaker in the state that a test needs."""

import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from seawall.circuitbreaker import CircuitBreaker, CircuitState
from seawall.config import Range
from seawall.errors import InvalidConfigError

_SECONDS = Range(float, low_open=True)


@contextmanager
def force(
    target: CircuitBreaker | Callable[..., Any],
    state: CircuitState,
    *,
    seconds: float | None = None,
) -> Iterator[CircuitBreaker]:
    """Put a breaker in ``state`` within the block; after it, it is as it was before.

    It goes on from there by its own rules: in HALF_OPEN the next call is a trial, and OPEN ends
    after its time. What calls of the block have counted is forgotten; the fleet hears of nothing.

    Args:
        target: a breaker, or a function that is decorated with one.
        state: the state to be in.
        seconds: how long OPEN lasts; None: the breaker's ``timeout``.

    Returns:
        a context manager that gives the breaker.

    Raises:
        InvalidConfigError: the function has no breaker, or ``seconds`` is not above 0.
    """
    breaker = _breaker_of(target)
    if seconds is not None:
        _SECONDS.check("seconds", seconds)
    machine, link, before = breaker.machine, breaker.link, breaker.state
    reason = breaker.snapshot().reason
    kept = {name: getattr(machine, name) for name in type(machine).__slots__}
    lasting = breaker.options.timeout if seconds is None else seconds
    breaker.link = None
    breaker.follow(CircuitState(state), lasting, "forced by a test")
    try:
        yield breaker
    finally:
        breaker.follow(before, lasting, reason or "a test has ended")  # listeners hear of it
        # A new epoch: a call of the block that ends later decides nothing, nor does a trial from
        # before it, whose permit is free therefore.
        kept |= {"epoch": machine.epoch + 1, "_trials": 0, "_trial_until": math.inf}
        for name, value in kept.items():
            setattr(machine, name, value)
        if machine.window is not None:
            machine.window.epoch = machine.epoch
        breaker.link = link


def _breaker_of(target: object) -> CircuitBreaker:
    breaker = getattr(target, "circuit_breaker", target)
    if not isinstance(breaker, CircuitBreaker):
        raise InvalidConfigError(
            f"target={target!r}: must be a CircuitBreaker, or a function decorated with one"
        )
    return breaker
