"""What people are told of health, and of runs that are stuck or abandoned."""

import pytest

from seawall.alerts.rule import RULES
from seawall.events import HealthChanged, RunAbandoned, RunStuck
from seawall.scope import Scope


def changed(reading, before, after, subject=None):
    return HealthChanged(
        reading=reading, subject=subject, source="h", from_status=before, to_status=after,
        value=99.0, threshold=95.0, message="disk 99 % full on /data",
        advice="Free space." if after != "ok" else None,
    )  # fmt: skip


def signal(event):
    return RULES[type(event)](event)


def test_health_that_crosses_fires_and_is_over_under_the_same_key():
    fired = signal(changed("disk_percent", "ok", "critical", "/data"))
    over = signal(changed("disk_percent", "critical", "ok", "/data"))
    assert fired.firing
    assert not over.firing
    assert fired.key == over.key == "health:disk_percent:h:/data"
    assert fired.key != signal(changed("disk_percent", "ok", "warn", "/tmp")).key
    assert fired.title == "h: disk 99 % full on /data"
    assert fired.message.endswith("Free space.")


@pytest.mark.parametrize(
    ("reading", "status", "severity"),
    [
        ("disk_percent", "critical", "critical"),
        ("disk_percent", "warn", "warning"),
        ("cpu_percent", "warn", "info"),
        ("pool_percent", "warn", "info"),
    ],
)
def test_health_is_as_severe_as_its_reading(reading, status, severity):
    assert signal(changed(reading, "ok", status)).severity == severity


def test_run_that_is_stuck_or_abandoned_says_what_to_do():
    scope = Scope("p", "r", "load")
    stuck = signal(RunStuck(scope=scope, stalled_seconds=3600.0, step="load", workers="h:1"))
    assert (stuck.key, stuck.pipeline_id) == ("run_stuck:r", "p")
    assert "saved nothing for 60 minutes; step load, h:1" in stuck.message
    lost = signal(RunAbandoned(scope=scope, status="abandoned", workers="h:1"))
    assert (lost.key, lost.firing) == ("run_failed:p", True)  # the next success is its all-clear
    assert "Run r is abandoned: h:1 vanished" in lost.message
    assert not signal(RunAbandoned(scope=scope, status="succeeded", workers="h:1")).firing
