"""The types of the sources; read by mypy, run by nobody."""

from collections.abc import AsyncIterator, Iterator
from functools import partial
from pathlib import Path
from typing import Any, assert_type

from seawall import (
    CsvSource,
    FilesSource,
    JsonLinesSource,
    Malformed,
    RecordSource,
    TableSource,
    skip_forward,
)


async def orders() -> AsyncIterator[dict[str, int]]:
    yield {"id": 1}


def by_id(record: dict[str, int]) -> int:
    return record["id"]


def sources() -> list[RecordSource]:
    """Each is one for the type checker too."""
    return [
        CsvSource("x.csv", converters={"n": int, "price": float}, complete_lines_only=True),
        JsonLinesSource(Path("x.jsonl"), type=dict[str, int]),
        FilesSource("folder", "*.csv", CsvSource),
        FilesSource("folder", "*.csv", partial(CsvSource, delimiter=";")),
        TableSource("postgresql://host/db", "orders", key=("day", "id")),
    ]


async def read(source: RecordSource) -> None:
    async for chunk in source.chunks(None):
        for _, record in chunk:
            if isinstance(record, Malformed):
                assert_type(record.raw, bytes)
    assert_type(source.fraction(5), float | None)


def skipped() -> None:
    assert_type(skip_forward(orders(), 5, by_id), AsyncIterator[dict[str, int]])
    assert_type(skip_forward([{"id": 1}], 5, by_id), Iterator[dict[str, int]])
    CsvSource("x.csv", compression="zip")  # type: ignore[arg-type]
    after: Any = None
    skip_forward(5, after, by_id)  # type: ignore[call-overload]
