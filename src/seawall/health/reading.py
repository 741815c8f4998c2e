"""Readings of a worker's machine and process, as values."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum


class HealthStatus(StrEnum):
    """How a reading stands against its thresholds."""

    OK = "ok"
    WARN = "warn"
    CRITICAL = "critical"

    @property
    def severity(self) -> int:
        """0 for ok, 1 for warn, 2 for critical."""
        return _SEVERITY[self]


_SEVERITY = {HealthStatus.OK: 0, HealthStatus.WARN: 1, HealthStatus.CRITICAL: 2}


def worst(statuses: "Sequence[HealthStatus]") -> HealthStatus:
    """The worst of them; ok where there is none."""
    return max(statuses, key=lambda each: each.severity, default=HealthStatus.OK)


@dataclass(frozen=True, slots=True, kw_only=True)
class Disk:
    """The disk that a folder is on.

    Attributes:
        path: the folder that was asked for.
        percent: used, of what this process may use, 0 to 100.
        free_bytes: what it may still use.
        inodes_percent: files that it can hold, used, 0 to 100; None where it has no such bound.
    """

    path: str
    percent: float
    free_bytes: int
    inodes_percent: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Machine:
    """What was read of the machine and the process; None where it can't be.

    Attributes:
        cpu_percent: use of the processors this process may use, since the last reading, 0 to 100.
        memory_percent: memory in use, 0 to 100: the host's, or the container's where that is
            nearer to its limit.
        memory_free_bytes: what is left of it.
        open_files: file descriptors of this process.
        open_files_limit: how many it may have; None without a limit.
        limited_by: ``host`` or ``cgroup``: whose memory it is.
    """

    cpu_percent: float | None = None
    memory_percent: float | None = None
    memory_free_bytes: int | None = None
    open_files: int | None = None
    open_files_limit: int | None = None
    limited_by: str = "host"


@dataclass(frozen=True, slots=True, kw_only=True)
class Gauges:
    """What is known inside the process.

    Attributes:
        pool_in_use: connections checked out.
        pool_size: connections that the pool may have; None before it is made.
        queue: entries that wait for the recorder.
        queue_bound: entries that may wait.
        dropped: telemetry rows lost so far.
    """

    pool_in_use: int | None = None
    pool_size: int | None = None
    queue: int = 0
    queue_bound: int = 0
    dropped: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    """All that was read at one moment."""

    taken_at: datetime
    machine: Machine
    disks: tuple[Disk, ...] = ()
    gauges: Gauges = Gauges()
    lag_seconds: float | None = None
    lag_max_seconds: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """One reading and what it means.

    Attributes:
        name: such as ``disk_percent``; the key of ``health_thresholds``.
        subject: which disk; None for what there is one of.
        value: in the unit that the name ends in.
        status: against the thresholds.
        says: the reading in words, ``disk 99 % full on /data``.
        advice: what to do, one sentence; None where it is ok.
    """

    name: str
    subject: str | None
    value: float
    status: HealthStatus
    says: str
    advice: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Worker:
    """Who samples."""

    worker_id: str
    host: str
    pid: int
    pipeline_id: str
    version: str


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkerHealth:
    """The latest sample of one worker of the fleet.

    Attributes:
        worker: who it is.
        started_at: when it was first seen.
        last_seen_at: when it sent the sample; by the database's clock, as ``started_at``.
        alive: whether it was seen within three of its intervals.
        status: the worst of its readings.
        readings: their values by name, a disk's with its folder: ``disk_percent /data``.
        problems: those that aren't ok, in words.
    """

    worker: Worker
    started_at: datetime
    last_seen_at: datetime
    alive: bool
    status: HealthStatus
    readings: Mapping[str, float]
    problems: Sequence[str]


@dataclass(frozen=True, slots=True, kw_only=True)
class SystemHealth:
    """How this worker is, and, where the manager is started, the whole fleet.

    Attributes:
        status: the worst of ``readings``.
        taken_at: when they were read, by this machine's clock.
        worker: this worker.
        readings: those that could be read, the worst first.
        fleet: the latest sample of every worker, this one included where it has sent one; empty
            where the manager is not started, or the database can't be reached.
    """

    status: HealthStatus
    taken_at: datetime
    worker: Worker
    readings: Sequence[Reading]
    fleet: Sequence[WorkerHealth] = ()

    @property
    def problems(self) -> list[Reading]:
        """The readings that aren't ok, the worst first."""
        return [each for each in self.readings if each.status is not HealthStatus.OK]
