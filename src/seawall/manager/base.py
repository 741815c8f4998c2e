"""What every part of the front door needs: the services and the defaults."""

from collections.abc import Mapping
from types import TracebackType
from typing import TYPE_CHECKING, Any, ParamSpec, Self, TypeVar

from seawall.budget.guard import BudgetGuard
from seawall.circuitbreaker import BreakerRegistry, CircuitBreaker
from seawall.classification import Classifier
from seawall.config import RecoveryConfig
from seawall.events import EventBus
from seawall.parking import ParkingLot
from seawall.policies import PolicyRegistry
from seawall.postgres.database import Database
from seawall.retry import RetryPolicy
from seawall.services import Services
from seawall.tuning import Tuner

if TYPE_CHECKING:
    import asyncpg

P = ParamSpec("P")
T = TypeVar("T")


class Base:
    """Holds the started services; see ``ErrorRecoveryManager``."""

    def __init__(
        self,
        dsn: "str | asyncpg.Pool[Any] | None" = None,
        *,
        config: RecoveryConfig | Mapping[str, Any] | None = None,
        pipeline_id: str = "default",
        schema: str = "seawall",
        classifier: Classifier | None = None,
    ) -> None:
        self.config = RecoveryConfig.of(config)
        self.pipeline_id = pipeline_id
        self.bus = EventBus()
        # One of its own: what retries show at one site is no business of another manager.
        self.classifier = classifier or Classifier()
        self._tuner = Tuner(pipeline_id, is_on=self.config.auto_tuning == "act")
        self._breakers = BreakerRegistry(
            bus=self.bus,
            classifier=self.classifier,
            defaults={
                "failure_threshold": self.config.circuit_breaker_threshold,
                "timeout": self.config.circuit_breaker_timeout,
            },
        )
        self._guard = BudgetGuard(self.config.on_budget_exhausted, pipeline_id)
        self.policies = PolicyRegistry(breakers=self._breakers, retry=self._policy, bus=self.bus)
        self.policies.configure(self.config.policies)
        self._services = Services(
            dsn,
            self.config,
            pipeline_id,
            schema,
            self.bus,
            self.classifier,
            self._breakers,
            self._guard,
            self._tuner,
        )

    async def start(self) -> Self:
        """Connect to the database, migrate it, and start recording.

        Raises:
            DatabaseUnavailableError, UnsupportedServerError, MigrationError, EmbeddedServerError
        """
        await self._services.start()
        return self

    async def aclose(self) -> None:
        """Write what waits and close what was opened."""
        await self._services.aclose()

    async def __aenter__(self) -> Self:
        return await self.start()

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.aclose()

    @property
    def database(self) -> Database:
        """The database, for queries of your own: ``async with manager.database.acquire()``."""
        return self._services.database

    @property
    def parking(self) -> ParkingLot:
        """Calls put aside in the database until their service can take them."""
        return self._services.parking

    def _breaker(self, service_name: str, options: Mapping[str, Any]) -> CircuitBreaker:
        return self._breakers.get(service_name, **options)

    def _options(self, given: Mapping[str, Any]) -> dict[str, Any]:
        options = dict(given)
        if "retry_strategy" in options:  # the facade's own word
            options["strategy"] = options.pop("retry_strategy")
        return {
            "max_retries": self.config.max_retries,
            "backoff_factor": self.config.backoff_factor,
            "initial_delay": self.config.initial_delay,
            "max_delay": self.config.max_delay,
            "jitter_range": self.config.jitter_range,
            "classifier": self.classifier,
            "bus": self.bus,
            "tuner": self._tuner.for_options(options),
            "cap": self._guard.cap,
            **options,
        }

    def _policy(self, options: Mapping[str, Any]) -> RetryPolicy:
        return RetryPolicy(**self._options(options))
