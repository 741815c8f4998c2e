"""The SQL function that hands out the fleet's tokens, asked by workers that a test plays."""

import json

import asyncpg
import pytest

LIMITER = {
    "kind": "rate_limiter", "name": "api", "part": 0, "capacity": 10, "per_second": 1, "held": 0,
    "waiting": 0, "leaving": False,
}  # fmt: skip
BUDGET = LIMITER | {"kind": "retry_budget", "per_second": 0}


class Fleet:
    def __init__(self, connection):
        self.connection = connection

    async def asks(self, worker, amount, request=LIMITER, **more):
        rows = await self.connection.fetch(
            "SELECT seawall.fleet_tokens_exchange($1, $2, 15)",
            worker,
            json.dumps([request | {"amount": amount} | more]),
        )
        return json.loads(rows[0][0])

    async def granted(self, *args, **more):
        return (await self.asks(*args, **more))["granted"]

    async def later(self, seconds):
        """Let time pass, by moving what is written into the past."""
        for table, column in (("fleet_tokens", "refilled_at"), ("fleet_token_holders", "seen_at")):
            await self.connection.execute(
                f"UPDATE seawall.{table} SET {column} = {column} - make_interval(secs => $1)",  # noqa: S608 - a test's own names
                seconds,
            )


@pytest.fixture
async def fleet(workers, database_dsn):
    await workers(1)
    connection = await asyncpg.connect(database_dsn)
    yield Fleet(connection)
    await connection.close()


async def test_exchange_grants_what_is_there_and_says_when_there_is_more(fleet):
    assert await fleet.granted("a", 6) == 6
    answer = await fleet.asks("b", 6)
    assert answer["granted"] == 4
    assert answer["wait"] == pytest.approx(1, abs=0.1)
    assert answer["holders"] == 2


async def test_exchange_counts_what_workers_hold_in_the_capacity(fleet):
    """Tokens come back by time, but never more than the capacity with those that are held."""
    await fleet.asks("a", 6)
    await fleet.later(14)
    assert await fleet.granted("b", 100) == 4
    assert await fleet.granted("a", 100, held=1) == 0
    await fleet.later(14)
    assert await fleet.granted("a", 100, held=0) == 6


async def test_exchange_takes_what_waiting_calls_get_for_spent(fleet):
    await fleet.asks("a", 6, waiting=6)
    await fleet.later(14)
    assert await fleet.granted("b", 100) == 10


async def test_exchange_gives_back_what_is_given_back(fleet):
    await fleet.asks("a", 10)
    await fleet.asks("a", -7, leaving=True)
    answer = await fleet.asks("b", 100)
    assert (answer["granted"], answer["holders"]) == (7, 1)


async def test_exchange_forgets_a_worker_that_is_silent(fleet):
    """Killed with six tokens: they are lost, what comes by time is not."""
    await fleet.asks("a", 6)
    await fleet.later(16)
    answer = await fleet.asks("b", 100)
    assert (answer["granted"], answer["holders"]) == (10, 1)


async def test_exchange_clock_that_steps_back_makes_no_tokens(fleet):
    await fleet.asks("a", 10, waiting=10)
    await fleet.later(-3600)
    assert await fleet.granted("a", 10) == 0


async def test_exchange_splits_a_budget_and_draws_the_last_of_it_by_lot(fleet):
    names = [f"w{n}" for n in range(40)]
    for name in names:
        await fleet.asks(name, 0, BUDGET)
    drawn = [await fleet.granted(name, 0, BUDGET) for name in names]
    assert set(drawn) == {0, 1}
    assert 1 <= sum(drawn) <= 25  # ten of them on the average
    assert await fleet.granted("w0", -10, BUDGET) == 0
