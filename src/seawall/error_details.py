"""An exception as a row of ``error_details``: classified, masked, fingerprinted."""

import hashlib
import os
import traceback
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from seawall.classification import Classifier, default_classifier
from seawall.clock import utc_now, uuid7
from seawall.errors import CodecError
from seawall.masking import Masker, default_masker
from seawall.quarantine import codec
from seawall.recorder import HOST, Row
from seawall.scope import Scope
from seawall.text import recordable

COLUMNS = (
    "error_id", "occurred_at", "pipeline_id", "run_id", "step", "operation", "attempt",
    "error_type", "exception_type", "message", "fingerprint", "traceback", "traceback_digest",
    "context", "sqlstate", "host", "pid", "release", "pattern_id", "health",
)  # fmt: skip

_FINGERPRINT_VERSION = b"1"
_TRACEBACK_LIMIT = 32  # frames; a recursion's thousands say nothing more


@dataclass(frozen=True, slots=True)
class Described:
    """An error's id, the fingerprint of its type and stack, and its row by ``COLUMNS``."""

    error_id: UUID
    fingerprint: str
    row: Row


class ErrorDescriber:
    """Makes rows of ``error_details``; may be shared between tasks."""

    def __init__(
        self, classifier: Classifier = default_classifier, masker: Masker = default_masker
    ) -> None:
        self._classifier, self._masker = classifier, masker

    def describe(
        self,
        error: BaseException,
        scope: Scope,
        context: Mapping[str, Any] | None = None,
        *,
        operation: str | None = None,
        attempt: int | None = None,
        error_type: str | None = None,
        pattern_id: str | None = None,
        health: str | None = None,
    ) -> Described:
        """The error's row.

        Args:
            error: what was raised.
            scope: where.
            context: what the caller adds.
            operation: the call that failed.
            attempt: which attempt, from 1.
            error_type: where it is known already.
            pattern_id: its pattern's.
            health: the machine at that moment, as JSON.
        """
        error_id = uuid7()
        kind = f"{type(error).__module__}.{type(error).__qualname__}"
        frames = traceback.extract_tb(error.__traceback__, limit=-_TRACEBACK_LIMIT)
        stack = "\n".join(f"{_tail(frame.filename)}:{frame.name}" for frame in frames)
        error_type = error_type or self._classifier.classify(error).value
        fingerprint = _digest(error_type, kind, stack)
        sqlstate = getattr(error, "sqlstate", None)
        row = (
            error_id,
            utc_now(),
            scope.pipeline_id,
            scope.run_id,
            scope.step,
            operation,
            attempt,
            error_type,
            kind,
            recordable(_message(error), self._masker),
            fingerprint,
            recordable(
                "".join(traceback.format_exception(error, limit=-_TRACEBACK_LIMIT)), self._masker
            ),
            _digest(stack),
            _context(context, self._masker) if context else None,
            sqlstate if isinstance(sqlstate, str) else None,
            HOST,
            os.getpid(),
            scope.release,
            pattern_id,
            health,
        )
        return Described(error_id, fingerprint, row)


def _context(context: Mapping[str, Any], masker: Masker) -> str:
    """The caller's additions, masked; what can't be stored as it is, as its repr."""
    masked = masker.mask_value({str(key): value for key, value in context.items()})
    try:
        return codec.encode(masked)
    except CodecError:
        return codec.encode({key: _plain(value) for key, value in masked.items()})


def _plain(value: object) -> object:
    try:
        codec.encode(value)
    except CodecError:
        try:
            return recordable(repr(value))
        except Exception:  # a broken __repr__ must not hide the error itself
            return f"<{type(value).__name__} whose __repr__ fails>"
    return value


def _message(error: BaseException) -> str:
    try:
        return str(error)
    except Exception:  # a broken __str__ must not hide the error itself
        return f"<{type(error).__name__} whose __str__ fails>"


def _tail(filename: str) -> str:
    """The last two parts of the path: the same on every host."""
    return "/".join(filename.replace("\\", "/").split("/")[-2:])


def _digest(*parts: str) -> str:
    text = "\x1f".join(parts).encode(errors="replace")
    return hashlib.blake2b(text, digest_size=8, person=_FINGERPRINT_VERSION).hexdigest()
