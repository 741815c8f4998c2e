"""The front door's analysis: what failed, why, and what to do."""

from seawall.health import SystemHealth
from seawall.manager.base import Base


class AnalysisMethods(Base):
    """Patterns, budgets, failures, actions and health."""

    async def get_system_health(self) -> SystemHealth:
        """How this worker's machine, process and event loop are at this moment, and what to do.

        Started, it also has the latest sample of every worker of the fleet. Not started, there is
        neither a lag of the event loop nor a use of the pool, and it takes 0.1 s: the processors
        are measured over that.
        """
        return await self._services.system_health()
