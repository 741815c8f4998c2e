"""DataFrames checked by a pandera schema: rows that fail are quarantined with every reason."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd
from pandera.errors import SchemaErrors

from seawall.checkpoint import Batch
from seawall.errors import InvalidRecordError


def bad_rows(schema: Any, frame: pd.DataFrame) -> Mapping[int, tuple[str, ...]]:
    """The rows that a schema refuses, by their place from 0, with every reason.

    Args:
        schema: a pandera ``DataFrameSchema``, or a ``DataFrameModel``.
        frame: rows; its index doesn't matter.

    Raises:
        InvalidRecordError: the frame as a whole isn't the schema's (a column is missing, say): no
            row is at fault.
    """
    numbered = frame.reset_index(drop=True)
    try:
        schema.validate(numbered, lazy=True)
    except SchemaErrors as error:
        return _by_row(error)
    return {}


def _by_row(error: SchemaErrors) -> Mapping[int, tuple[str, ...]]:
    found: dict[int, list[str]] = defaultdict(list)
    whole: list[str] = []
    for case in error.failure_cases.itertuples():
        # A check of the frame itself is reported once for each column.
        of_column = case.schema_context == "Column" and case.column is not None
        reason = f"{case.column}: {case.check}" if of_column else str(case.check)
        if case.index is None or pd.isna(case.index):
            whole.append(f"{reason}: {case.failure_case}")
        elif reason not in found[int(case.index)]:
            found[int(case.index)].append(reason)
    if whole:
        raise InvalidRecordError(*whole) from error
    return {place: tuple(reasons) for place, reasons in sorted(found.items())}


def check_batch(schema: Any, batch: Batch) -> None:
    """Take the records out of a batch that a schema refuses; they are quarantined with its commit.

    Before the batch's block is entered::

        async for batch in cp.batches(source):
            check_batch(schema, batch)
            async with batch.transaction() as tx: ...

    Args:
        schema: as in ``bad_rows``.
        batch: of records that are dicts.

    Raises:
        InvalidRecordError: the records as a whole aren't the schema's.
    """
    records: Sequence[Any] = batch.records
    if records:
        batch.reject(bad_rows(schema, pd.DataFrame.from_records(list(records))))
