"""Types of health as a user's checker sees them; never run."""

from typing import assert_type

from seawall import ErrorRecoveryManager, HealthStatus, SystemHealth


async def health(manager: ErrorRecoveryManager) -> None:
    found = await manager.get_system_health()
    assert_type(found, SystemHealth)
    assert_type(found.status, HealthStatus)
    for reading in found.problems:
        assert_type(reading.advice, str | None)
    for worker in found.fleet:
        assert_type(worker.alive, bool)
