"""Background work of the fleet: each job is done by one worker at a time, whoever it is."""

from seawall.maintenance.job import Job
from seawall.maintenance.runner import JobRunner
from seawall.maintenance.store import JobStore
from seawall.maintenance.upkeep import Retention, UpkeepStore, retention_of, upkeep_jobs

__all__ = [
    "Job",
    "JobRunner",
    "JobStore",
    "Retention",
    "UpkeepStore",
    "retention_of",
    "upkeep_jobs",
]
