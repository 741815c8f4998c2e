"""Made-up months of a pipeline: what a store would give an analysis, without a database."""

import random
from collections import defaultdict
from datetime import UTC, datetime, timedelta

from seawall.analysis.store import (
    RUNS,
    WORK,
    Bucket,
    RunHistory,
    Series,
    ValueCount,
)

NOW = datetime(2026, 3, 4, 12, 0, tzinfo=UTC)
STEPS, HOSTS = ("extract", "transform", "load"), ("a", "b", "c", "d")


class History:
    """Steps that end every five minutes on each host, by one random generator.

    Args:
        rate: ``(at, step, host) -> chance of failure``.
        days: how much of it.
        every: minutes between two ends of each step on each host.
    """

    def __init__(
        self,
        rate,
        *,
        seed=1,
        days=12,
        every=5,
        now=NOW,
        release=lambda at, host: "1.4",
        error=lambda at, step, host: ("transient", "TimeoutError"),
    ):
        generator = random.Random(seed)
        self.now, self.days = now, days
        self.cells = defaultdict(lambda: [0, 0])
        at = now - timedelta(days=days)
        while at < now:
            start = at if at >= now - timedelta(hours=26) else at.replace(minute=0)
            for step in STEPS:
                for host in HOSTS:
                    failed = generator.random() < rate(at, step, host)
                    released = release(at, host)
                    attributes = {
                        WORK: "",
                        "step": step,
                        "host": host,
                        "release": released,
                        "partition": "0",
                        "step × host": f"{step} × {host}",
                        "step × release": f"{step} × {released}",
                    }
                    if failed:
                        attributes["error_type"], attributes["exception"] = error(at, step, host)
                    for dimension, value in attributes.items():
                        counts = self.cells[start, dimension, value]
                        counts[0] += failed
                        counts[1] += 1
            at += timedelta(minutes=every)

    def series(self):
        work = [
            Bucket(start, *counts)
            for (start, dimension, _), counts in sorted(self.cells.items())
            if dimension == WORK
        ]
        return Series(self.now, work, [])

    def values(self, since, until):
        found = {}
        for (start, dimension, value), (failures, total) in sorted(self.cells.items()):
            if dimension in (WORK, RUNS):
                continue
            counts = found.setdefault((dimension, value), [0, 0, 0, 0, start])
            if since <= start < until:
                counts[0] += failures
                counts[1] += total
            elif start < since:
                counts[2] += failures
                counts[3] += total
        return [ValueCount(*key, *counts) for key, counts in found.items()]


def analysis_of(history, *, readings=(), budget=None, runs=None):
    from seawall.analysis.analyst import Window, build_analysis
    from seawall.analysis.causes import sudden_failures
    from seawall.analysis.findings import change_points, factor_of, last_raised

    series = history.series()
    changes = change_points(series.work)
    start = history.now - timedelta(days=history.days)
    since, until, is_rise = last_raised(changes, start, history.now)
    window = Window(since, until, history.values(since, until), is_rise=is_rise)
    if not is_rise or until < history.now:
        for minutes in (10, 55):
            recent = history.now - timedelta(minutes=minutes + 5)
            values = history.values(recent, history.now)
            if found := sudden_failures(values, factor_of(series.work)(history.now)):
                window = Window(recent, history.now, values, is_rise=True, sudden=found)
                break
    return build_analysis(
        "flights", history.days, series, changes, window,
        runs or RunHistory(0, 0, 0.0, []), readings, budget,
    )  # fmt: skip
