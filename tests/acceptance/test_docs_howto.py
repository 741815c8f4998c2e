"""The code of the how-to pages runs, and does what its page says."""

import re
from pathlib import Path

import asyncpg
import httpx
import pytest

HOW_TO = Path(__file__).parents[2] / "docs" / "how-to"


def example(page, **names):
    """What a page's code defines."""
    text = (HOW_TO / f"{page}.md").read_text("utf-8")
    exec("\n".join(re.findall(r"```python\n(.*?)```", text, re.DOTALL)), names)
    return names


@pytest.fixture
async def orders(database_dsn, tmp_path, monkeypatch):
    """A table, and a file of seven orders of which two are bad, in the current folder."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("SEAWALL_DSN", database_dsn)
    totals = {3: -1, 5: ""}
    lines = "".join(f"{n},{totals.get(n, n * 10)}\n" for n in range(1, 8))
    Path("orders.csv").write_text("id,total\n" + lines)
    connection = await asyncpg.connect(database_dsn)
    await connection.execute(
        "CREATE TABLE orders (id int PRIMARY KEY, total int NOT NULL CHECK (total >= 0))"
    )
    yield connection
    await connection.close()


async def test_howto_retry_an_api_repeats_what_can_help():
    answers = iter([503, 200, 503, 200, 404])
    transport = httpx.MockTransport(lambda _: httpx.Response(next(answers), json={"ok": True}))
    names = example("retry-an-api")
    async with httpx.AsyncClient(transport=transport, base_url="http://api") as client:
        assert await names["fetch"](client, "/") == {"ok": True}
        assert await names["find"](client, "words") == {"ok": True}
        with pytest.raises(httpx.HTTPStatusError):
            await names["fetch"](client, "/")
    assert list(answers) == []


async def test_howto_share_a_breaker_refuses_when_open(database_dsn, capsys):
    from seawall import CircuitState

    names = example("share-a-breaker", DSN=database_dsn)
    async with names["manager"] as manager:
        assert await names["price_or_none"]("sku") is None
        assert capsys.readouterr().out == ""
        await manager.force_circuit_breaker(
            "billing-api", CircuitState.OPEN, reason="test", seconds=60
        )
        assert await names["price_or_none"]("sku") is None
    assert "billing-api is left alone for" in capsys.readouterr().out


async def test_howto_resume_and_go_back(orders, database_dsn):
    names = example("resume-a-load", DSN=database_dsn)
    async with names["manager"] as manager:
        for _ in range(2):
            report = await names["load"]()
            assert (report.rows_loaded, report.rows_quarantined) == (5, 2)
        assert report.this_process.read_count == 0
        await manager.checkpoint_progress("other", "stream", {"page": 1})
        await names["back"]()


async def test_howto_reprocess_as_it_stands_and_repaired(orders, database_dsn):
    from seawall import ErrorRecoveryManager

    names = example("reprocess-bad-rows", DSN=database_dsn)
    async with ErrorRecoveryManager(database_dsn) as other:
        await other.quarantine_bad_records("orders", [{"id": 3, "total": -1}], "negative")
        await other.quarantine_bad_records("orders", [{"id": 5, "total": None}], "no total")
    async with names["manager"]:
        assert [record["id"] for record, _ in await names["look"]()] == [3, 5]
        assert (await names["again"]()).failed == 2
        done = await names["repaired"]()
    assert (done.reprocessed, done.discarded) == (1, 1)
    assert await orders.fetchval("SELECT total FROM orders WHERE id = 3") == 1


async def test_howto_kubernetes_worker_loads(orders):
    await example("kubernetes")["work"]()
    assert await orders.fetchval("SELECT count(*) FROM orders") == 5


async def test_howto_migrated_decorators_work():
    names = example("migrate")
    assert await names["fetch"]() is None
    assert await names["price"]("sku") is None
    assert example("pgbouncer")["manager"].config.listen_dsn


async def test_docs_alerts_of_your_own(database_dsn):
    names = example("../alerts", DSN=database_dsn)
    async with names["manager"] as manager:
        await names["your_own"](0)
        assert [alert.title for alert in await manager.list_alerts()] == ["The export is empty"]
        await names["your_own"](5)
        await names["during_maintenance"]()
