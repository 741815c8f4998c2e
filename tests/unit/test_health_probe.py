"""What the kernel says: containers' limits, lateness of the loop, the machine itself."""

import os
import resource

import pytest

from seawall.health.cgroup import CgroupUse, read_cgroup
from seawall.health.lag import LagHistogram, LoopLag
from seawall.health.probe import MachineProbe


def write(folder, **files):
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in files.items():
        (folder / name.replace("__", ".")).write_text(text)


@pytest.fixture
def root(tmp_path):
    return tmp_path / "cgroup"


@pytest.fixture
def own(tmp_path):
    def say(text):
        path = tmp_path / "own"
        path.write_text(text)
        return path

    return say


def test_cgroup_2_the_nearest_limit_of_all_levels_counts(root, own):
    write(root, cgroup__controllers="cpu memory")
    write(root / "pod", memory__max="1000\n", memory__current="900\n",
          memory__stat="anon 1\ninactive_file 100\n", cpu__max="200000 100000\n",
          cpu__stat="usage_usec 9000000\n")  # fmt: skip
    write(root / "pod" / "worker", memory__max="max\n", memory__current="500\n",
          cpu__max="50000 100000\n", cpu__stat="usage_usec 1500000\nuser_usec 1\n")  # fmt: skip
    assert read_cgroup(root, own("0::/pod/worker\n")) == CgroupUse(1000, 800, 0.5, 1.5)


def test_cgroup_2_in_a_container_that_sees_its_own_as_the_top(root, own):
    write(root, cgroup__controllers="cpu memory", memory__max="2000", memory__current="100",
          cpu__max="max 100000")  # fmt: skip
    for line in ("0::/\n", "0::/not/to/be/seen/from/here\n"):
        assert read_cgroup(root, own(line)) == CgroupUse(2000, 100, None, None)


def test_cgroup_1(root, own):
    write(root / "memory" / "c", memory__limit_in_bytes="4000", memory__usage_in_bytes="3000",
          memory__stat="total_inactive_file 500\n")  # fmt: skip
    write(root / "memory", memory__limit_in_bytes=str(2**63 - 4096), memory__usage_in_bytes="9")
    write(root / "cpu" / "c", cpu__cfs_quota_us="150000", cpu__cfs_period_us="100000")
    write(root / "cpu", cpu__cfs_quota_us="-1", cpu__cfs_period_us="100000")
    write(root / "cpuacct" / "c", cpuacct__usage="2500000000")
    found = read_cgroup(root, own("3:cpu:/c\n2:cpuacct:/c\n1:memory:/c\n"))
    assert found == CgroupUse(4000, 2500, 1.5, 2.5)


def test_cgroup_that_can_not_be_read_is_none(root, own):
    assert read_cgroup(root, root / "nowhere") == CgroupUse()
    assert read_cgroup(root, own("nonsense\n")) == CgroupUse()
    write(root, cgroup__controllers="", memory__max="zork", memory__current="1", cpu__max="7")
    assert read_cgroup(root, own("0::/\n")) == CgroupUse()


class Clock:
    now = 100.0

    def monotonic(self):
        return self.now


def test_probe_measures_a_container_against_its_own_limits():
    clock, uses = Clock(), []
    probe = MachineProbe(clock, lambda: uses.pop(0) if uses else CgroupUse(1000, 990, 0.5, 10.0))
    clock.now += 10  # half a processor for ten seconds: five seconds to be had
    uses.append(CgroupUse(1000, 990, 0.5, 14.0))
    machine = probe.machine()
    assert machine.cpu_percent == pytest.approx(80)
    assert (machine.memory_percent, machine.memory_free_bytes) == (99, 10)
    assert machine.limited_by == "cgroup"
    clock.now += 0.001  # too short a span: the last figure is told again
    uses.append(CgroupUse(1000, 990, 0.5, 14.0))
    assert probe.machine().cpu_percent == pytest.approx(80)


def test_probe_reads_this_machine(tmp_path):
    probe = MachineProbe(cgroup=CgroupUse)
    machine = probe.machine()
    assert 0 < machine.memory_percent < 100
    assert machine.limited_by == "host"
    assert machine.open_files_limit == resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    with open(os.devnull), open(os.devnull):
        assert probe.machine().open_files == machine.open_files + 2
    missing = tmp_path / "not" / "there"
    (disk,) = probe.disks([str(missing), str(tmp_path)])  # one disk, once
    assert disk.path == str(missing)
    assert 0 < disk.percent < 100
    assert disk.free_bytes > 0


def test_lag_counts_the_timers_that_a_block_kept_from_coming():
    lag = LagHistogram(0.1)
    for _ in range(290):
        lag.add(0.0)
    lag.add(1.0)
    percentile, highest = lag.read()
    assert highest == 1.0
    assert 0.6 <= percentile <= 0.9  # ten timers were late, by 1.0, 0.9, …: not one of 291
    lag.clear()
    assert lag.read() is None


def test_lag_of_one_short_pause_is_no_lag():
    lag = LagHistogram(0.1)
    for _ in range(299):
        lag.add(0.0)
    lag.add(0.09)
    assert lag.read() == (0.0, 0.09)


def test_lag_of_a_long_freeze_costs_a_bounded_time():
    lag = LagHistogram(0.1)
    lag.add(86_400.0)
    assert lag.read()[1] == 86_400.0
    assert lag.read()[0] > 1000


async def test_loop_lag_sees_what_blocks_the_loop(clock):
    lag = LoopLag(clock)
    lag.start()
    await clock.sleep(5.05)
    assert lag.read()[1] < 1e-6
    lag.stop()
    lag.clear()
    await clock.sleep(5)
    assert lag.read() is None


@pytest.mark.real_time
async def test_loop_lag_of_a_blocked_loop():
    import asyncio
    import time

    lag = LoopLag(every=0.01)
    lag.start()
    await asyncio.sleep(0.03)
    time.sleep(0.2)
    await asyncio.sleep(0.02)
    lag.stop()
    assert lag.read()[1] > 0.15
