"""How often burn-rate alerts are false, and how soon they come: months in virtual time.

    python benchmarks/budget_simulation.py [--months 200] [--outages 200]

Runs end at random (Poisson), the objective is 0.99, and the rules are asked every minute, as the
elected job does. *Healthy*: 0.5 % of runs fail. *Outage*: 30 % fail, from a moment on, in a
pipeline that was healthy for three days. The same code decides as in the library.
"""

import argparse
import random
import statistics
import sys
from dataclasses import dataclass, field
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "src"))

from seawall.budget.alert import Reading, judge
from seawall.budget.counts import Counts
from seawall.budget.rule import MIN_FAILURES, SHORT_EVENTS, Severity, default_rules

OBJECTIVE = 0.99
HEALTHY, OUTAGE = 0.005, 0.3
HOUR, DAY = 60, 1440  # minutes


@dataclass(slots=True)
class Pipeline:
    """A pipeline's runs, a minute at a time, and the alert on them."""

    rng: random.Random
    runs_per_hour: float
    bad: list[int] = field(default_factory=lambda: [0])  # sums up to each minute
    total: list[int] = field(default_factory=lambda: [0])
    ends: list[int] = field(default_factory=list)  # the minute of each run's end
    firing: Severity | None = None
    cut: int = 0  # windows reach no further back
    next_run: float = 0.0

    @property
    def now(self) -> int:
        return len(self.total) - 1

    def minute(self, failure_rate: float) -> str | None:
        """One minute passes; ``page``, ``ticket`` or ``resolved`` where the alert changes."""
        count, bad, now = 0, 0, self.now + 1
        while self.next_run < now:
            count += 1
            bad += self.rng.random() < failure_rate
            self.next_run += self.rng.expovariate(self.runs_per_hour / HOUR)
        self.bad.append(self.bad[-1] + bad)
        self.total.append(self.total[-1] + count)
        self.ends.extend([now] * count)
        return self._ask()

    def _since(self, minute: int) -> Counts:
        start = max(minute, self.cut, 0)
        bad = self.bad[-1] - self.bad[start]
        return Counts(self.total[-1] - self.total[start] - bad, bad)

    def _ask(self) -> str | None:
        if self.firing is None and not self._may_fire():
            return None
        last = self.ends[-SHORT_EVENTS] - 1 if len(self.ends) >= SHORT_EVENTS else 0
        readings = [
            Reading(self._since(self.now - long), self._since(min(self.now - short, last)))
            for long, short in MINUTES
        ]
        verdict = judge(self.firing, RULES, readings, OBJECTIVE)
        before, self.firing = self.firing, verdict.severity
        if verdict.severity is before:
            return None
        if verdict.severity is None:
            self.cut = self.now
            return "resolved"
        return verdict.severity.value

    def _may_fire(self) -> bool:
        """Whether some long window holds what its rule needs: most minutes end here."""
        bad, total, now = self.bad, self.total, self.now
        for (long, _), rule in zip(MINUTES, RULES, strict=True):
            start = max(now - long, self.cut, 0)
            failed = bad[-1] - bad[start]
            needed = rule.burn_rate * (1 - OBJECTIVE) * (total[-1] - total[start])
            if failed >= MIN_FAILURES and failed >= needed * 0.999:
                return True
        return False


RULES = default_rules(OBJECTIVE)
MINUTES = [(int(rule.long_seconds / 60), int(rule.short_seconds / 60)) for rule in RULES]


def healthy_months(
    runs_per_hour: float, months: int, seed: int, failure_rate: float = HEALTHY
) -> tuple[float, float]:
    """Pages and tickets a month of 30 days."""
    pipeline = Pipeline(random.Random(f"{seed} healthy {runs_per_hour}"), runs_per_hour)
    told = [pipeline.minute(failure_rate) for _ in range(months * 30 * DAY)]
    return told.count("page") / months, told.count("ticket") / months


@dataclass(frozen=True, slots=True)
class OutageFigures:
    """Minutes to the first page (median and nine in ten), alerts an outage, minutes to the end."""

    median: float
    ninth: float
    pages: float
    reset: float
    false_after: float


def outages(
    runs_per_hour: float, count: int, seed: int, *, hours: int = 24, days_around: int = 3
) -> OutageFigures:
    """``count`` outages of ``hours``, each after some healthy days and before as many."""
    delays: list[float] = []
    pages, resets, after = 0, [], 0
    for n in range(count):
        pipeline = Pipeline(random.Random(f"{seed} outage {runs_per_hour} {n}"), runs_per_hour)
        for _ in range(days_around * DAY):
            pipeline.minute(HEALTHY)
        first = None
        for minute in range(1, hours * HOUR + 1):
            if pipeline.minute(OUTAGE) == "page":
                pages += 1
                first = first or minute
        delays.append(float("inf") if first is None else first)
        over = None
        for minute in range(1, days_around * DAY + 1):
            told = pipeline.minute(HEALTHY)
            over = over or (minute if told == "resolved" else None)
            after += told in ("page", "ticket")
        resets.append(float("inf") if over is None else over)
    return OutageFigures(
        statistics.median(delays), statistics.quantiles(delays, n=10)[-1], pages / count,
        statistics.median(resets), after / count,
    )  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description="How often alerts are false, and how soon.")
    parser.add_argument("--months", type=int, default=200)
    parser.add_argument("--outages", type=int, default=200)
    parser.add_argument("--seed", type=int, default=2026)
    given = parser.parse_args()
    print(
        f"objective {OBJECTIVE}, {given.months} healthy months and {given.outages} outages a line"
    )
    for runs_per_hour in (2, 10, 60):
        pages, tickets = healthy_months(runs_per_hour, given.months, given.seed)
        at_limit = healthy_months(
            runs_per_hour, max(1, given.months // 4), given.seed, 1 - OBJECTIVE
        )
        found = outages(runs_per_hour, given.outages, given.seed)
        print(
            f"{runs_per_hour} runs/h: {pages:.3f} pages + {tickets:.3f} tickets a healthy month "
            f"({at_limit[0]:.2f} + {at_limit[1]:.2f} where exactly the objective is met)\n"
            f"    30 % failures: paged after {found.median:.0f} min (median), {found.ninth:.0f} min "
            f"(nine in ten); {found.pages:.2f} pages in 24 h; over {found.reset:.0f} min after its "
            f"end; {found.false_after:.2f} alerts in the three days after"
        )


if __name__ == "__main__":
    main()
