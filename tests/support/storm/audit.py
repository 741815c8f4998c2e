"""After a storm: where is each row, and did a worker commit that had lost its step?"""

import json
from collections import Counter, defaultdict
from dataclasses import dataclass, field

from support.storm.worker import is_bad

_ASIDE = "its worker died again and again while it was processed"


@dataclass
class Findings:
    """What is wrong; all zero where nothing is.

    Attributes:
        rows: in the source.
        commits: batches.
        lost, doubled: rows in neither, and in more than one place.
        stale: commits under an older fence than one before it, and overlapping ones.
        wrong: what else is not as it must be.
    """

    rows: int = 0
    commits: int = 0
    lost: int = 0
    doubled: int = 0
    stale: int = 0
    wrong: list = field(default_factory=list)

    def add(self, other):
        self.rows += other.rows
        self.commits += other.commits
        self.lost += other.lost
        self.doubled += other.doubled
        self.stale += other.stale
        self.wrong += other.wrong

    @property
    def clean(self):
        return not (self.lost or self.doubled or self.stale or self.wrong)


async def audit(server, job):
    """Compare the database with the source of ``job``."""
    found = Findings(rows=job["partitions"] * job["rows"])
    if job["outside"]:
        await _outside(server, job, found)
        return found
    await _rows(server, job, found)
    await _commits(server, job, found)
    await _checkpoints(server, job, found)
    return found


async def _rows(server, job, found):
    loaded = await server.fetch("SELECT partition, n, word FROM numbers")
    aside = await server.fetch(
        "SELECT partition, (position #>> '{}')::int AS n, reason FROM seawall.quarantined_records"
    )
    places = Counter((row["partition"], row["n"]) for row in [*loaded, *aside])
    source = {(p, n) for p in range(job["partitions"]) for n in range(1, job["rows"] + 1)}
    found.lost = len(source - places.keys())
    found.doubled = sum(count - 1 for count in places.values())
    if strange := places.keys() - source:
        found.wrong.append(f"rows that the source never had: {sorted(strange)[:5]}")
    if refused := [row["n"] for row in loaded if is_bad(row["n"])]:
        found.wrong.append(f"bad rows in the table: {refused[:5]}")
    innocent = [r for r in aside if not is_bad(r["n"]) and not r["reason"].startswith(_ASIDE)]
    if innocent:
        found.wrong.append(f"good rows in quarantine: {[dict(row) for row in innocent[:3]]}")


async def _outside(server, job, found):
    """At least once: each record under exactly one key, and a key always with the same records."""
    by_key = {}
    with open(job["outside"]) as file:
        for line in file:
            key, records = json.loads(line)
            if by_key.setdefault(key, records) != records:
                found.wrong.append(f"key {key} with other records: {records}")
    given = Counter(n for records in by_key.values() for n in records)
    aside = await server.fetch(
        "SELECT (position #>> '{}')::int AS n, reason FROM seawall.quarantined_records"
    )
    given.update(row["n"] for row in aside if row["reason"].startswith(_ASIDE))
    source = set(range(1, job["rows"] + 1))
    found.commits = len(by_key)
    found.lost = len(source - given.keys())
    found.doubled = sum(count - 1 for count in given.values())
    bad = Counter(row["n"] for row in aside if is_bad(row["n"]))
    if bad != Counter(n for n in source if is_bad(n)):
        found.wrong.append(f"in quarantine: {sorted(bad.items())[:20]}")


async def _commits(server, job, found):
    """In the order of the commits: fences never go back, ranges never meet, none is missing."""
    rows = await server.fetch(
        "SELECT partition, fence, first, last FROM commits ORDER BY pg_xact_commit_timestamp(xmin)"
    )
    found.commits = len(rows)
    fences, ranges = defaultdict(int), defaultdict(list)
    for row in rows:
        partition = row["partition"]
        if row["fence"] < fences[partition]:
            found.stale += 1
        fences[partition] = row["fence"]
        ranges[partition].append((row["first"], row["last"]))
    for partition, each in ranges.items():
        end = 0
        for first, last in sorted(each):
            if first <= end:
                found.stale += 1
            elif first != end + 1:
                found.wrong.append(f"partition {partition}: no commit for {end + 1} to {first - 1}")
            end = last
        if end != job["rows"]:
            found.wrong.append(f"partition {partition}: the commits end at {end}")


async def _checkpoints(server, job, found):
    rows = await server.fetch(
        "SELECT partition, position #>> '{}' AS position, ahead::text, status, read_count, "
        "skip_count, batch_count FROM seawall.checkpoints"
    )
    commits = Counter(
        row["partition"] for row in await server.fetch("SELECT partition FROM commits")
    )
    if len(rows) != job["partitions"]:
        found.wrong.append(f"{len(rows)} checkpoints")
    for row in rows:
        said = (row["position"], row["ahead"], row["status"], row["read_count"], row["batch_count"])
        right = (str(job["rows"]), None, "finished", job["rows"], commits[row["partition"]])
        if said != right:
            found.wrong.append(f"checkpoint of partition {row['partition']}: {said}, not {right}")
