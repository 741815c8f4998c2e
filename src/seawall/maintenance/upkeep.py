"""What keeps the database small and its statuses true: the library's own background jobs."""

from dataclasses import dataclass
from typing import Protocol

from seawall.config import RecoveryConfig
from seawall.maintenance.job import Job

_MINUTE, _HOUR = 60.0, 3600.0

_SLICE_SECONDS = 20.0  # of deleting at a time; what is left waits for the next turn


@dataclass(frozen=True, slots=True, kw_only=True)
class Retention:
    """How long things are kept, days; 0 keeps them for good.

    Attributes:
        errors: rows of ``error_details``; by months.
        retries: rows of ``retry_attempts``; by months.
        health: rows of ``system_health``; by months.
        history: transitions of breakers, and earlier states of checkpoints.
        runs: runs that have ended, with their checkpoints and steps.
    """

    errors: float
    retries: float
    health: float
    history: float
    runs: float


def retention_of(config: RecoveryConfig) -> Retention:
    """What the config says."""
    return Retention(
        errors=config.error_retention_days,
        retries=config.retry_retention_days,
        health=config.health_retention_days,
        history=config.history_retention_days,
        runs=config.run_retention_days,
    )


class UpkeepStore(Protocol):
    """The database's side of it; by the database's clock."""

    async def ensure_partitions(self) -> None:
        """Make the partitions of this month and the next ones."""
        ...

    async def drop_partitions(self, retention: Retention) -> None:
        """Drop what is past its retention, a month at a time."""
        ...

    async def prune(self, retention: Retention, seconds: float) -> None:
        """Delete what is past its retention, for about so long."""
        ...

    async def forget_gone(self) -> None:
        """Delete what workers that vanished have left in tables of leases."""
        ...

    async def fold_quarantine_counts(self) -> None:
        """Let one row stand for a day, a reason and a pipeline."""
        ...

    async def tell_stuck(self, after_seconds: float) -> None:
        """Find the runs that have saved nothing for so long, and tell of each once."""
        ...

    async def abandon_lost(self) -> None:
        """End the runs whose workers have all vanished."""
        ...


def upkeep_jobs(
    store: UpkeepStore, retention: Retention, *, stuck_after_seconds: float
) -> list[Job]:
    """The jobs, each safe to be done twice; see docs/maintenance.md.

    Args:
        store: the database.
        retention: how long things are kept.
        stuck_after_seconds: after which a run that saves nothing is told of; 0: never.
    """

    async def drop() -> None:
        await store.drop_partitions(retention)

    async def prune() -> None:
        await store.prune(retention, _SLICE_SECONDS)

    async def stuck() -> None:
        await store.tell_stuck(stuck_after_seconds)

    jobs = [
        Job(name="partitions made", every=_HOUR, work=store.ensure_partitions),
        Job(name="partitions dropped", every=_HOUR, work=drop),
        Job(name="history pruned", every=_HOUR, work=prune),
        Job(name="leases of the gone", every=_HOUR, work=store.forget_gone),
        Job(name="quarantine counts folded", every=_MINUTE, work=store.fold_quarantine_counts),
        Job(name="lost runs", every=30.0, work=store.abandon_lost),
    ]
    if stuck_after_seconds:
        jobs.append(Job(name="stuck runs", every=_MINUTE, work=stuck))
    return jobs
