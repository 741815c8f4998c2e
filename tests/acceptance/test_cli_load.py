"""``seawall load`` as a process: what it prints, and the codes it ends with."""

import json

import asyncpg
import pytest

from acceptance.test_demo import seawall
from seawall.cli.load import columns_of, delimiter_of, place_of, tolerance_of
from seawall.errors import InvalidConfigError


async def execute(dsn, query):
    connection = await asyncpg.connect(dsn)
    try:
        return await connection.fetch(query)
    finally:
        await connection.close()


@pytest.mark.timeout(90)
async def test_load_goes_from_create_to_quarantine_to_reprocessing(database_dsn, tmp_path):
    path = tmp_path / "orders.csv"
    path.write_text("id,name,price\n1,a,1.50\n2,b,2\n")
    options = ("--into", "orders", "--dsn", database_dsn)
    made = seawall("load", str(path), *options, "--create")
    assert made.returncode == 0, made.stderr
    assert "created table orders (id bigint, name text, price numeric)" in made.stdout
    assert "2 records loaded into orders" in made.stdout
    again = seawall("load", str(path), *options)
    assert again.returncode == 0
    assert "nothing new: 2 records of these files are in orders already" in again.stdout
    with path.open("a") as file:
        file.write("three,c,3\n4,d,4\n")
    stopped = seawall("load", str(path), *options, "--tolerate", "10%")
    assert stopped.returncode == 4
    assert "raise the tolerance" in stopped.stderr
    more = seawall("load", str(path), *options)
    assert more.returncode == 3
    assert "1 of 4 are in quarantine" in more.stdout
    assert 'the first: orders.csv, line 4: "three"' in more.stdout
    assert 'column "id" (bigint): invalid input syntax for type bigint' in more.stdout
    await execute(database_dsn, "ALTER TABLE orders ALTER id TYPE text")
    mended = seawall("load", str(path), *options, "--reprocess", "--json")
    assert mended.returncode == 0, mended.stderr
    assert json.loads(mended.stdout)["reprocessed"] == 1
    rows = await execute(database_dsn, "SELECT id FROM orders ORDER BY id")
    assert [row["id"] for row in rows] == ["1", "2", "4", "three"]


@pytest.mark.timeout(60)
async def test_load_used_wrongly_ends_with_two_and_says_why(database_dsn, tmp_path):
    (tmp_path / "a.csv").write_text("x\n1\n")
    options = ("--dsn", database_dsn, "--into")
    missing = seawall("load", str(tmp_path / "b.csv"), *options, "t")
    assert (missing.returncode, missing.stdout) == (2, "")
    assert "No such file" in missing.stderr
    nowhere = seawall("load", str(tmp_path / "a.csv"), *options, "t", "--json")
    assert nowhere.returncode == 2
    assert "there is no table 't' in the search path" in nowhere.stderr
    refused = seawall("load", str(tmp_path / "a.csv"), *options, "t", "--on-conflict", "merge")
    assert refused.returncode == 2
    assert "on_conflict='merge': must be" in refused.stderr


def test_options_are_read_as_people_write_them():
    assert tolerance_of("1%").share == 0.01
    assert tolerance_of("0.5").share == 0.5
    assert tolerance_of("100").count == 100
    assert tolerance_of(None) is None
    for wrong in ("many", "200%", "-1", "x%"):
        with pytest.raises(InvalidConfigError):
            tolerance_of(wrong)
    assert columns_of("a, b,c") == ["a", "b", "c"]
    assert [delimiter_of(text) for text in ("tab", r"\t", ";", None)] == ["\t", "\t", ";", None]
    assert place_of(["a.csv", 100, 1234]) == "a.csv, line 1,234"
    assert place_of(["a.parquet", 1, 7]) == "a.parquet, row group 1, row 7"
