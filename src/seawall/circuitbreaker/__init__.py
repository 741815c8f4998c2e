"""Leaving a failing service alone until it recovers."""

from seawall.circuitbreaker.breaker import CircuitBreaker
from seawall.circuitbreaker.options import BreakerKeywords, BreakerOptions
from seawall.circuitbreaker.registry import BreakerRegistry
from seawall.circuitbreaker.snapshot import BreakerSnapshot
from seawall.circuitbreaker.state import CircuitState

__all__ = [
    "BreakerKeywords",
    "BreakerOptions",
    "BreakerRegistry",
    "BreakerSnapshot",
    "CircuitBreaker",
    "CircuitState",
]
