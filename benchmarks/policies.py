"""What do the policies cost a call that succeeds, and a call that is refused?

Prints, for each, the nanoseconds over a bare ``await f()`` (median and least of interleaved rounds)
and the ratio to tenacity's ``AsyncRetrying`` in the same run. ``--json`` prints the same as JSON;
``--check`` fails where a bound of the project is passed.
"""

import argparse
import asyncio
import gc
import json
import logging
import statistics
import sys
import time

import tenacity

from seawall.circuitbreaker import CircuitBreaker
from seawall.errors import CircuitOpenError
from seawall.events import EventBus
from seawall.fallback import fallback
from seawall.pipeline import Policy
from seawall.retry import RetryPolicy, retry

# Nanoseconds over bare; those without a bound are shown for comparison.
BOUNDS = {
    "retry": 200,
    "breaker, consecutive": 220,
    "breaker, rate over 100": 220,
    "retry + breaker": 260,
    "breaker open, refused": 600,
}


async def operation():
    return None


async def other():
    return None


class FailsEveryOther:
    def __init__(self):
        self.calls = 0

    async def __call__(self):
        self.calls += 1
        if self.calls % 2:
            raise ConnectionError


def subjects():
    quiet = EventBus()
    opened = CircuitBreaker("opened", bus=quiet)
    opened.force_open()
    under = RetryPolicy(bus=quiet)
    both = Policy(retry=under, breaker=CircuitBreaker("both", bus=quiet))
    three = Policy(fallback=other, retry=under, breaker=CircuitBreaker("three", bus=quiet))
    return {
        "bare": operation,
        "retry": retry(under)(operation),
        "breaker, consecutive": CircuitBreaker("runs", bus=quiet)(operation),
        "breaker, rate over 100": CircuitBreaker("rate", failure_rate_threshold=50, bus=quiet)(
            operation
        ),
        "retry + breaker": both(operation),
        "fallback": fallback(other, bus=quiet)(operation),
        "fallback + retry + breaker": three(operation),
        "breaker open, refused": opened(operation),
        "retry, deadline": retry(deadline=60, bus=quiet)(operation),
        "retry, attempt_timeout": retry(attempt_timeout=60, bus=quiet)(operation),
        "retry, one failure, no wait": retry(initial_delay=0, bus=quiet)(FailsEveryOther()),
        "tenacity": tenacity.retry(
            stop=tenacity.stop_after_attempt(4), wait=tenacity.wait_exponential()
        )(operation),
        "tenacity, one failure, no wait": tenacity.retry(stop=tenacity.stop_after_attempt(4))(
            FailsEveryOther()
        ),
    }


async def seconds_of(subject, calls):
    start = time.perf_counter()
    for _ in range(calls):
        try:
            await subject()
        except CircuitOpenError:
            pass
    return (time.perf_counter() - start) / calls


async def measure(rounds, calls):
    """Nanoseconds a call, by subject: one short round of each in turn, so that all share the noise."""
    taken = {name: [] for name in subjects()}
    tested = subjects()
    gc.disable()
    for _ in range(rounds):
        for name, subject in tested.items():
            slow = "tenacity" in name or "failure" in name or ("," in name and "retry" in name)
            taken[name].append(await seconds_of(subject, calls // 20 if slow else calls) * 1e9)
        gc.collect()
    gc.enable()
    return taken


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=25)
    parser.add_argument("--calls", type=int, default=20_000)
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--check", action="store_true", help="fail where a bound is passed")
    options = parser.parse_args()
    logging.disable()
    taken = asyncio.run(measure(options.rounds, options.calls))
    bare = statistics.median(taken["bare"])
    least_bare = min(taken["bare"])
    tenacity_over = statistics.median(taken["tenacity"]) - bare
    rows = {
        name: {
            "median_ns_over_bare": statistics.median(times) - bare,
            "least_ns_over_bare": min(times) - least_bare,
            "of_tenacity": (statistics.median(times) - bare) / tenacity_over,
            "bound_ns": BOUNDS.get(name),
        }
        for name, times in taken.items()
        if name != "bare"
    }
    if options.json:
        print(json.dumps({"bare_ns": bare, "rows": rows}, indent=1))
    else:
        print(f"Python {sys.version.split()[0]}, bare await {bare:.0f} ns; nanoseconds over it:")
        for name, row in rows.items():
            bound = "" if row["bound_ns"] is None else f"  bound {row['bound_ns']}"
            print(
                f"{name:<32}{row['median_ns_over_bare']:>9.0f} median"
                f"{row['least_ns_over_bare']:>9.0f} least"
                f"{row['of_tenacity']:>9.4f} of tenacity{bound}"
            )
    passed = [
        n for n, r in rows.items() if r["bound_ns"] and r["median_ns_over_bare"] > r["bound_ns"]
    ]
    if options.check and passed:
        sys.exit(f"over the bound: {', '.join(passed)}")


if __name__ == "__main__":
    main()
