"""Quarantined records: found, looked at, edited, run again, given up.

A viewer's pages read no payload at all, only the columns that the database's reader role has.
"""

import json
from collections.abc import Sequence
from typing import Any
from uuid import UUID

from seawall.dashboard.asked import Asked, BadRequestError, NotThereError
from seawall.dashboard.overview import ERROR_TYPES
from seawall.dashboard.page import View, query
from seawall.errors import CodecError
from seawall.postgres import audit, record_reports
from seawall.postgres.reports import literal
from seawall.quarantine import codec
from seawall.quarantine.preview import preview
from seawall.quarantine.record import (
    OPEN,
    FilterOptions,
    QuarantinedRecord,
    RecordFilter,
    RecordStatus,
)

_TOPICS = ("quarantine", "audit")
_STATUSES = ("open", *RecordStatus, "any")
_MOST_AT_ONCE = 10_000
_MOST_SHOWN = 100_000  # characters of a payload
_MOST_EDITED = 1_000_000  # sent back as a form, each may take nine bytes


def _which(asked: Asked) -> RecordFilter:
    """The records that the filter of the page means; open ones where it says nothing."""
    status = asked.one_of("status", _STATUSES) or "open"
    text = asked.text("text")
    return RecordFilter(
        pipeline_id=asked.text("pipeline"),
        run_id=asked.text("run"),
        step=asked.text("step"),
        error_type=asked.one_of("type", ERROR_TYPES),
        # What is kept of a reason to be counted by is its beginning.
        reason_prefix=asked.text("reason"),
        reason_like=None if text is None else literal(text),
        status={"open": OPEN, "any": None}.get(status, (status,)),
    )


async def look(asked: Asked) -> View:
    """Records, the latest first, and how many there are of each reason."""
    which, before = _which(asked), asked.key("before")
    async with asked.connection() as connection:
        page = await record_reports.page(connection, asked.schema, which, before=before)
        reasons = await record_reports.reasons(connection, asked.schema, which.pipeline_id, 20)
    asked_for = {
        name: asked.text(name)
        for name in ("pipeline", "run", "step", "type", "reason", "text", "status")
    }
    return View(
        template="quarantine.html",
        title="Quarantine",
        topics=() if before else _TOPICS,
        values={
            "page": page,
            "reasons": reasons,
            "before": before,
            "asked": asked_for,
            "statuses": _STATUSES,
            "types": ERROR_TYPES,
            "most": _MOST_AT_ONCE,
        },
    )


async def look_at_one(asked: Asked) -> View:
    """One record with its history; its payload, secrets masked, for an operator only."""
    record_id = asked.needed_key("id")
    async with asked.connection() as connection:
        row = await record_reports.one(connection, asked.schema, record_id)
        if row is None:
            raise NotThereError(f"there is no quarantined record {record_id}")
        attempts = await record_reports.attempts(connection, asked.schema, record_id)
        edits = await record_reports.edits(connection, asked.schema, record_id)
    whole = (await _whole(asked, record_id)).masked() if asked.user.may_act else None
    return View(
        template="record.html",
        title="Quarantined record",
        topics=_TOPICS,
        values={
            "record": row,
            "attempts": attempts,
            "edits": edits,
            "is_open": row["status"] in OPEN,
            "whole": whole,
            "payload": None if whole is None else _beginning(whole.record),
            "earlier": [] if whole is None else [_beginning(each.record) for each in whole.edits],
        },
    )


async def look_to_edit(asked: Asked) -> View:
    """One record whole, to be edited; that it was looked at is audited."""
    record_id = asked.needed_key("id")
    found = await _whole(asked, record_id)
    if found.unreadable is not None:
        raise BadRequestError(f"the record can't be read: {found.unreadable}")
    if found.status not in OPEN:
        raise BadRequestError(f"the record is {found.status}: only an open one can be edited")
    text = _text(found.record)
    if len(text) > _MOST_EDITED:
        raise BadRequestError(
            f"the record has {len(text):,} characters: edit it with `seawall quarantine edit "
            f"{record_id}`, or by export and import"
        )
    await audit.record(
        asked.manager.database,
        actor=asked.user.name,
        action="record shown whole",
        subject=str(record_id),
        reason="to edit it",
        details={},
    )
    return View(template="edit.html", title="Edit a record", values={"record": found, "text": text})


async def _whole(asked: Asked, record_id: UUID) -> QuarantinedRecord:
    which = RecordFilter(record_ids=[record_id])
    found = await asked.manager.list_quarantined_records(which, limit=1)
    if not found:
        raise NotThereError(f"there is no quarantined record {record_id}")
    return found[0]


def _beginning(record: Any) -> str:
    """The record, or as much of it as a page may hold."""
    text = _text(record)
    rest = len(text) - _MOST_SHOWN
    return text if rest <= 0 else f"{text[:_MOST_SHOWN]}\n… and {rest:,} characters more"


def _text(record: Any) -> str:
    """The record in seawall's JSON, on several lines."""
    try:
        return json.dumps(json.loads(codec.encode(record)), indent=2, ensure_ascii=False)
    except (CodecError, ValueError):
        return preview(record, 10_000)


async def edit(asked: Asked) -> tuple[str, str]:
    """Put something else in a record's place."""
    record_id = asked.needed_key("id")
    text, why = asked.values.get("record", ""), asked.needed("why", "it is kept with the record")
    try:
        record = codec.decode(text)
    except (CodecError, ValueError) as error:
        raise BadRequestError(f"this is no record: {error}") from None
    await asked.manager.edit_quarantined_record(record_id, record, why=why, actor=asked.user.name)
    return query("/record", id=record_id), "Changed; it can be reprocessed now."


def _options(which: RecordFilter) -> FilterOptions:
    """The filter as an action takes it."""
    return {
        "status": which.status,
        "pipeline_id": which.pipeline_id,
        "step": which.step,
        "error_type": which.error_type,
        "reason_prefix": which.reason_prefix,
        "reason_like": which.reason_like,
        "record_ids": which.record_ids,
    }


async def reprocess(asked: Asked) -> tuple[str, str]:
    """Load one record, or those of a filter, into a table, or by their steps' processors."""
    into, record_id = asked.text("into"), asked.key("id")
    which = RecordFilter(record_ids=[record_id]) if record_id else _which(asked)
    _check_open(which.status)
    done = await asked.manager.reprocess_quarantined_records(
        which.run_id,
        None,
        into,
        limit=_MOST_AT_ONCE,
        actor=asked.user.name,
        **_options(which),
    )
    said = f"{done.reprocessed:,} of {done.taken:,} records were loaded"
    if done.failed:
        worst = max(done.failures, key=lambda each: done.failures[each])
        said += f", {done.failed:,} failed again ({worst:.300})"
    if done.redacted:
        said += f", {done.redacted:,} were stored masked and stay"
    return _back(asked, record_id), f"{said}."


async def discard(asked: Asked) -> tuple[str, str]:
    """Give one record up, or those of a filter."""
    record_id = asked.key("id")
    which = RecordFilter(record_ids=[record_id]) if record_id else _which(asked)
    _check_open(which.status)
    if record_id is None and asked.text("sure") != "yes":
        raise BadRequestError("sure: must be yes, to give up all records of the filter")
    count = await asked.manager.discard_quarantined_records(
        which.run_id,
        why=asked.needed("why", "it is kept with each record"),
        actor=asked.user.name,
        **_options(which),
    )
    return _back(asked, record_id), f"{count:,} records were given up."


def _check_open(status: str | Sequence[str] | Any) -> None:
    """An action on a list that shows settled records would do less than it says, or nothing."""
    if status is not None and set(status) - set(OPEN):
        raise BadRequestError("status: must be open, pending or failed: others are settled")


def _back(asked: Asked, record_id: UUID | None) -> str:
    if record_id is not None:
        return query("/record", id=record_id)
    names = ("pipeline", "run", "step", "type", "reason", "text", "status")
    return query("/quarantine", **{name: asked.text(name) for name in names})
