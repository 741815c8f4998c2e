"""Breakers by the service that they guard."""

import dataclasses
from collections.abc import Iterator
from typing import Unpack

from seawall.circuitbreaker.breaker import CircuitBreaker
from seawall.circuitbreaker.options import BreakerKeywords
from seawall.classification import Classifier, default_classifier
from seawall.clock import SYSTEM_CLOCK, Clock
from seawall.errors import InvalidConfigError
from seawall.events import EventBus, default_bus


class BreakerRegistry:
    """One breaker a service: whoever names the service shares it.

    May be shared between all tasks of one event loop.

    Args:
        classifier: given to each breaker.
        clock: given to each breaker.
        bus: given to each breaker.
    """

    __slots__ = ("_breakers", "_bus", "_classifier", "_clock")

    def __init__(
        self,
        *,
        classifier: Classifier = default_classifier,
        clock: Clock = SYSTEM_CLOCK,
        bus: EventBus = default_bus,
    ) -> None:
        self._classifier, self._clock, self._bus = classifier, clock, bus
        self._breakers: dict[str, CircuitBreaker] = {}

    def get(self, service_name: str, **options: Unpack[BreakerKeywords]) -> CircuitBreaker:
        """The service's breaker, made with ``options`` where there is none yet.

        Options that are not named are not compared.

        Raises:
            InvalidConfigError: it exists with other options, or an option is out of range.
        """
        breaker = self._breakers.get(service_name)
        if breaker is None:
            breaker = self._breakers[service_name] = CircuitBreaker(
                service_name,
                classifier=self._classifier,
                clock=self._clock,
                bus=self._bus,
                **options,
            )
            return breaker
        asked = dataclasses.replace(breaker.options, **options)
        for name in options:
            value, held = getattr(asked, name), getattr(breaker.options, name)
            if value != held:
                raise InvalidConfigError(
                    f"{name}={value!r}: the circuit breaker {service_name!r} exists"
                    f" with {name}={held!r}; use the same, or another service_name"
                )
        return breaker

    def __iter__(self) -> Iterator[CircuitBreaker]:
        return iter(tuple(self._breakers.values()))

    def __len__(self) -> int:
        return len(self._breakers)
