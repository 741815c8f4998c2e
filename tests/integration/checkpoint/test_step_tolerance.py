"""How many bad records a run bears: by share, by count, by reason, over all of its restarts."""

import pytest

from seawall import TooManyBadRecordsError
from seawall.checkpoint import Tolerance

JOB = {"run_id": "r", "step": "load", "size": 10, "position": lambda row: row[0]}


@pytest.mark.parametrize(
    ("tolerance", "stops_at", "tolerated"),
    [
        (0.1, 20, "the tolerated 10.0%"),
        (Tolerance(share=0.0, allowance=2), 20, "the tolerated 0.0%"),
        (Tolerance(count=3), 20, "the tolerated 3"),
        (Tolerance(reasons={"23514": 2}), 20, "the 2 tolerated for '23514'"),
        (Tolerance(reasons={"numbers_word_check": 3}), 20, "tolerated for 'numbers_word_check'"),
        (Tolerance(reasons={"new row for relation": 1}), 10, "tolerated for 'new row"),
        (Tolerance(reasons={"23505": 0}), None, None),
    ],
)
async def test_tolerance_passed_stops_with_the_position_intact_and_goes_on_once_mended(
    make_manager, connection, ledger, numbers, tolerance, stops_at, tolerated
):
    bad = {5, 15, 25, 26, 35}
    async with make_manager() as manager:
        if stops_at is None:
            await manager.stream(numbers(60, bad), "numbers", tolerance=tolerance, **JOB)
            await ledger.check(60, bad)
            return
        with pytest.raises(TooManyBadRecordsError, match=tolerated):
            await manager.stream(numbers(60, bad), "numbers", tolerance=tolerance, **JOB)
        await ledger.check(stops_at, {n for n in bad if n <= stops_at})
        report = await manager.stream(numbers(60), "numbers", tolerance=tolerance, **JOB)
    assert report.resumed_from == stops_at
    await ledger.check(60, {n for n in bad if n <= stops_at})


async def test_tolerance_by_reason_counts_over_restarts(make_manager, connection, ledger, numbers):
    options = {**JOB, "tolerance": Tolerance(reasons={"23514": 2})}
    bad = {5, 15, 25}
    for total in (10, 20):
        async with make_manager() as manager:
            await manager.stream(numbers(total, bad), "numbers", **options)
    async with make_manager() as manager:
        with pytest.raises(TooManyBadRecordsError, match="3 of 30 records"):
            await manager.stream(numbers(30, bad), "numbers", **options)
    await ledger.check(20, {5, 15})


async def test_tolerance_by_reason_counts_what_a_transform_refused(
    make_manager, connection, ledger, numbers
):
    def transform(row):
        if row[0] in (3, 13, 23):
            raise ValueError("no threes")
        return row

    options = {**JOB, "tolerance": Tolerance(reasons={"ValueError": 2})}
    async with make_manager() as manager:
        with pytest.raises(TooManyBadRecordsError, match="no threes"):
            await manager.stream(numbers(30), "numbers", transform=transform, **options)
    await ledger.check(20, {3, 13})


async def test_tolerance_is_not_retried(make_manager, connection, numbers):
    """Nor is a lost lease: the batch would fail again, and again."""
    calls = []

    async def sink(tx, batch):
        calls.append(batch.first_position)
        await tx.load("numbers", batch.records)

    async with make_manager() as manager:
        with pytest.raises(TooManyBadRecordsError):
            await manager.stream(numbers(30, {5}), sink, tolerance=0.0, **JOB)
        assert calls == [1]
