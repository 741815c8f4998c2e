"""What each reading may be, what it is called, and what to do about it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from seawall.errors import InvalidConfigError
from seawall.health.reading import HealthStatus, Machine, Reading, Sample, worst

Thresholds = Mapping[str, Sequence[float | None] | None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """The thresholds of one reading; higher is worse.

    Attributes:
        name: the reading's.
        warn: from where on it is to be looked at; None: never.
        critical: from where on something is about to fail; None: never.
        samples: how many in a row must say so before it is told: one reading of a processor says
            little, one of a disk says all.
        says: the reading in words.
        advice: what to do, one sentence.
        of_machine: every process of a machine reads the same.
    """

    name: str
    warn: float | None
    critical: float | None
    samples: int
    says: str
    advice: str
    of_machine: bool = True

    def judge(self, value: float, factor: float = 1.0) -> HealthStatus:
        """The status of ``value`` against thresholds times ``factor``."""
        if self.critical is not None and value >= self.critical * factor:
            return HealthStatus.CRITICAL
        if self.warn is not None and value >= self.warn * factor:
            return HealthStatus.WARN
        return HealthStatus.OK

    def reading(self, value: float, subject: str | None, **words: object) -> Reading:
        """The reading of ``value``, judged and in words."""
        status = self.judge(value)
        names = {"value": value, "subject": subject, **words}
        return Reading(
            name=self.name,
            subject=subject,
            value=value,
            status=status,
            says=self.says.format(**names),
            advice=None if status is HealthStatus.OK else self.advice.format(**names),
        )


_RULES = (
    Rule(
        name="cpu_percent", warn=95, critical=None, samples=4,
        says="processors {value:.0f} % busy",
        advice="Lower the concurrency, or give the worker more processors.",
    ),
    Rule(
        name="memory_percent", warn=90, critical=97, samples=2,
        says="memory {value:.0f} % used ({free}, {limited_by})",
        advice="Use smaller batches or less concurrency, or give the worker more memory: the "
        "kernel is about to end a process.",
    ),
    Rule(
        name="disk_percent", warn=85, critical=95, samples=1,
        says="disk {value:.0f} % full on {subject} ({free})",
        advice="Free space on the disk of {subject}, or move it to a larger one: at 100 % every "
        "write fails.",
    ),
    Rule(
        name="disk_inodes_percent", warn=85, critical=95, samples=1,
        says="disk of {subject} has used {value:.0f} % of the files it can hold",
        advice="Delete small files on the disk of {subject}: none can be made when they are used "
        "up, whatever space is left.",
    ),
    Rule(
        name="open_files_percent", warn=80, critical=95, samples=1, of_machine=False,
        says="{count} of {limit} open files ({value:.0f} %)",
        advice="Look for files and connections that are never closed, or raise the limit "
        "(`ulimit -n`).",
    ),
    Rule(
        name="event_loop_lag_seconds", warn=0.5, critical=5, samples=2, of_machine=False,
        says="event loop late by {value:.2f} s",
        advice="Move blocking calls and long computations off the event loop, into a thread or a "
        "process: leases and timeouts run on it.",
    ),
    Rule(
        name="pool_percent", warn=100, critical=None, samples=4, of_machine=False,
        says="{count} of {limit} connections in use",
        advice="Raise pool_size, or lower the concurrency: callers wait for a connection.",
    ),
    Rule(
        name="recorder_queue_percent", warn=50, critical=90, samples=1, of_machine=False,
        says="{count} of {limit} entries wait for the recorder",
        advice="Look at why the database is slow or away: at 100 % telemetry is dropped, and "
        "logging an error waits.",
    ),
)  # fmt: skip


def health_rules(thresholds: Thresholds | None = None) -> dict[str, Rule]:
    """The rules by name, with thresholds of the user's in place of the defaults.

    Args:
        thresholds: ``(warn, critical)`` by name, each a number or None for never; None in place of
            both: the reading never alerts.

    Raises:
        InvalidConfigError: a name or a number is none.
    """
    rules = {rule.name: rule for rule in _RULES}
    for name, pair in (thresholds or {}).items():
        if name not in rules:
            raise InvalidConfigError(
                f"health_thresholds: {name!r} is no reading; must be one of {', '.join(rules)}"
            )
        warn, critical = (None, None) if pair is None else pair
        if warn is not None and critical is not None and warn > critical:
            raise InvalidConfigError(
                f"health_thresholds[{name!r}]={pair!r}: warn must not pass critical"
            )
        rules[name] = replace(rules[name], warn=warn, critical=critical)
    return rules


def readings(sample: Sample, rules: Mapping[str, Rule]) -> list[Reading]:
    """Every reading that the sample has, the worst first."""
    found = [*_machine(sample.machine, rules), *_inside(sample, rules)]
    for disk in sample.disks:
        free = _size(disk.free_bytes)
        found.append(rules["disk_percent"].reading(disk.percent, disk.path, free=free))
        if disk.inodes_percent is not None:
            rule = rules["disk_inodes_percent"]
            found.append(rule.reading(disk.inodes_percent, disk.path))
    return sorted(found, key=lambda each: -each.status.severity)


def _machine(machine: Machine, rules: Mapping[str, Rule]) -> list[Reading]:
    found = []
    if machine.cpu_percent is not None:
        found.append(rules["cpu_percent"].reading(machine.cpu_percent, None))
    if machine.memory_percent is not None:
        free = _size(machine.memory_free_bytes)
        whose = "container" if machine.limited_by == "cgroup" else "machine"
        rule = rules["memory_percent"]
        found.append(rule.reading(machine.memory_percent, None, free=free, limited_by=whose))
    found += _share(rules["open_files_percent"], machine.open_files, machine.open_files_limit)
    return found


def _inside(sample: Sample, rules: Mapping[str, Rule]) -> list[Reading]:
    gauges = sample.gauges
    found = _share(rules["pool_percent"], gauges.pool_in_use, gauges.pool_size)
    found += _share(rules["recorder_queue_percent"], gauges.queue, gauges.queue_bound)
    if sample.lag_seconds is not None:
        found.append(rules["event_loop_lag_seconds"].reading(sample.lag_seconds, None))
    return found


def _share(rule: Rule, count: int | None, limit: int | None) -> list[Reading]:
    if count is None or not limit:
        return []
    return [rule.reading(100 * count / limit, None, count=count, limit=limit)]


def _size(count: int | None) -> str:
    if count is None:
        return "unknown free"
    for unit, size in (("TB", 1e12), ("GB", 1e9), ("MB", 1e6)):
        if count >= size:
            return f"{count / size:.1f} {unit} free"
    return f"{count / 1e3:.0f} kB free"


def status_of(found: Sequence[Reading]) -> HealthStatus:
    """The worst status there is."""
    return worst([each.status for each in found])
