"""Rounds of work, with faults at random moments, each followed by an audit."""

import asyncio
import contextlib
import random
import time
from collections import Counter
from dataclasses import dataclass, field

import asyncpg

from support.storm.audit import Findings, audit
from support.storm.faults import KINDS
from support.storm.fleet import Fleet

LEASE = 1.0  # seconds

# What a worker may end by, in a storm: the next one goes on. All else is a mistake of ours.
EXPECTED = {
    "StaleRunError", "DatabaseUnavailableError", "DiskFullError", "ConnectionDoesNotExistError",
    "ConnectionResetError", "ConnectionRefusedError", "CannotConnectNowError",
    "AdminShutdownError", "CrashShutdownError", "TooManyConnectionsError", "TimeoutError",
}  # fmt: skip

OUTSIDE = "one step, two processes, a sink outside"

# processes, partitions, partitions at a time in each, batches side by side
SCENARIOS = {
    "one step, three processes": (3, 1, 1, 1),
    "six partitions, three processes": (3, 6, 1, 1),
    "one process, four batches side by side": (1, 1, 1, 4),
    "one step, three processes, four batches side by side": (3, 1, 1, 4),
    "four partitions, two processes, two at a time, three batches each": (2, 4, 2, 3),
    OUTSIDE: (2, 1, 1, 1),
}


@dataclass
class Tally:
    """What a whole storm came to."""

    seed: int
    faults: Counter = field(default_factory=Counter)
    ends: Counter = field(default_factory=Counter)
    odd: list = field(default_factory=list)
    findings: Findings = field(default_factory=Findings)
    rounds: int = 0
    hung: list = field(default_factory=list)
    seconds: float = 0.0

    @property
    def clean(self):
        return self.findings.clean and not self.odd and not self.hung

    def table(self):
        found = self.findings
        lines = [
            *(f"{name:32} {number:6}" for name, number in sorted(self.faults.items())),
            f"{'faults':32} {self.faults.total():6}",
            "",
            *(f"process ended: {name:17} {number:6}" for name, number in self.ends.most_common()),
            "",
            *(
                f"{name:32} {value:6}"
                for name, value in (
                    ("rounds", self.rounds), ("rows", found.rows), ("commits", found.commits),
                    ("lost", found.lost), ("doubled", found.doubled),
                    ("stale commits", found.stale), ("seconds", round(self.seconds)),
                    ("seed", self.seed),
                )
            ),
        ]  # fmt: skip
        for title, texts in (("wrong", found.wrong), ("hung", self.hung), ("odd end", self.odd)):
            lines += [f"{title}: {text}" for text in texts]
        return "\n".join(lines)


class Storm:
    """One round: a fleet at its work, and what strikes it."""

    def __init__(self, server, fleet, rng):
        self.server, self.fleet, self.random = server, fleet, rng
        self.lease = LEASE
        self.struck = Counter()

    def somebody(self):
        """A worker that lives and is not frozen; None where there is none."""
        able = [each for each in self.fleet.workers if each.alive and not each.frozen]
        return self.random.choice(able) if able else None

    async def pause(self, least, most):
        await asyncio.sleep(self.random.uniform(least, most))

    async def blow(self, kinds):
        """Let these strike, two at a time at the most, until the work is done."""
        two = asyncio.Semaphore(2)
        strikes = set()

        async def strike(name):
            try:
                if await KINDS[name][0](self):
                    self.struck[name] += 1
            finally:
                two.release()

        for name in kinds:
            await two.acquire()
            if all(each.done for each in self.fleet.workers):
                two.release()
                break
            strikes.add(asyncio.ensure_future(strike(name)))
            await self.pause(0.05, 0.5)
        for each in await asyncio.gather(*strikes, return_exceptions=True):
            if isinstance(each, BaseException):
                raise each


async def run(server, faults, seed, *, per_round=20, work=1.0, say=print):
    """Rounds until so many faults have struck.

    Args:
        server: a started ``StormServer``.
        faults: how many, all kinds together.
        seed: of all that is left to chance here; what the machine does with it is its own.
        per_round: faults in a round, of which there is one for each scenario in turn.
        work: how much there is to do in a round.
    """
    rng, tally, started = random.Random(seed), Tally(seed), time.monotonic()
    bag = _bag(rng)
    while tally.faults.total() < faults:
        name = list(SCENARIOS)[tally.rounds % len(SCENARIOS)]
        keyed = rng.random() < 0.5
        left = faults - tally.faults.total()
        began = time.monotonic()
        await _round(server, tally, name, rng, bag, min(per_round, left), work, keyed=keyed)
        say(
            f"{name}{', keyed' if keyed else ''}: {tally.faults.total()} faults so far, "
            f"{time.monotonic() - began:.0f} s"
        )
        if not tally.clean:
            break
    tally.seconds = time.monotonic() - started
    return tally


def _bag(rng):
    """Every kind comes as often as its weight says, in an order of chance."""
    every = [name for name, (_, weight) in KINDS.items() for _ in range(weight)]
    while True:
        yield from rng.sample(every, len(every))


async def _round(server, tally, name, rng, bag, faults, work, *, keyed):
    processes, partitions, at_a_time, concurrency = SCENARIOS[name]
    await server.make_tables(keyed=keyed)
    wide = rng.random() < 0.3  # a batch is then more than a COPY sends at once
    job = {
        "run": f"round {tally.rounds}",
        "partitions": partitions,
        "rows": round(work * 9_000 / partitions * (1 if concurrency == 1 else 2)),
        "size": 40 if wide else 20,
        "width": 20_000 if wide else 200,
        "concurrency": concurrency,
        "at_a_time": at_a_time,
        "lease": LEASE,
        "pause": 0.03,
        "outside": str(server.folder / f"sink {tally.rounds}") if name == OUTSIDE else None,
    }
    tally.rounds += 1
    async with Fleet(server, job, processes, EXPECTED) as fleet:
        storm = Storm(server, fleet, rng)
        await begun(server)
        await storm.blow(kind for _, kind in zip(range(faults), bag, strict=False))
        ended = await fleet.ended(90)
        tally.faults += storm.struck
        tally.ends += fleet.ends
        tally.odd += fleet.odd
        if not ended:
            waits = await server.fetch(
                "SELECT pid, state, wait_event, pg_blocking_pids(pid) AS blocked_by, "
                "left(query, 80) AS query FROM pg_stat_activity WHERE usename IS NOT NULL"
            )
            tally.hung.append(f"{name}: " + "\n".join(str(dict(row)) for row in waits))
            return
    tally.findings.add(await audit(server, job))


async def begun(server):
    """Wait for the first commit: a storm over processes that still import says little."""
    query = "SELECT FROM seawall.checkpoints WHERE version > 0 LIMIT 1"
    while True:
        with contextlib.suppress(asyncpg.UndefinedTableError):
            if await server.fetch(query):
                return
        await asyncio.sleep(0.05)
