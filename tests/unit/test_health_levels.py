"""Thresholds: judged, held, told once and once back."""

import dataclasses

import pytest
from hypothesis import given
from hypothesis import strategies as st

from seawall.clock import utc_now
from seawall.errors import InvalidConfigError
from seawall.health import HealthStatus, health_rules
from seawall.health.level import HYSTERESIS, Level, Levels
from seawall.health.reading import Disk, Gauges, Machine, Sample
from seawall.health.rules import readings

OK, WARN, CRITICAL = HealthStatus.OK, HealthStatus.WARN, HealthStatus.CRITICAL
DISK = health_rules()["disk_percent"]


def changes(level, *values):
    return [level.observe(value) for value in values]


def test_level_crosses_once_and_comes_back_once():
    assert changes(Level(DISK), 84, 85, 86, 90, 84, 81, 80, 70) == [
        None, WARN, None, None, None, None, OK, None,
    ]  # fmt: skip


def test_level_that_hovers_at_its_threshold_is_told_once():
    told = [each for each in changes(Level(DISK), *[84.9, 85.1] * 50) if each]
    assert told == [WARN]


def test_level_goes_straight_to_critical_and_back_by_steps():
    assert changes(Level(DISK), 96, 91, 90, 80) == [CRITICAL, None, WARN, OK]


def test_level_of_a_noisy_reading_wants_several_samples_in_a_row():
    cpu = health_rules()["cpu_percent"]
    assert changes(Level(cpu), 100, 100, 100, 10, 100, 100, 100) == [None] * 7
    assert changes(Level(cpu), 96, 97, 98, 99, 92, 10, 10, 10, 10) == [
        None, None, None, WARN, None, None, None, None, OK,
    ]  # fmt: skip


@given(
    st.lists(st.floats(0, 200, allow_nan=False), max_size=60),
    st.integers(1, 4),
    st.floats(1, 90),
    st.floats(1, 90),
)
def test_level_changes_only_as_the_values_allow(values, samples, one, two):
    """Up only at or over the threshold, down only under it by the margin, after enough samples."""
    warn, critical = min(one, two), max(one, two)
    rule = dataclasses.replace(DISK, warn=warn, critical=critical, samples=samples)
    level, since = Level(rule), 0
    for value in values:
        before, since = level.status, since + 1
        after = level.observe(value)
        if after is None:
            continue
        assert since >= samples
        since = 0
        assert level.status is after is not before
        if after.severity > before.severity:
            assert value >= (critical if after is CRITICAL else warn)
        else:
            assert value < (critical if before is CRITICAL else warn) * (1 - HYSTERESIS)


def sample(**changes):
    given = {
        "taken_at": utc_now(),
        "machine": Machine(
            cpu_percent=10, memory_percent=98, memory_free_bytes=10**9, open_files=990,
            open_files_limit=1000, limited_by="cgroup",
        ),
        "disks": (
            Disk(path="/data", percent=99, free_bytes=5 * 10**8, inodes_percent=1),
            Disk(path="/tmp", percent=10, free_bytes=5 * 10**12),
        ),
        "gauges": Gauges(pool_in_use=10, pool_size=10, queue=9_500, queue_bound=10_000),
        "lag_seconds": 0.75,
    }  # fmt: skip
    return Sample(**{**given, **changes})


def test_readings_say_what_is_wrong_and_what_to_do_the_worst_first():
    found = readings(sample(), health_rules())
    assert [(each.says, each.status) for each in found] == [
        ("memory 98 % used (1.0 GB free, container)", CRITICAL),
        ("990 of 1000 open files (99 %)", CRITICAL),
        ("9500 of 10000 entries wait for the recorder", CRITICAL),
        ("disk 99 % full on /data (500.0 MB free)", CRITICAL),
        ("10 of 10 connections in use", WARN),
        ("event loop late by 0.75 s", WARN),
        ("processors 10 % busy", OK),
        ("disk of /data has used 1 % of the files it can hold", OK),
        ("disk 10 % full on /tmp (5.0 TB free)", OK),
    ]
    for each in found:
        assert (each.advice is None) == (each.status is OK)
        assert each.advice is None or each.advice.endswith(".")


def test_readings_that_are_missing_change_no_level():
    levels = Levels(health_rules())
    first = levels.observe(readings(sample(), health_rules()))
    assert {(each.reading.name, each.reading.subject) for each in first} == {
        ("open_files_percent", None), ("recorder_queue_percent", None), ("disk_percent", "/data"),
    }  # fmt: skip
    gone = sample(disks=(), machine=Machine(), lag_seconds=None)
    assert levels.observe(readings(gone, health_rules())) == []
    back = sample(disks=(Disk(path="/data", percent=50, free_bytes=1),))
    (crossing,) = (
        each
        for each in levels.observe(readings(back, health_rules()))
        if each.reading.name == "disk_percent"
    )
    assert (crossing.before, crossing.after, crossing.threshold) == (CRITICAL, OK, 95)


def test_rules_take_the_users_thresholds():
    rules = health_rules({"disk_percent": (50, None), "cpu_percent": None})
    assert rules["disk_percent"].judge(51) is WARN
    assert rules["disk_percent"].judge(100) is WARN
    assert rules["cpu_percent"].judge(100) is OK


@pytest.mark.parametrize(
    ("thresholds", "words"),
    [
        ({"disc_percent": (1, 2)}, "'disc_percent' is no reading; must be one of cpu_percent,"),
        ({"disk_percent": (95, 85)}, "warn must not pass critical"),
    ],
)
def test_rules_refuse_what_can_not_be(thresholds, words):
    with pytest.raises(InvalidConfigError, match=words):
        health_rules(thresholds)
