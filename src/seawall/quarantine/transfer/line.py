"""One quarantined record as a line of JSON, with all that is known of it."""

import hashlib
from datetime import datetime
from uuid import UUID

import msgspec

from seawall.errors import QuarantineError

FORMAT = 1


class AttemptLine(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A row of ``quarantine_attempts``."""

    attempt_id: UUID
    outcome: str
    attempted_at: datetime
    error_type: str | None = None
    exception_type: str | None = None
    message: str | None = None
    sqlstate: str | None = None
    actor: str | None = None


class EditLine(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A row of ``quarantine_edits``; ``payload`` is the codec's."""

    edit_id: UUID
    payload: msgspec.Raw
    redacted: bool
    actor: str
    why: str
    edited_at: datetime


class Line(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A row of ``quarantined_records`` with its history.

    Attributes:
        seawall: the format's number.
        payload: the record in the codec's form: plain values are plain and may be edited.
        digest: of the payload when it was exported: tells whether the line, or the record in the
            database, was edited since.
        position: where it stands in its source; null where nobody knows.
        masked: secrets are masked: to be looked at, not imported.
    """

    seawall: int = FORMAT
    record_id: UUID
    payload: msgspec.Raw
    digest: str
    masked: bool = False
    quarantine_id: UUID
    run_id: str
    pipeline_id: str
    step: str
    partition: int
    batch_id: str | None
    position: msgspec.Raw
    redacted: bool
    error_type: str
    reason: str
    reasons: list[str] | None
    sqlstate: str | None
    constraint_name: str | None
    column_name: str | None
    exception_type: str | None
    traceback_digest: str | None
    status: str
    attempts: int
    quarantined_at: datetime
    updated_at: datetime
    history: list[AttemptLine] = []
    edits: list[EditLine] = []


_encoder = msgspec.json.Encoder()
_decoder = msgspec.json.Decoder(Line)
_sorted = msgspec.json.Encoder(order="deterministic")


def digest_of(text: str | bytes | msgspec.Raw) -> str:
    """The same for the same JSON, whatever its spaces and the order of its keys.

    Raises:
        QuarantineError: it is no JSON.
    """
    try:
        value = msgspec.json.decode(text)
    except (msgspec.DecodeError, RecursionError) as error:
        raise QuarantineError(f"a payload is no JSON: {error}") from None
    return hashlib.blake2b(_sorted.encode(value), digest_size=12).hexdigest()


def raw(text: str) -> msgspec.Raw:
    """JSON text as a part of a line: without line ends."""
    if "\n" in text or "\r" in text:
        return msgspec.Raw(msgspec.json.encode(msgspec.json.decode(text)))
    return msgspec.Raw(text.encode())


def text_of(part: msgspec.Raw) -> str:
    return bytes(part).decode()


def written(line: Line) -> bytes:
    """The line with its end."""
    return _encoder.encode(line) + b"\n"


def read(text: bytes, number: int) -> Line:
    """The line.

    Raises:
        QuarantineError: it is none, or of a newer version; the number of the line is named.
    """
    try:
        line = _decoder.decode(text)
    except (msgspec.DecodeError, RecursionError) as error:
        raise QuarantineError(f"line {number}: is no exported record: {error}") from None
    if line.seawall != FORMAT:
        raise QuarantineError(
            f"line {number}: is of format {line.seawall}, this version of seawall reads {FORMAT}"
        )
    if line.masked:
        raise QuarantineError(
            f"line {number}: was exported masked: it would put *** in the place of what it hides"
        )
    return line
