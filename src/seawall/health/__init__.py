"""What the machine, the process and the event loop are like: read, judged, told."""

from seawall.health.monitor import HealthMonitor
from seawall.health.probe import MachineProbe
from seawall.health.reading import HealthStatus, Reading, SystemHealth, Worker, WorkerHealth
from seawall.health.rules import Rule, health_rules
from seawall.health.store import HealthStore

__all__ = [
    "HealthMonitor",
    "HealthStatus",
    "HealthStore",
    "MachineProbe",
    "Reading",
    "Rule",
    "SystemHealth",
    "Worker",
    "WorkerHealth",
    "health_rules",
]
