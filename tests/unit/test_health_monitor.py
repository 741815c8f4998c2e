"""The monitor: samples in the background, tells of crossings, and what an error's moment was."""

import asyncio
import errno
import threading

import pytest

from seawall.events import EventBus, HealthChanged
from seawall.health import HealthMonitor, HealthStatus, Worker, health_rules
from seawall.health import monitor as monitor_module
from seawall.health.moment import folder_of
from seawall.health.reading import Disk, Gauges, Machine
from seawall.health.thread import OneThread

WORKER = Worker(worker_id="h:1:a", host="h", pid=1, pipeline_id="p", version="0")


class FakeProbe:
    def __init__(self):
        self.percent, self.reads, self.wait = {"/data": 10.0}, 0, None

    def machine(self, *, keep=True):
        self.reads += 1
        return Machine(cpu_percent=5.0, memory_percent=96.0, memory_free_bytes=10**9)

    def disks(self, paths):
        if self.wait is not None:
            self.wait.wait()
        seen = {}
        for path in paths:
            top = "/" + path.split("/")[1]
            if top in self.percent:
                seen.setdefault(
                    top, Disk(path=path, percent=self.percent[top], free_bytes=12 * 10**6)
                )
        return tuple(seen.values())


class FakeStore:
    def __init__(self):
        self.reports, self.left, self.broken = [], [], False

    async def report(self, worker, interval_seconds, found):
        if self.broken:
            raise ConnectionError("away")
        self.reports.append(found)

    async def leave(self, worker):
        self.left.append(worker)

    async def fleet(self):
        if self.broken:
            raise ConnectionError("away")
        return ["the fleet"]


class Inline:
    """In place of a thread, which virtual time can't wait for."""

    async def call(self, work, default, *, seconds):
        return work()


class Case:
    def __init__(self, clock, every=30.0, *, inline=True):
        self.probe, self.store, self.bus = FakeProbe(), FakeStore(), EventBus()
        self.events, self.recorded = [], []
        self.bus.subscribe(self.events.append)
        self.monitor = HealthMonitor(
            self.probe, health_rules(), WORKER, store=self.store,
            record=lambda sample, found: self.recorded.append((sample, found)),
            gauges=lambda: Gauges(pool_in_use=1, pool_size=10, queue=0, queue_bound=10),
            paths=lambda: ["/data"], clean=lambda text: text.replace("hunter2", "***"),
            every=every, bus=self.bus, clock=clock,
        )  # fmt: skip
        if inline:
            self.monitor._machine_thread = self.monitor._disk_thread = Inline()


async def test_monitor_samples_every_interval_and_tells_a_crossing_once_and_once_back(clock):
    case = Case(clock)
    await case.monitor.start()
    await clock.sleep(6)
    assert len(case.recorded) == len(case.store.reports) == 1
    assert case.events == []  # memory at 96 % wants a second sample
    await clock.sleep(30)
    (memory,) = case.events
    assert (memory.reading, memory.to_status, memory.threshold) == ("memory_percent", "warn", 90)
    case.probe.percent["/data"] = 99.0
    await clock.sleep(90)
    case.probe.percent["/data"] = 50.0
    await clock.sleep(90)
    await case.monitor.aclose()
    assert case.events[1:] == [
        HealthChanged(
            scope=memory.scope, reading="disk_percent", subject="/data", source="h",
            from_status="ok", to_status="critical", value=99.0, threshold=95,
            message="disk 99 % full on /data (12.0 MB free)",
            advice="Free space on the disk of /data, or move it to a larger one: at 100 % every "
            "write fails.",
        ),
        HealthChanged(
            scope=memory.scope, reading="disk_percent", subject="/data", source="h",
            from_status="critical", to_status="ok", value=50.0, threshold=95,
            message="disk 50 % full on /data (12.0 MB free)", advice=None,
        ),
    ]  # fmt: skip
    assert memory.scope.pipeline_id == "p"
    assert len(case.recorded) == 8
    assert case.store.left == [WORKER]


async def test_monitor_whose_store_is_away_samples_and_tells_all_the_same(clock):
    case = Case(clock)
    case.store.broken, case.probe.percent["/data"] = True, 99.0
    await case.monitor.start()
    await clock.sleep(40)
    await case.monitor.aclose()
    assert [event.reading for event in case.events] == ["disk_percent", "memory_percent"]
    assert len(case.recorded) == 2
    assert case.store.left == []  # it was never there


async def test_monitor_of_a_worker_that_ends_soon_and_one_that_is_off_leave_no_trace(clock):
    for every, seconds in ((30.0, 4), (0.0, 1000)):
        case = Case(clock, every)
        await case.monitor.start()
        await clock.sleep(seconds)
        await case.monitor.aclose()
        assert (case.probe.reads, case.recorded, case.store.left) == (0, [], [])


async def test_look_judges_this_moment_and_asks_for_the_fleet_where_told_so(clock):
    case = Case(clock)
    health = await case.monitor.look(fleet=False)
    assert (health.status, health.fleet) == (HealthStatus.WARN, ())
    assert [each.name for each in health.problems] == ["memory_percent"]
    assert (await case.monitor.look(fleet=True)).fleet == ("the fleet",)
    case.store.broken = True
    assert (await case.monitor.look(fleet=True)).fleet == ()
    assert case.events == case.recorded == []


async def test_moment_of_a_full_disk_names_the_disk_of_the_errors_own_file(clock):
    case = Case(clock)
    case.probe.percent["/other"] = 99.6
    error = OSError(errno.ENOSPC, "No space left on device", "/other/hunter2/rows.csv")
    found = await case.monitor.moment(error)
    assert found["summary"] == (
        "disk 100 % full on /other/*** (12.0 MB free); memory 96 % used (1.0 GB free, machine)"
    )
    assert found["status"] == "critical"
    assert found["readings"]["disk_percent /other/***"] == 99.6
    assert found["readings"]["disk_percent /data"] == 10.0


async def test_moment_is_read_once_for_many_errors(clock):
    case = Case(clock)
    await asyncio.gather(*(case.monitor.moment(MemoryError()) for _ in range(100)))
    reads = case.probe.reads
    for _ in range(100):
        found = await case.monitor.moment(MemoryError())
    assert case.probe.reads == reads
    assert found["summary"] == "memory 96 % used (1.0 GB free, machine)"
    await clock.sleep(3)
    assert found["age_seconds"] == 0
    await case.monitor.moment(MemoryError())
    assert case.probe.reads == reads + 1


async def test_moment_before_any_reading_says_that_there_is_none(clock, monkeypatch):
    class Never:
        async def call(self, work, default, *, seconds):
            await clock.sleep(seconds)
            return default

    case = Case(clock)
    case.monitor._machine_thread = Never()
    found = await case.monitor.moment(MemoryError())
    assert found == {
        "summary": "nothing could be read in time", "status": "ok", "readings": {},
        "age_seconds": 0.0,
    }  # fmt: skip


@pytest.mark.real_time
async def test_disk_that_does_not_answer_blocks_nobody_and_takes_one_thread(clock, monkeypatch):
    monkeypatch.setattr(monitor_module, "_READ_SECONDS", 0.2)
    monkeypatch.setattr(monitor_module, "_MOMENT_SECONDS", 0.05)
    case = Case(clock, inline=False)
    case.probe.wait = threading.Event()
    before = threading.active_count()
    try:
        for _ in range(3):
            await case.monitor.turn()
            found = await case.monitor.moment(OSError(errno.ENOSPC, "full", "/other/rows.csv"))
        assert threading.active_count() <= before + 2
        sample, readings = case.recorded[-1]
        assert sample.disks == ()
        assert sample.machine.memory_percent == 96.0
        assert "memory 96 %" in found["summary"]  # of the last sample
    finally:
        case.probe.wait.set()
    await case.monitor.turn()
    assert [disk.path for disk in case.recorded[-1][0].disks] == ["/data"]


def chained(inner):
    try:
        try:
            raise inner
        except OSError as error:
            raise RuntimeError("the load failed") from error
    except RuntimeError as error:
        return ExceptionGroup("two", [ValueError(), error])


@pytest.mark.parametrize(
    ("error", "folder"),
    [
        (OSError(errno.ENOSPC, "full", "/data/a/b.csv"), "/data/a"),
        (OSError(errno.ENOSPC, "full", b"/data/\xff/b"), "/data/\udcff"),
        (OSError(errno.EXDEV, "no", "/from/x", None, "/to/x"), "/to"),
        (chained(OSError(errno.ENOSPC, "full", "/data/c")), "/data"),
        (OSError(errno.EBADF, "bad", 7), None),
        (ValueError("/data/a"), None),
    ],
)
def test_folder_of_an_error_is_that_of_the_file_it_names(error, folder):
    assert folder_of(error) == folder


@pytest.mark.real_time
async def test_thread_gives_what_the_work_gives_or_raises():
    thread = OneThread()
    assert await asyncio.gather(
        *(thread.call(lambda n=n: n * n, None, seconds=5) for n in range(5))
    ) == [0, 1, 4, 9, 16]
    with pytest.raises(ZeroDivisionError):
        await thread.call(lambda: 1 / 0, None, seconds=5)
