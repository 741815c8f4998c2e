"""What do the policies cost a call, beside other libraries?

Prints, for each, the nanoseconds over a bare ``await f()`` (median and least of short rounds that
take turns, so that all share the machine's noise) and how many times ours that is. ``--json`` prints
the same as JSON; ``--check`` fails where a bound of the project is passed; ``--only`` picks sections;
``--fleet`` adds what needs a server: a shared breaker, and the way of a trip to another process.
"""

import argparse
import asyncio
import gc
import json
import logging
import statistics
import sys
import time
import warnings

import anyio
import peers

from seawall.bulkhead import Bulkhead
from seawall.circuitbreaker import CircuitBreaker
from seawall.events import EventBus
from seawall.fallback import fallback
from seawall.hedge import hedge
from seawall.pipeline import Policy
from seawall.ratelimiter import RateLimiter
from seawall.retry import RetryBudget, RetryPolicy, retry
from seawall.timeout import timeout

# Nanoseconds over bare; those without a bound are shown for comparison.
BOUNDS = {
    ("retry", "seawall"): 200,
    ("breaker", "seawall, consecutive"): 220,
    ("breaker", "seawall, last 100 calls"): 220,
    ("breaker", "seawall, last 60 s"): 330,
    ("breaker", "seawall, slow calls too"): 400,
    ("breaker", "seawall, shared"): 220,
    ("both", "seawall"): 260,
    ("open", "seawall"): 600,
    ("failure", "seawall"): 2_000,
    ("timeout", "seawall"): 1_200,
    ("event", "seawall, no listener"): 100,
}
TITLES = {
    "retry": "retry, a call that succeeds",
    "breaker": "closed circuit breaker",
    "both": "retry and circuit breaker",
    "open": "open circuit breaker, refused",
    "failure": "retry, one failure, no wait",
    "timeout": "timeout, in time",
    "others": "what peers have no such form of",
    "event": "an event",
}
SLOW = ("open", "failure", "timeout")


async def operation():
    return None


class Flaky:
    """Every other call fails."""

    def __init__(self):
        self.calls = 0

    def make(self):
        async def flaky():
            self.calls += 1
            if self.calls % 2:
                raise ConnectionError

        return flaky


async def broken():
    raise ConnectionError


async def other():
    return None


async def with_asyncio():
    async with asyncio.timeout(60):
        return await operation()


async def with_anyio():
    with anyio.fail_after(60):
        return await operation()


def ours():
    """Our subjects, by section."""
    bus = EventBus()
    rate = {"failure_rate_threshold": 50, "bus": bus}
    plain = RetryPolicy(bus=bus)
    opened = CircuitBreaker("opened", bus=bus)
    opened.force_open()
    slow = rate | {"slow_call_duration": 5, "slow_call_rate_threshold": 50}
    everything = Policy(
        fallback=other,
        deadline=60,
        retry=plain,
        breaker=CircuitBreaker("everything", bus=bus),
        bulkhead=Bulkhead(max_concurrent_calls=10, bus=bus),
        rate_limiter=RateLimiter(limit=10**9, bus=bus),
        timeout=60,
    )

    async def emit():
        if bus.listeners:
            raise AssertionError

    return {
        "retry": {
            "seawall": retry(plain)(operation),
            "seawall, budget": retry(budget=RetryBudget("bench"), bus=bus)(operation),
            "seawall, deadline": retry(deadline=60, bus=bus)(operation),
        },
        "breaker": {
            "seawall, consecutive": CircuitBreaker("runs", bus=bus)(operation),
            "seawall, last 100 calls": CircuitBreaker("count", **rate)(operation),
            "seawall, last 60 s": CircuitBreaker("time", sliding_window_seconds=60, **rate)(
                operation
            ),
            "seawall, slow calls too": CircuitBreaker("slow", **slow)(operation),
        },
        "both": {
            "seawall": Policy(retry=plain, breaker=CircuitBreaker("both", bus=bus))(operation),
            "seawall, with fallback": Policy(
                fallback=other, retry=plain, breaker=CircuitBreaker("three", bus=bus)
            )(operation),
        },
        "open": {"seawall": opened(operation)},
        "failure": {"seawall": retry(initial_delay=0, bus=bus)(Flaky().make())},
        "timeout": {
            "seawall": timeout(60)(operation),
            "asyncio.timeout": with_asyncio,
            "anyio.fail_after": with_anyio,
        },
        "others": {
            "seawall bulkhead": Bulkhead(max_concurrent_calls=10, bus=bus)(operation),
            "seawall rate limiter": RateLimiter(limit=10**9, bus=bus)(operation),
            "seawall fallback": fallback(other, bus=bus)(operation),
            "seawall hedge": hedge(60, bus=bus)(operation),
            "seawall, all seven": everything(operation),
        },
        "event": {"seawall, no listener": emit},
    }


async def subjects(sections):
    """{(section, label): subject}, each tried once; and the reasons of those that are none."""
    found, missing = {}, {}
    for section, own in ours().items():
        if section not in sections:
            continue
        target = {"open": broken, "failure": Flaky().make()}.get(section, operation)
        everyone = own | peers.make(section, target)
        for label, subject in everyone.items():
            reason = subject if isinstance(subject, str) else await trial(section, subject)
            if reason is None:
                found[section, label] = subject
            else:
                missing[section, label] = reason
    return found, missing


async def trial(section, subject):
    """Whether it does what it is timed for; None, or why not."""
    if section == "open":
        for _ in range(peers.THRESHOLD + 1):
            try:
                await subject()
            except Exception as error:
                last = error
        return "does not open" if isinstance(last, ConnectionError) else None
    try:
        await subject()
    except Exception as error:
        return f"fails: {type(error).__name__}: {error}"
    return None


async def seconds_of(subject, calls):
    start = time.perf_counter()
    for _ in range(calls):
        await subject()
    return (time.perf_counter() - start) / calls


async def refused_seconds_of(subject, calls):
    start = time.perf_counter()
    for _ in range(calls):
        try:
            await subject()
        except Exception:
            pass
    return (time.perf_counter() - start) / calls


async def measure(found, rounds, calls):
    """Nanoseconds a call: one short round of each in turn."""
    taken = {key: [] for key in [("bare", "bare"), *found]}
    gc.collect()
    gc.disable()
    for _ in range(rounds):
        taken["bare", "bare"].append(await seconds_of(operation, calls) * 1e9)
        for (section, label), subject in found.items():
            timed = refused_seconds_of if section == "open" else seconds_of
            mine = label.startswith("seawall")
            number = calls // (4 if section in SLOW else 1) if mine else calls // 20
            taken[section, label].append(await timed(subject, number) * 1e9)
        gc.collect()
    gc.enable()
    return taken


def rows_of(taken):
    bare = statistics.median(taken["bare", "bare"])
    least = min(taken["bare", "bare"])
    rows = {}
    for key, times in taken.items():
        rows[key] = {
            "median_ns_over_bare": statistics.median(times) - bare,
            "least_ns_over_bare": min(times) - least,
            "bound_ns": BOUNDS.get(key),
        }
    return bare, rows


def show(bare, rows, missing):
    print(f"Python {sys.version.split()[0]}, bare await {bare:.0f} ns; nanoseconds over it")
    print(", ".join(f"{name} {version}" for name, version in peers.versions().items()))
    for section, title in TITLES.items():
        inside = {label: row for (s, label), row in rows.items() if s == section}
        if not inside:
            continue
        first = next(iter(inside.values()))["median_ns_over_bare"]
        print(f"\n{title:<34}{'median':>10}{'least':>10}{'of ours':>10}")
        for label, row in sorted(inside.items(), key=lambda each: each[1]["median_ns_over_bare"]):
            median = row["median_ns_over_bare"]
            times = f"{median / first:.1f} x" if first > 1 else ""
            bound = "" if row["bound_ns"] is None else f"   bound {row['bound_ns']}"
            print(
                f"  {label:<32}{median:>10,.0f}{row['least_ns_over_bare']:>10,.0f}{times:>10}{bound}"
            )
        for (s, label), reason in missing.items():
            if s == section:
                print(f"  {label:<32}{reason}")


async def run(options):
    sections = options.only or list(TITLES)
    if not options.fleet:
        found, missing = await subjects(sections)
        return rows_of(await measure(found, options.rounds, options.calls)), missing, {}
    import fleet

    async with fleet.shared_breaker() as (guarded, database):
        found, missing = await subjects(sections)
        if "breaker" in sections:
            found["breaker", "seawall, shared"] = guarded(operation)
        rows = rows_of(await measure(found, options.rounds, options.calls))
        return rows, missing, await fleet.figures(database)


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--calls", type=int, default=20_000)
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--check", action="store_true", help="fail where a bound is passed")
    parser.add_argument("--only", nargs="*", choices=list(TITLES))
    parser.add_argument("--fleet", action="store_true", help="with a server")
    options = parser.parse_args()
    logging.disable()
    warnings.simplefilter("ignore")
    (bare, rows), missing, shared = asyncio.run(run(options))
    if options.json:
        flat = {" / ".join(key): row for key, row in rows.items()}
        print(json.dumps({"bare_ns": bare, "rows": flat, "fleet": shared}, indent=1))
    else:
        show(bare, rows, missing)
        for name, figure in shared.items():
            print(f"  {name:<50}{figure:>12,.3f} ms")
    passed = [
        " / ".join(key)
        for key, row in rows.items()
        if row["bound_ns"] and row["median_ns_over_bare"] > row["bound_ns"]
    ]
    if options.check and passed:
        sys.exit(f"over the bound: {', '.join(passed)}")


if __name__ == "__main__":
    main()
