"""An exception as a row of ``error_details``: classified, masked, fingerprinted."""

import hashlib
import os
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any
from uuid import UUID

from seawall.classification import Classifier, default_classifier
from seawall.clock import utc_now, uuid7
from seawall.errors import CodecError
from seawall.masking import Masker, default_masker
from seawall.quarantine import codec
from seawall.recorder import HOST, Row
from seawall.scope import Scope
from seawall.stack_text import StackTexts, message_of
from seawall.text import recordable

COLUMNS = (
    "error_id", "occurred_at", "pipeline_id", "run_id", "step", "operation", "attempt",
    "error_type", "exception_type", "message", "fingerprint", "traceback", "traceback_digest",
    "context", "sqlstate", "host", "pid", "release", "pattern_id", "health",
)  # fmt: skip

_FINGERPRINT_VERSION = b"1"


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
        self._stacks = StackTexts(masker)

    def describe(
        self,
        error: BaseException,
        scope: Scope,
        context: Mapping[str, Any] | None = None,
        *,
        operation: str | None = None,
        attempt: int | None = None,
        error_type: str | None = None,
        message: str | None = None,
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
            message: its whole message, masked, where that was done already.
            pattern_id: its pattern's.
            health: the machine at that moment, as JSON.
        """
        error_id = uuid7()
        kind = f"{type(error).__module__}.{type(error).__qualname__}"
        stack = self._stacks.stack_of(error)
        error_type = error_type or self._classifier.classify(error).value
        if message is None:
            message = recordable(message_of(error), self._masker)
        fingerprint = _digest(error_type, kind, stack.names)
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
            message,
            fingerprint,
            self._stacks.text_of(error, stack, message),
            _digest(stack.names),
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


@lru_cache(maxsize=1024)
def _digest(*parts: str) -> str:
    text = "\x1f".join(parts).encode(errors="replace")
    return hashlib.blake2b(text, digest_size=8, person=_FINGERPRINT_VERSION).hexdigest()
