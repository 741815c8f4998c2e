"""Batches that the source cuts, where it cuts them otherwise after a restart."""

import pytest

from seawall import ErrorRecoveryManager
from seawall.checkpoint import CheckpointStrategy

TOTAL = 40


@pytest.mark.parametrize("later", [4, 25])
async def test_acknowledged_page_comes_again_as_it_was_from_a_source_with_other_pages(
    database_dsn, later
):
    given = {}

    async def run(size, *, dies):
        async with ErrorRecoveryManager(database_dsn) as manager:
            strategy = CheckpointStrategy.every_batch()
            async with manager.checkpoint("r", "load", strategy=strategy) as cp:
                start = (cp.position or 0) + 1
                pages = [
                    list(range(n, min(n + size, TOTAL + 1))) for n in range(start, TOTAL + 1, size)
                ]
                async for batch in cp.batches(pages, position=lambda n: n):
                    async with batch.acknowledge():
                        records = list(batch.records)
                        assert given.setdefault(batch.id, records) == records
                        if dies and batch.first_position == 11:
                            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await run(10, dies=True)
    await run(later, dies=False)
    assert sorted(n for records in given.values() for n in records) == list(range(1, TOTAL + 1))
