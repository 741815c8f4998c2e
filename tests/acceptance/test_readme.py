"""The README's code runs as it stands there."""

import re
from pathlib import Path

import asyncpg

README = Path(__file__).parents[2] / "README.md"


def blocks():
    return re.findall(r"```python\n(.*?)```", README.read_text("utf-8"), re.DOTALL)


def orders(after):
    return [{"id": n, "total": None if n == 3 else n * 10} for n in range((after or 0) + 1, 8)]


async def table(dsn):
    connection = await asyncpg.connect(dsn)
    await connection.execute("CREATE TABLE orders (id int PRIMARY KEY, total int NOT NULL)")
    return connection


async def test_readme_first_example_loads_and_quarantines(database_dsn):
    connection = await table(database_dsn)
    code = blocks()[0].replace("postgresql://localhost/warehouse", database_dsn)
    names = {}
    exec(code, names)
    report = await names["load_orders"](orders)
    assert (report.rows_loaded, report.rows_quarantined) == (6, 1)
    again = await names["load_orders"](orders)
    assert again.this_process.read_count == 0
    assert await connection.fetchval("SELECT count(*) FROM orders") == 6
    await connection.close()


async def test_readme_stream_example_runs(database_dsn):
    from seawall import ErrorRecoveryManager

    connection = await table(database_dsn)
    body = "".join(f"    {line}\n" for line in blocks()[1].splitlines())
    body = body.replace("tolerance=0.01", "tolerance=0.5")
    async with ErrorRecoveryManager(database_dsn) as manager:
        names = {"manager": manager, "read_orders": orders, "parse": dict}
        exec(f"async def job():\n{body}    return report\n", names)
        report = await names["job"]()
    assert report.rows_loaded == 6
    await connection.close()


async def test_readme_policies_example_runs():
    from seawall import ErrorRecoveryManager

    async def from_cache(sku):
        return f"cached {sku}"

    names = {"from_cache": from_cache, "manager": ErrorRecoveryManager("postgresql://nowhere/x")}
    code = blocks()[2].replace(
        "async def price(sku): ...", "async def price(sku): raise OSError(sku)"
    )
    code = code.replace("max_retries=2", "max_retries=2, initial_delay=0.001")
    exec(code, names)
    assert await names["fetch"](1) is None
    assert await names["price"]("a") == "cached a"
