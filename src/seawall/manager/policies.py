"""The front door's policies."""

from collections.abc import Callable, Sequence
from typing import Any, ParamSpec, TypeVar

from seawall.circuitbreaker import CircuitBreaker, CircuitState
from seawall.classification import ErrorType, Explanation, Outcome, should_retry
from seawall.fallback import call_with_fallback
from seawall.manager.base import Base
from seawall.pipeline import Policy
from seawall.ratelimiter import RateLimiter
from seawall.retry import RetryBudget, call, retry

P = ParamSpec("P")
T = TypeVar("T")


class PolicyMethods(Base):
    """Retry, breakers and their companions, with the config's defaults."""

    async def execute_with_retry(
        self, operation: Callable[..., Any], *args: Any, **options: Any
    ) -> Any:
        """Call ``operation(*args)`` under the retry policy; its result, or its last exception.

        Options are those of ``retry``; the manager's config gives their defaults. Keyword
        arguments for the operation go in with ``functools.partial``.
        """
        return await call(self._policy(options), operation, *args)

    def retry_on_failure(self, **options: Any) -> Callable[[Callable[P, Any]], Callable[P, Any]]:
        """``execute_with_retry`` as a decorator."""
        return retry(**self._options(options))

    async def implement_circuit_breaker(
        self, operation: Callable[..., Any], *args: Any, service_name: str, **options: Any
    ) -> Any:
        """Call ``operation(*args)`` through the named breaker.

        Raises:
            CircuitOpenError: the breaker is open.
        """
        return await self._breaker(service_name, options).call(operation, *args)

    def circuit_breaker(self, service_name: str, **options: Any) -> CircuitBreaker:
        """The named breaker: a decorator, and ``async with breaker:``, and ``breaker.call``.

        While the manager is started it is shared by every worker on the same database, unless
        made with ``scope="local"``. Options are those of ``BreakerOptions``.

        Raises:
            InvalidConfigError: the breaker exists with other options, or one is out of range.
        """
        return self._breaker(service_name, options)

    async def force_circuit_breaker(
        self,
        service_name: str,
        state: CircuitState,
        *,
        reason: str,
        seconds: float = 300.0,
        actor: str | None = None,
    ) -> None:
        """Take the whole fleet's breaker to ``state``, whatever it was; written to ``audit_log``.

        Args:
            service_name: the breaker; no worker need have it yet.
            state: FORCED_OPEN and DISABLED stay until the next ``force_circuit_breaker``; CLOSED
                and OPEN go on by the rules; METRICS_ONLY counts and lets all calls through.
            reason: who and why, for those who look at it.
            seconds: how long OPEN lasts.
            actor: who does it; this worker's host and process id without it.
        """
        await self._services.force_circuit_breaker(service_name, state, seconds, reason, actor)

    def rate_limiter(self, name: str, **options: Any) -> RateLimiter:
        """A rate limiter whose tokens are the whole fleet's while the manager is started.

        Options are those of ``RateLimiter``; every worker gives the same.
        """
        limiter = RateLimiter(name, bus=self.bus, **options)
        self._services.share(limiter)
        return limiter

    def retry_budget(self, name: str, **options: Any) -> RetryBudget:
        """A retry budget whose tokens are the whole fleet's while the manager is started.

        Options are those of ``RetryBudget``; every worker gives the same.
        """
        budget = RetryBudget(name, **options)
        self._services.share(budget)
        return budget

    def policy(self, name: str) -> Policy:
        """The policy that the config's ``policies`` (or ``manager.policies.add``) names.

        Raises:
            InvalidConfigError: there is none of that name.
        """
        return self.policies.get(name)

    async def implement_fallback_strategy(
        self, primary: Callable[..., Any], *fallbacks: Callable[..., Any], **options: Any
    ) -> Any:
        """The first of ``primary`` and ``fallbacks`` that succeeds, in order.

        Raises:
            ExceptionGroup: none does; it holds the exception of each.
        """
        return await call_with_fallback(primary, *fallbacks, bus=self.bus, **options)

    def classify_error(self, exc: BaseException) -> ErrorType:
        """What kind of failure ``exc`` is."""
        return self.classifier.classify(exc)

    def explain_error(self, exc: BaseException, operation: str | None = None) -> Explanation:
        """What kind of failure ``exc`` is, which layer decided and on what."""
        return self.classifier.explain(exc, operation)

    async def learned_classifications(self) -> Sequence[Outcome]:
        """What retries have shown, in the whole fleet, of failures that no table knows.

        The most frequent first; ``verdict`` is None where the counts don't say enough yet.
        """
        return await self._services.learner.known()

    async def reset_learned_classifications(
        self, operation: str | None = None, fingerprint: str | None = None
    ) -> int:
        """Forget what retries have shown; how many rows of ``learned_outcomes`` there were.

        Args:
            operation: of this one only.
            fingerprint: of this failure only, ``Outcome.fingerprint.key``.
        """
        return await self._services.learner.forget(operation, fingerprint)

    def should_retry(self, error_type: ErrorType, retry_count: int) -> bool:
        """Whether the decision matrix allows another retry after ``retry_count`` of them."""
        return should_retry(error_type, retry_count, self.config.max_retries)
