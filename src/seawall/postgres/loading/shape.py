"""Records of any accepted shape as rows for COPY: tuples, or mappings by column name."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from operator import itemgetter
from typing import Any

from seawall.errors import MissingTableError
from seawall.postgres.loading.rejection import Violation
from seawall.postgres.loading.target import Column, Target


@dataclass(frozen=True, slots=True)
class Shaped:
    """Rows ready for COPY.

    Attributes:
        rows: one for each record, by number; that of a misfit is not to be used.
        misfits: records that lack a column, or have one too many.
        is_text: values are texts for the server's types to read; ``rows`` are ``TextRows``.
    """

    columns: tuple[Column, ...]
    rows: Sequence[Sequence[Any]]
    misfits: Mapping[int, Violation]
    is_text: bool = False


def shape(records: Sequence[Any], target: Target, names: Sequence[str] | None) -> Shaped:
    """Bring ``records`` into rows.

    Mappings without ``names`` take the first one's keys as the columns. A record that lacks a
    column or has one that is not asked for is a misfit: neither is filled up or cut off silently.

    Raises:
        MissingTableError: a named column does not exist.
    """
    if isinstance(records[0], Mapping):
        return _from_mappings(records, target, names)
    columns = target.choose(names)
    width = len(columns)
    try:
        fits = set(map(len, records)) == {width}
    except TypeError:
        fits = False
    if fits:
        return Shaped(columns, records, {})
    misfits = {
        number: _misfit(_width_fault(record, width))
        for number, record in enumerate(records)
        if not _is_row(record) or len(record) != width
    }
    return Shaped(columns, records, misfits)


def _is_row(record: Any) -> bool:
    # asyncpg's Record is registered as no Sequence.
    return hasattr(record, "__getitem__") and not isinstance(record, Mapping | str | bytes)


def _width_fault(record: Any, width: int) -> str:
    if not _is_row(record):
        return f"a record must be a tuple or a mapping, got {type(record).__name__}"
    return f"the record has {len(record)} fields, the load has {width} columns"


def _from_mappings(records: Sequence[Any], target: Target, names: Sequence[str] | None) -> Shaped:
    keys = tuple(records[0]) if names is None else tuple(names)
    if not keys:
        raise MissingTableError(
            f"the first record for {target.sql} is empty: give `columns=`, or fill the record"
        )
    columns = target.choose(keys)
    getter = _getter(keys)
    strict = names is None
    try:
        rows = [getter(record) for record in records]
        fits = not strict or set(map(len, records)) == {len(keys)}
    except (LookupError, TypeError):
        fits = False
    if fits:
        return Shaped(columns, rows, {})
    return _shape_each(records, columns, keys, strict=strict)


def _shape_each(
    records: Sequence[Any], columns: tuple[Column, ...], keys: tuple[str, ...], *, strict: bool
) -> Shaped:
    rows: list[Sequence[Any]] = []
    misfits: dict[int, Violation] = {}
    wanted = set(keys)
    for number, record in enumerate(records):
        fault = _key_fault(record, wanted, strict=strict)
        if fault is None:
            rows.append([record[key] for key in keys])
        else:
            rows.append(())
            misfits[number] = _misfit(fault)
    return Shaped(columns, rows, misfits)


def _key_fault(record: Any, wanted: set[str], *, strict: bool) -> str | None:
    if not isinstance(record, Mapping):
        return f"a record among mappings must be a mapping, got {type(record).__name__}"
    lacking = sorted(wanted - record.keys())
    if lacking:
        return f"the record lacks {', '.join(map(repr, lacking))}"
    unknown = sorted(map(repr, record.keys() - wanted)) if strict else []
    return (
        f"the record has {', '.join(unknown)}, which the load has no column for"
        if unknown
        else None
    )


def _getter(keys: tuple[str, ...]) -> Callable[[Mapping[str, Any]], tuple[Any, ...]]:
    if len(keys) == 1:  # itemgetter of one key gives the bare value
        return lambda record: (record[keys[0]],)
    getter: Callable[[Mapping[str, Any]], tuple[Any, ...]] = itemgetter(*keys)
    return getter


def _misfit(fault: str) -> Violation:
    return Violation(-1, fault, "22023")
