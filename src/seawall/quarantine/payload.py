"""What is stored of a quarantined record, and the record that it was.

Plain: the codec's JSON text, which SQL can look into. Sealed: bytes, for what is large (compressed)
or secret (encrypted). Redacted: JSON text with secrets masked, which never becomes a record again.

Sealed bytes start with the version and a byte that says how they were made. Encrypted ones hold the
faults' texts too, since these quote the record; the position stays readable, as in ``checkpoints``:
choose one that is nothing private.
"""

import functools
import re
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple
from uuid import UUID

import msgspec

from seawall.config import RecoveryConfig
from seawall.errors import CodecError, PayloadTooLargeError
from seawall.masking import Masker, default_masker
from seawall.quarantine.codec import decode, encode
from seawall.quarantine.encryption import KeyRing, missing_key
from seawall.text import storable

__all__ = ["PLAIN", "Owner", "PayloadForm", "Stored", "masker_of"]

_VERSION = 1
_COMPRESSED, _ENCRYPTED = 1, 2
_LEVEL = 1  # what zlib gains above it costs more time than the bytes are worth
_LONGEST_REASON = 16_384  # characters; the record itself is kept whole
_CACHED_REASON = 1_000  # characters; longer ones are rarely the same twice
# Quoted text in a reason: a value, but where the server names what it is about.
_QUOTED = re.compile(
    r"""((?:column|relation|table|constraint|domain|index|partition) "[^"\n]*")"""
    r"""|'[^'\n]*'|"[^"\n]*\""""
)

_json = msgspec.json.Encoder().encode
_from_json = msgspec.json.Decoder(list[str]).decode


# What a payload belongs to (record id, run id, step): encrypted, it opens nowhere else.
Owner = tuple[UUID, str, str]


def _bound(head: bytes, owner: Owner) -> bytes:
    return head + owner[0].bytes + _json(owner[1:])


class Stored(NamedTuple):
    """The columns of ``quarantined_records`` that hold a record and why it was set aside."""

    payload: str | None
    sealed: bytes | None
    key_id: str | None
    redacted: bool
    reason: str
    reasons: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class PayloadForm:
    """How records are stored. May be shared between threads.

    Attributes:
        keys: encrypt with the first of these; None: don't encrypt.
        redact: without keys, store records masked: to be looked at, not to be reprocessed.
        masker: finds secrets in reasons, and in redacted records.
        compress_above: characters of a written out record above which it is compressed.
        max_bytes: of a written out record; see ``PayloadTooLargeError``.
    """

    keys: KeyRing | None = None
    redact: bool = False
    masker: Masker = default_masker
    compress_above: int = 65_536
    max_bytes: int = 2**30

    @classmethod
    def of(cls, config: RecoveryConfig) -> "PayloadForm":
        """The form that the config and ``SEAWALL_QUARANTINE_KEYS`` ask for.

        Raises:
            InvalidConfigError: a key or a pattern is wrong, or ``cryptography`` is not installed.
        """
        return cls(
            keys=KeyRing.of(config.quarantine_keys),
            redact=config.quarantine_redact,
            masker=masker_of(config),
            # A character is four bytes at the most: what isn't compressed is below the bound.
            compress_above=min(config.quarantine_compress_above, config.quarantine_max_bytes // 4),
            max_bytes=config.quarantine_max_bytes,
        )

    def seal(self, record: Any, owner: Owner, reason: str, reasons: Sequence[str]) -> Stored:
        """The columns for a record.

        Raises:
            CodecError: it holds something that can't come back equal.
            PayloadTooLargeError: it is larger than ``max_bytes``.
        """
        if self.keys is None and self.redact:
            return self._redacted(record, reason, reasons)
        return self._kept(encode(record), owner, reason, _told(reasons))

    def seal_text(
        self, text: str, owner: Owner, reason: str, reasons: Sequence[str] | None
    ) -> Stored:
        """The columns for a record that the codec has written out already.

        Raises:
            CodecError: the text is to be masked, and can't be read.
            PayloadTooLargeError: it is larger than ``max_bytes``.
        """
        if self.keys is None and self.redact:
            return self._redacted(decode(text), reason, reasons or ())
        return self._kept(text, owner, reason, None if reasons is None else _told(reasons))

    def _kept(self, text: str, owner: Owner, reason: str, told: str | None) -> Stored:
        """The columns for a text that is stored whole."""
        if self.keys is None:
            if len(text) <= self.compress_above:
                return Stored(text, None, None, False, _masked(self.masker, reason), told)
            sealed = self._packed(text.encode(), 0)
            return Stored(None, sealed, None, False, _masked(self.masker, reason), told)
        return Stored(
            None, self._encrypted(text, told, owner), self.keys.current, False,
            _without_values(_masked(self.masker, reason)), None,
        )  # fmt: skip

    def text(self, stored: Stored, owner: Owner) -> str:
        """The codec's text of a record; as for ``open``."""
        return self._texts(stored, owner)[0]

    def open(self, stored: Stored, owner: Owner) -> Any:
        """The record that was sealed; of a redacted one, what is left of it.

        Raises:
            QuarantineKeyError: its key is not here, or is another one.
            CodecError: it can't be read, or was altered.
        """
        return decode(self._texts(stored, owner)[0])

    def reasons(self, stored: Stored, owner: Owner) -> list[str] | None:
        """Every fault of the record, with the offending values; as for ``open``."""
        told = self._texts(stored, owner)[1]
        return None if told is None else _from_json(told)

    def resealed(self, stored: Stored, owner: Owner) -> Stored:
        """The same under the current key, without becoming a record in between.

        A record stored masked stays as it is, but where it is encrypted: its old key is to go.

        Raises:
            QuarantineKeyError, CodecError: as for ``open``.
        """
        if self.keys is None or (stored.redacted and stored.key_id is None):
            return stored
        text, told = self._texts(stored, owner)
        reason = stored.reason if stored.key_id else _without_values(stored.reason)
        sealed = self._encrypted(text, told, owner)
        return Stored(None, sealed, self.keys.current, stored.redacted, reason, None)

    def _encrypted(self, text: str, told: str | None, owner: Owner) -> bytes:
        # JSON text holds no bare line feed, so one divides the two.
        whole = text if told is None else f"{text}\n{told}"
        packed = self._packed(whole.encode(), _ENCRYPTED)
        assert self.keys is not None  # noqa: S101 - for the type checker; callers have looked
        head = packed[:2]
        return head + self.keys.encrypt(packed[2:], owner[0], _bound(head, owner))

    def _packed(self, data: bytes, how: int) -> bytes:
        """The data behind its head, compressed where it is large."""
        if len(data) > self.max_bytes:
            raise PayloadTooLargeError(
                f"a record has {len(data):,} bytes when it is written out, more than "
                f"quarantine_max_bytes={self.max_bytes:,}; raise it, or leave large values out",
                len(data),
                self.max_bytes,
            )
        if len(data) > self.compress_above:
            return bytes((_VERSION, how | _COMPRESSED)) + zlib.compress(data, _LEVEL)
        return bytes((_VERSION, how)) + data

    def _redacted(self, record: Any, reason: str, reasons: Sequence[str]) -> Stored:
        shown = self.masker.mask_value(record)
        try:
            text = encode(shown)
        except CodecError:
            # Nobody gets it back as it was; how it looked is what is left to keep.
            text = encode(self.masker.mask_text(repr(shown)))
        told = _told([self.masker.mask_text(each[:_LONGEST_REASON]) for each in reasons])
        if len(text) <= self.compress_above:
            return Stored(text, None, None, True, _masked(self.masker, reason), told)
        sealed = self._packed(text.encode(), 0)
        return Stored(None, sealed, None, True, _masked(self.masker, reason), told)

    def _texts(self, stored: Stored, owner: Owner) -> tuple[str, str | None]:
        """The codec's text, and the reasons' JSON."""
        if stored.sealed is None:
            if stored.payload is None:
                raise CodecError(f"record {owner[0]} has no payload")
            return stored.payload, stored.reasons
        head, body = stored.sealed[:2], stored.sealed[2:]
        if len(head) < 2 or head[0] != _VERSION or head[1] > (_COMPRESSED | _ENCRYPTED):
            raise CodecError(
                f"record {owner[0]} was sealed by a newer version of seawall, or altered"
            )
        if head[1] & _ENCRYPTED:
            body = self._decrypted(stored.key_id, body, owner, head)
        try:
            text = (zlib.decompress(body) if head[1] & _COMPRESSED else body).decode()
        except (zlib.error, UnicodeDecodeError) as error:
            raise CodecError(f"record {owner[0]}: its payload was altered") from error
        if not head[1] & _ENCRYPTED:
            return text, stored.reasons
        text, line_feed, told = text.partition("\n")
        return text, told if line_feed else None

    def _decrypted(self, key_id: str | None, body: bytes, owner: Owner, head: bytes) -> bytes:
        if key_id is None:
            raise CodecError(f"record {owner[0]} is encrypted, and its key_id is gone")
        if self.keys is None:
            raise missing_key(key_id)
        return self.keys.decrypt(key_id, body, owner[0], _bound(head, owner))


def _told(reasons: Sequence[str]) -> str:
    if len(reasons) == 1 and len(reasons[0]) <= _CACHED_REASON:
        return _told_alone(reasons[0])
    return _json([storable(each[:_LONGEST_REASON]) for each in reasons]).decode()


@functools.lru_cache(maxsize=1024)
def _told_alone(reason: str) -> str:
    return _json([storable(reason)]).decode()


def _masked(masker: Masker, reason: str) -> str:
    if len(reason) <= _CACHED_REASON:
        return _cached_mask(masker, reason)
    return storable(masker.mask_text(reason[:_LONGEST_REASON]))


@functools.lru_cache(maxsize=1024)
def _cached_mask(masker: Masker, reason: str) -> str:
    """One fault has one reason, on thousands of records."""
    return storable(masker.mask_text(reason))


@functools.lru_cache(maxsize=1024)
def _without_values(reason: str) -> str:
    """The reason beside an encrypted record: what it quotes may be a value of the record."""
    return _QUOTED.sub(lambda match: match[1] or "'…'", reason)


def masker_of(config: RecoveryConfig) -> Masker:
    """What masks secrets, and what the config names beside them.

    Raises:
        InvalidConfigError: a pattern is no regular expression.
    """
    if not (config.mask_keys or config.mask_patterns or config.mask_emails or config.mask_function):
        return default_masker
    return Masker(
        config.mask_keys,
        config.mask_patterns,
        emails=config.mask_emails,
        function=config.mask_function,
    )


PLAIN = PayloadForm()
