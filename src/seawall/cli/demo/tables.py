"""The demo's own tables, and what is asked of them and of seawall's."""

from dataclasses import dataclass
from typing import Any

from seawall.cli.demo import data

PIPELINE = "seawall-demo"
RUN_ID = "flights-2013"
STEP = "load"
REPORT_STEP = "report"
FLIGHTS = "seawall_demo.flights"

_CREATE = """
CREATE SCHEMA IF NOT EXISTS seawall_demo;
CREATE TABLE IF NOT EXISTS seawall_demo.airports (faa text PRIMARY KEY, name text NOT NULL);
CREATE TABLE IF NOT EXISTS seawall_demo.carriers (
    carrier text PRIMARY KEY,
    name text NOT NULL,
    source text NOT NULL CHECK (source IN ('api', 'file'))
);
CREATE TABLE IF NOT EXISTS seawall_demo.flights (
    n int PRIMARY KEY,
    year int NOT NULL, month int NOT NULL, day int NOT NULL,
    dep_time int NOT NULL, sched_dep_time int NOT NULL, dep_delay int,
    arr_time int, sched_arr_time int NOT NULL, arr_delay int,
    carrier text NOT NULL, flight int NOT NULL, tailnum text, origin text NOT NULL,
    dest text NOT NULL REFERENCES seawall_demo.airports,
    air_time int, distance int NOT NULL, hour int NOT NULL, minute int NOT NULL,
    time_hour timestamptz NOT NULL
);
"""

_DROP = "DROP SCHEMA IF EXISTS seawall_demo CASCADE"

_FORGET = (
    "DELETE FROM seawall.runs WHERE run_id = $1",
    "DELETE FROM seawall.quarantined_records WHERE run_id = $1",
    "DELETE FROM seawall.retry_attempts WHERE run_id = $1",
    "DELETE FROM seawall.circuit_breaker_transitions WHERE run_id = $1",
    "DELETE FROM seawall.error_details WHERE run_id = $1",
)

_ADD_AIRPORTS = """
INSERT INTO seawall_demo.airports (faa, name)
SELECT * FROM unnest($1::text[], $2::text[])
ON CONFLICT DO NOTHING
"""

SAVE_CARRIER = """
INSERT INTO seawall_demo.carriers (carrier, name, source) VALUES ($1, $2, $3)
ON CONFLICT (carrier) DO UPDATE SET name = excluded.name, source = excluded.source
WHERE carriers.source = 'file' OR excluded.source = 'api'
"""

_COUNTS = """
SELECT (SELECT count(*) FROM seawall_demo.flights) AS loaded,
       (SELECT count(DISTINCT n) FROM seawall_demo.flights) AS distinct_loaded,
       count(*) AS quarantined,
       count(DISTINCT position #>> '{}') AS distinct_quarantined,
       count(*) FILTER (WHERE column_name = 'dep_time') AS never_departed,
       count(*) FILTER (WHERE constraint_name = 'flights_dest_fkey') AS unknown_airport,
       count(*) FILTER (WHERE column_name = 'dep_time' AND reasons::text LIKE '%flights_dest_fkey%')
           AS both,
       (SELECT count(*) FROM seawall_demo.flights f
        WHERE EXISTS (SELECT FROM seawall.quarantined_records q
                      WHERE q.run_id = $1 AND (q.position #>> '{}')::int = f.n)) AS in_both_places
FROM seawall.quarantined_records
WHERE run_id = $1
"""

_TOTALS = """
SELECT c.read_count, c.write_count, c.skip_count, c.batch_count, c.retry_count,
       (SELECT count(*) FROM seawall.retry_attempts a
        WHERE a.run_id = $1 AND a.outcome = 'scheduled') AS attempts,
       (SELECT count(*) FROM seawall.circuit_breaker_transitions t
        WHERE t.run_id = $1) AS transitions,
       (SELECT json_object_agg(reason, records)::text FROM (
            SELECT reason, count(*) AS records FROM seawall.quarantined_records
            WHERE run_id = $1 GROUP BY reason ORDER BY records DESC) q) AS by_reason
FROM seawall.checkpoints c
WHERE c.run_id = $1 AND c.step = $2
"""


async def prepare(connection: Any, *, fresh: bool) -> None:
    """Make the tables and fill the airports; with ``fresh``, from nothing."""
    async with connection.transaction():
        if fresh:
            await connection.execute(_DROP)
            for query in _FORGET:
                await connection.execute(query, RUN_ID)
        await connection.execute(_CREATE)
        codes, names = zip(*data.airports(), strict=True)
        await connection.execute(_ADD_AIRPORTS, codes, names)


async def totals(connection: Any) -> Any:
    """The run's counters, over all its restarts."""
    return await connection.fetchrow(_TOTALS, RUN_ID, STEP)


@dataclass(frozen=True, slots=True)
class Wrong:
    """A count that is not what it must be."""

    what: str
    expected: int
    found: int

    def __str__(self) -> str:
        return f"{self.what}: {self.found:,} instead of {self.expected:,}"


async def check(connection: Any, rows_read: int) -> list[Wrong]:
    """Ask the database whether every flight is in its one place; what is off."""
    row = await connection.fetchrow(_COUNTS, RUN_ID)
    aside = data.FLIGHTS - data.LOADED
    expectations = [
        ("rows read", data.FLIGHTS, rows_read),
        ("rows in flights", data.LOADED, row["loaded"]),
        ("different rows in flights", data.LOADED, row["distinct_loaded"]),
        ("rows in quarantine", aside, row["quarantined"]),
        ("different rows in quarantine", aside, row["distinct_quarantined"]),
        ("flights that never departed", data.NEVER_DEPARTED, row["never_departed"]),
        (
            "other flights to unknown airports",
            data.UNKNOWN_AIRPORT - data.BOTH,
            row["unknown_airport"],
        ),
        ("flights that are both", data.BOTH, row["both"]),
        ("rows in both places", 0, row["in_both_places"]),
    ]
    return [Wrong(*each) for each in expectations if each[1] != each[2]]
