"""Policies by name, so that configuration and people can refer to them."""

import difflib
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from seawall.bulkhead import AIMD, Bulkhead, Gradient
from seawall.circuitbreaker import BreakerRegistry, CircuitBreaker
from seawall.errors import InvalidConfigError
from seawall.events import EventBus, default_bus
from seawall.hedge import hedge
from seawall.pipeline import Policy
from seawall.ratelimiter import RateLimiter
from seawall.retry import RetryPolicy

_LIMITS = {"aimd": AIMD, "gradient": Gradient}
_PLAIN = ("deadline", "timeout")


class PolicyRegistry:
    """Named policies. May be shared between all tasks of one event loop.

    Args:
        breakers: makes the breakers that configuration asks for.
        retry: makes the retries that configuration asks for, over the defaults.
        bus: given to what is made.
    """

    def __init__(
        self,
        *,
        breakers: BreakerRegistry | None = None,
        retry: Callable[[Mapping[str, Any]], RetryPolicy] | None = None,
        bus: EventBus = default_bus,
    ) -> None:
        self._breakers = BreakerRegistry(bus=bus) if breakers is None else breakers
        self._retry = retry if retry is not None else lambda options: RetryPolicy(**options)
        self._bus = bus
        self._policies: dict[str, Policy] = {}

    def add(self, name: str, policy: Policy) -> Policy:
        """Keep ``policy`` under ``name``.

        Raises:
            InvalidConfigError: the name is taken.
        """
        if name in self._policies:
            raise InvalidConfigError(f"policy {name!r}: exists already; use another name")
        self._policies[name] = policy
        return policy

    def get(self, name: str) -> Policy:
        """The policy of that name.

        Raises:
            InvalidConfigError: there is none; names the nearest.
        """
        policy = self._policies.get(name)
        if policy is None:
            raise InvalidConfigError(f"policy {name!r}: there is none; {_hint(name, self)}")
        return policy

    def configure(self, policies: Mapping[str, Mapping[str, Any]]) -> None:
        """Make policies from plain values.

        ::

            {"billing": {
                "deadline": 30,
                "retry": {"max_retries": 5},
                "breaker": {"failure_threshold": 3},
                "bulkhead": {"max_concurrent_calls": 10, "max_waiting": 50},
                "rate_limiter": {"limit": 100, "period": 60},
                "hedge": {"delay": 0.5},
                "timeout": 5,
            }}

        A breaker, bulkhead or limiter is named as its policy. ``{"limit": "gradient"}`` (or
        ``aimd``) makes a bulkhead adaptive.

        Raises:
            InvalidConfigError: a key is unknown, or a value out of range; names the policy.
        """
        for name, parts in policies.items():
            try:
                self.add(name, self._made(name, parts))
            except (InvalidConfigError, TypeError) as error:
                raise InvalidConfigError(f"policy {name!r}: {error}") from None

    def __iter__(self) -> Iterator[str]:
        return iter(tuple(self._policies))

    def __len__(self) -> int:
        return len(self._policies)

    def _made(self, name: str, parts: object) -> Policy:
        if not isinstance(parts, Mapping):
            raise InvalidConfigError(f"{parts!r}: must be a mapping of its parts")
        made: dict[str, Any] = {}
        makers: dict[str, Callable[[dict[str, Any]], object]] = {
            "retry": lambda options: self._retry({"name": None, **options}),
            "breaker": lambda options: self._breaker(name, options),
            "bulkhead": lambda options: self._bulkhead(name, options),
            "rate_limiter": lambda options: RateLimiter(name, bus=self._bus, **options),
            "hedge": lambda options: hedge(bus=self._bus, **options),
        }
        for part, value in parts.items():
            if part in _PLAIN:
                made[part] = value
            elif part not in makers:
                raise InvalidConfigError(
                    f"unknown part {part!r}; {_hint(part, [*makers, *_PLAIN])}"
                )
            elif not isinstance(value, Mapping):
                raise InvalidConfigError(f"{part}={value!r}: must be a mapping of its options")
            else:
                made[part] = makers[part](dict(value))
        return Policy(name=name, **made)

    def _breaker(self, name: str, options: dict[str, Any]) -> CircuitBreaker:
        return self._breakers.get(options.pop("service_name", name), **options)

    def _bulkhead(self, name: str, options: dict[str, Any]) -> Bulkhead:
        rule = options.pop("limit", None)
        if rule is not None:
            if rule not in _LIMITS:
                raise InvalidConfigError(f"limit={rule!r}: must be one of {', '.join(_LIMITS)}")
            options["limit"] = _LIMITS[rule]()
        return Bulkhead(name, bus=self._bus, **options)


def _hint(name: str, known: Any) -> str:
    names = list(known)
    near = difflib.get_close_matches(str(name), names, 1)
    return f"did you mean {near[0]!r}?" if near else f"there are: {', '.join(names) or 'none'}"
