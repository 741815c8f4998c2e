"""Samples this worker's health in the background, and tells of what crosses a threshold."""

import logging
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any, Protocol

import anyio

from seawall.clock import SYSTEM_CLOCK, BackgroundTask, Clock, utc_now
from seawall.events import EventBus, HealthChanged, default_bus
from seawall.health.lag import LoopLag
from seawall.health.level import Crossing, Levels
from seawall.health.moment import about, describe, folder_of
from seawall.health.reading import (
    Disk,
    Gauges,
    HealthStatus,
    Machine,
    Reading,
    Sample,
    SystemHealth,
    Worker,
)
from seawall.health.rules import Rule, readings, status_of
from seawall.health.store import HealthStore
from seawall.health.thread import OneThread
from seawall.scope import Scope

_logger = logging.getLogger("seawall.health")

_FIRST_SECONDS = 5.0  # a worker that ends sooner leaves no trace
_READ_SECONDS = 5.0  # for a file system that doesn't answer
_MOMENT_SECONDS = 0.25  # what reading may add to logging an error
_FRESH_SECONDS = 2.0
_SPAN_SECONDS = 0.1  # over which processors are measured where nothing was sampled before
_LEAVE_SECONDS = 2.0
_MOST_FOLDERS = 64


class Probe(Protocol):
    """Reads the machine; its methods block, and are called in a thread, one at a time each."""

    def machine(self, *, keep: bool = True) -> Machine:
        """Processors, memory, open files."""
        ...

    def disks(self, paths: Sequence[str]) -> tuple[Disk, ...]:
        """The disks of folders."""
        ...


class HealthMonitor:
    """A sample every ``every`` seconds, off the call path. Belongs to one event loop.

    What blocks runs in a thread. A disk that doesn't answer (a dead network mount) costs its
    reading, not the others, and one thread, not one each time.

    Args:
        probe: reads the machine.
        rules: the thresholds.
        worker: who this is.
        store: where the fleet's workers are.
        record: takes each sample and its readings, to be written some time soon.
        gauges: what is known inside the process; cheap.
        paths: folders whose disks are read; asked for at each sample.
        clean: makes a text fit to be written: secrets masked.
        every: seconds between two samples; 0 takes none by itself.
    """

    def __init__(
        self,
        probe: Probe,
        rules: dict[str, Rule],
        worker: Worker,
        *,
        store: HealthStore,
        record: Callable[[Sample, Sequence[Reading]], object],
        gauges: Callable[[], Gauges],
        paths: Callable[[], Sequence[str]],
        clean: Callable[[str], str],
        every: float,
        bus: EventBus = default_bus,
        clock: Clock = SYSTEM_CLOCK,
    ) -> None:
        self._probe, self._rules, self._worker, self._store = probe, rules, worker, store
        self._record, self._gauges, self._paths = record, gauges, paths
        self._clean, self._every, self._bus, self._clock = clean, every, bus, clock
        self._levels = Levels(rules)
        self._lag = LoopLag()
        self._last_lag: tuple[float, float] | None = None
        self._task: BackgroundTask | None = None
        self._has_reported = self._has_machine = False
        self._machine_thread, self._disk_thread = OneThread(), OneThread()
        # What an error's moment is told from: the readings by folder (None: the usual ones).
        self._moments: dict[str | None, tuple[float, list[Reading]]] = {}
        # The same in words, for a storm of the same error.
        self._told: dict[tuple[str | None, tuple[str, ...], float], dict[str, Any]] = {}

    async def start(self) -> None:
        if self._every:
            self._lag.start()
            self._task = BackgroundTask(self._run(), "seawall health")

    async def aclose(self) -> None:
        """Stop; the worker leaves the fleet's list, for which two seconds are given."""
        task, self._task = self._task, None
        self._lag.stop()
        if task is not None:
            await task.stop()
        if self._has_reported:
            self._has_reported = False
            try:
                with anyio.move_on_after(_LEAVE_SECONDS):
                    await self._store.leave(self._worker)
            except Exception as error:
                _logger.info("worker %s stays listed: %s", self._worker.worker_id, error)

    async def turn(self) -> None:
        """Take one sample: record it, tell of crossings, report to the fleet.

        Raises whatever the store does; the sample is recorded and told all the same.
        """
        self._last_lag = self._lag.read()
        self._lag.clear()
        sample = await self._sample(lag=self._last_lag)
        found = readings(sample, self._rules)
        self._remember(None, found)
        for crossing in self._levels.observe(found):
            self._tell(crossing)
        self._record(sample, found)
        await self._store.report(self._worker, self._every, found)
        self._has_reported = True

    async def look(self, *, fleet: bool) -> SystemHealth:
        """The readings of this moment, by their thresholds alone, and the fleet's latest.

        Args:
            fleet: ask the store for the fleet; where it can't be reached, it stays empty.
        """
        if not self._has_machine:
            # Processors are measured over a span, and nobody has begun one.
            await self._read_machine(keep=True)
            await self._clock.sleep(_SPAN_SECONDS)
        sample = await self._sample(keep=False, lag=self._lag.read() or self._last_lag)
        found = readings(sample, self._rules)
        workers = []
        if fleet:
            try:
                workers = await self._store.fleet()
            except Exception as error:
                _logger.warning("the fleet's health could not be read: %s", error)
        return SystemHealth(
            status=status_of(found),
            taken_at=sample.taken_at,
            worker=self._worker,
            readings=tuple(found),
            fleet=tuple(workers),
        )

    async def moment(self, error: BaseException) -> dict[str, Any]:
        """What is known of the machine as ``error`` happens; see ``moment.describe``.

        Readings of the last 2 s are good enough; else they are taken in a thread, for which 0.25 s
        are waited, once however many errors come at the same time.
        """
        folder, names = folder_of(error), about(error)
        read_at, found = self._moments.get(folder, (-1e9, []))
        if self._clock.monotonic() - read_at > _FRESH_SECONDS:
            with anyio.move_on_after(_MOMENT_SECONDS):
                paths = [*([folder] if folder else []), *self._paths()]
                sample = await self._sample(keep=False, paths=paths)
                self._remember(folder, readings(sample, self._rules))
            nothing: tuple[float, list[Reading]] = (self._clock.monotonic(), [])
            read_at, found = self._moments.get(folder) or self._moments.get(None) or nothing
        told = self._told.get((folder, names, read_at))
        if told is None:
            told = describe(names, found, folder and self._clean(folder))
            if len(self._told) >= _MOST_FOLDERS:
                self._told.clear()
            self._told[folder, names, read_at] = told
        return {**told, "age_seconds": round(self._clock.monotonic() - read_at, 3)}

    async def _run(self) -> None:
        await self._clock.sleep(min(self._every, _FIRST_SECONDS))
        while True:
            try:
                await self.turn()
            except Exception as error:
                _logger.warning("this worker's health could not be reported: %s", error)
            await self._clock.sleep(self._every)

    async def _sample(
        self,
        *,
        keep: bool = True,
        lag: tuple[float, float] | None = None,
        paths: Sequence[str] | None = None,
    ) -> Sample:
        taken_at, gauges = utc_now(), self._gauges()
        machine = await self._read_machine(keep=keep)
        wanted = self._paths() if paths is None else paths
        none: tuple[Disk, ...] = ()
        found = await self._disk_thread.call(
            lambda: self._probe.disks(wanted), none, seconds=_READ_SECONDS
        )
        disks = tuple(replace(disk, path=self._clean(disk.path)) for disk in found)
        return Sample(
            taken_at=taken_at,
            machine=machine,
            disks=disks,
            gauges=gauges,
            lag_seconds=None if lag is None else lag[0],
            lag_max_seconds=None if lag is None else lag[1],
        )

    async def _read_machine(self, *, keep: bool) -> Machine:
        self._has_machine = True
        return await self._machine_thread.call(
            lambda: self._probe.machine(keep=keep), Machine(), seconds=_READ_SECONDS
        )

    def _remember(self, folder: str | None, found: list[Reading]) -> None:
        if len(self._moments) >= _MOST_FOLDERS:
            self._moments.clear()
        self._moments[folder] = (self._clock.monotonic(), found)

    def _tell(self, crossing: Crossing) -> None:
        reading, worker = crossing.reading, self._worker
        is_critical = crossing.after is HealthStatus.CRITICAL
        level = logging.WARNING if is_critical else logging.INFO
        _logger.log(level, "%s: %s", crossing.after.value, reading.says)
        if not self._bus.listeners:
            return
        source = worker.host if self._rules[reading.name].of_machine else worker.worker_id
        self._bus.emit(
            HealthChanged(
                scope=Scope(worker.pipeline_id),
                reading=reading.name,
                subject=reading.subject,
                source=source,
                from_status=crossing.before.value,
                to_status=crossing.after.value,
                value=reading.value,
                threshold=crossing.threshold,
                message=reading.says,
                advice=reading.advice,
            )
        )
