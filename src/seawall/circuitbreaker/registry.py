"""Breakers by the service that they guard."""

import dataclasses
from collections.abc import Callable, Iterator
from typing import Literal, Unpack

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
        defaults: options of a new breaker that are not named.

    Attributes:
        share: called with each new breaker whose scope isn't ``local``; set while the worker is in
            a fleet.
    """

    __slots__ = ("_breakers", "_bus", "_classifier", "_clock", "_defaults", "_local", "share")

    def __init__(
        self,
        *,
        classifier: Classifier = default_classifier,
        clock: Clock = SYSTEM_CLOCK,
        bus: EventBus = default_bus,
        defaults: BreakerKeywords | None = None,
    ) -> None:
        self._classifier, self._clock, self._bus = classifier, clock, bus
        self._defaults: BreakerKeywords = {} if defaults is None else defaults
        self._breakers: dict[str, CircuitBreaker] = {}
        self._local: set[str] = set()
        self.share: Callable[[CircuitBreaker], None] | None = None

    def get(
        self,
        service_name: str,
        *,
        scope: Literal["shared", "local"] = "shared",
        **options: Unpack[BreakerKeywords],
    ) -> CircuitBreaker:
        """The service's breaker, made with ``options`` where there is none yet.

        Options that are not named are not compared.

        Args:
            service_name: the service.
            scope: ``shared`` with the fleet while the worker is in one, or ``local``, this
                worker's own.
            **options: those of ``BreakerOptions``.

        Raises:
            InvalidConfigError: it exists with other options, or an option is out of range.
        """
        if scope not in ("shared", "local"):
            raise InvalidConfigError(f"scope={scope!r}: must be 'shared' or 'local'")
        breaker = self._breakers.get(service_name)
        if breaker is None:
            return self._made(service_name, scope, options)
        held = "local" if service_name in self._local else "shared"
        if scope != held:
            raise InvalidConfigError(
                f"scope={scope!r}: the circuit breaker {service_name!r} exists with scope={held!r}"
            )
        asked = dataclasses.replace(breaker.options, **options)
        for name in options:
            value, present = getattr(asked, name), getattr(breaker.options, name)
            if value != present:
                raise InvalidConfigError(
                    f"{name}={value!r}: the circuit breaker {service_name!r} exists"
                    f" with {name}={present!r}; use the same, or another service_name"
                )
        return breaker

    def shared(self) -> list[CircuitBreaker]:
        """Those whose scope isn't ``local``."""
        return [each for each in self if each.name not in self._local]

    def _made(self, service_name: str, scope: str, options: BreakerKeywords) -> CircuitBreaker:
        chosen: BreakerKeywords = {**self._defaults, **options}
        breaker = CircuitBreaker(
            service_name,
            classifier=self._classifier,
            clock=self._clock,
            bus=self._bus,
            **chosen,
        )
        self._breakers[service_name] = breaker
        if scope == "local":
            self._local.add(service_name)
        elif self.share is not None:
            self.share(breaker)
        return breaker

    def __iter__(self) -> Iterator[CircuitBreaker]:
        return iter(tuple(self._breakers.values()))

    def __len__(self) -> int:
        return len(self._breakers)
