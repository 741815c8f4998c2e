"""A worker that dies at each point of a batch's life: what is committed then, and after a restart."""

import json
import subprocess
import sys
from pathlib import Path

import asyncpg
import pytest

from support.crash_points import ALL, NOTHING, POINTS, WITH, table
from support.crash_worker import BAD, DIED, SIZE, TARGET, TOTAL

WORKER = Path(__file__).parents[2] / "support" / "crash_worker.py"
DOCS = Path(__file__).parents[3] / "docs" / "failure-model.md"
EVERY = set(range(1, TOTAL + 1))
FIRST, SECOND, THIRD = (set(range(n, n + SIZE)) for n in (1, SIZE + 1, 2 * SIZE + 1))


@pytest.fixture(scope="module")
def work():
    """A function that does a job in a process, and returns its exit status."""
    with subprocess.Popen(
        [sys.executable, str(WORKER)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:

        def work(**job):
            process.stdin.write(json.dumps(job) + "\n")
            process.stdin.flush()
            return int(process.stdout.readline())

        yield work
        process.stdin.close()


@pytest.fixture
async def connection(database_dsn):
    connection = await asyncpg.connect(database_dsn)
    await connection.execute(
        "CREATE TABLE numbers (n int, word text NOT NULL CHECK (word <> 'bad'))"  # no key
    )
    yield connection
    await connection.close()


async def settled(connection):
    """The records in the table and in quarantine, none twice; and the checkpoint's row."""
    # The lock waits for a backend that may still be at its COMMIT.
    row = await connection.fetchrow(
        "SELECT position #>> '{}' AS position, ahead::text, read_count, status "
        "FROM seawall.checkpoints FOR UPDATE"
    )
    loaded = [each["n"] for each in await connection.fetch("SELECT n FROM numbers")]
    query = "SELECT (position #>> '{}')::int AS n FROM seawall.quarantined_records"
    aside = [each["n"] for each in await connection.fetch(query)]
    assert len(loaded) == len(set(loaded))
    assert len(aside) == len(set(aside))
    assert set(aside) <= BAD
    assert not set(loaded) & BAD
    return set(loaded), set(aside), row


def expected_at(point):
    """The records whose batches are committed, and the spans ahead of the position."""
    if point.holds in (NOTHING, ALL):
        return (EVERY if point.holds == ALL else set()), None
    second = SECOND if point.holds == WITH else set()
    if point.form == "side by side":  # the first batch is in flight, the third is done
        spans = [[11, 20, True]] if second else []
        return second | THIRD, [*spans, [21, 30, True]]
    spans = [[SIZE + 1, 2 * SIZE, False]] if point.announced else None
    return FIRST | second, spans


def deliveries(sink):
    return [json.loads(line) for line in sink.read_text().splitlines()] if sink.exists() else []


@pytest.mark.timeout(60)
@pytest.mark.parametrize("point", POINTS, ids=lambda point: f"{point.form}: {point.name}")
async def test_worker_that_dies_leaves_what_the_point_says_and_a_restart_ends_right(
    point, work, connection, database_dsn, tmp_path
):
    sink = tmp_path / "sink"
    job = {"dsn": database_dsn, "form": point.form, "sink": str(sink)}
    lanes = 3 if point.form == "side by side" else 1
    assert work(**job, point=point.name, size=SIZE, concurrency=lanes) == DIED

    loaded, aside, row = await settled(connection)
    committed, ahead = expected_at(point)
    if point.form == "acknowledged":
        assert aside == committed & BAD
        assert (TARGET in [key for key, _ in deliveries(sink)]) == point.given
    else:
        assert loaded | aside == committed
    if row is not None:
        assert row["read_count"] == len(committed)
        assert (json.loads(row["ahead"]) if row["ahead"] else None) == ahead

    # Other sizes, other lanes: what was done and what was announced stays as it was.
    assert work(**job, point=None, size=7, concurrency=2 if lanes > 1 else 1) == 0
    loaded, aside, row = await settled(connection)
    assert aside == BAD
    assert (row["position"], row["ahead"], row["read_count"], row["status"]) == (
        str(TOTAL), None, TOTAL, "finished",
    )  # fmt: skip
    if point.form == "acknowledged":
        check_deliveries(point, deliveries(sink))
    else:
        assert loaded == EVERY - BAD


def check_deliveries(point, given):
    """Every record at least once, and under one key only; a key always with the same records."""
    by_key = {}
    for key, records in given:
        assert by_key.setdefault(key, records) == records
    assert sorted(n for records in by_key.values() for n in records) == sorted(EVERY - BAD)
    assert (by_key[TARGET] == sorted(SECOND - BAD)) == (point.announced or point.holds == WITH)
    twice = [key for key, _ in given].count(TARGET) == 2
    assert twice == (point.given and point.holds != WITH)


def test_points_are_those_of_the_documentation():
    text = DOCS.read_text()
    for form in ("alone", "side by side", "acknowledged"):
        assert table(form) in text, f"put this into {DOCS.name}:\n{table(form)}"
