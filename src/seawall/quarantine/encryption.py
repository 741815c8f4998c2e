"""Keys for quarantined payloads: AES-256-GCM, a key of its own for each record.

A record's key is made from the user's key and the record's id (HMAC-SHA256), and each encryption
draws 96 random bits as its nonce. So however many records there are, no key sees more than the few
encryptions of one record, and no nonce meets the same key twice.
"""

import binascii
import hashlib
import hmac
import os
import re
from collections.abc import Callable, Mapping
from typing import Any
from uuid import UUID

from seawall.errors import CodecError, InvalidConfigError, QuarantineKeyError

ENVIRONMENT = "SEAWALL_QUARANTINE_KEYS"

_NONCE, _CHECK = 12, 4
_KEY_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,62}")
_FORM = "id:key, with 32 random bytes in base64 as the key; several separated by commas"


def new_key() -> str:
    """32 random bytes in base64, as ``SEAWALL_QUARANTINE_KEYS`` takes them behind ``id:``."""
    return binascii.b2a_base64(os.urandom(32), newline=False).decode()


class KeyRing:
    """The user's keys: the first encrypts, each decrypts. May be shared between threads.

    Args:
        keys: 32 bytes each, by id; in the order of preference. An id stands beside each record.

    Raises:
        InvalidConfigError: there is no key, one is of another size, or ``cryptography`` is not
            installed. No message shows a key.
    """

    def __init__(self, keys: Mapping[str, bytes]) -> None:
        if not keys:
            raise InvalidConfigError(f"quarantine_keys: holds no key; must be {_FORM}")
        for key_id, key in keys.items():
            _check_key(key_id, key)
        self._keys = dict(keys)
        self.current = next(iter(keys))
        self._checks = {each: _derived(key, b"check")[:_CHECK] for each, key in keys.items()}
        self._cipher = _aes_gcm()

    def __repr__(self) -> str:
        return f"KeyRing({', '.join(self._keys)})"

    @classmethod
    def of(cls, value: str | Mapping[str, str] | None) -> "KeyRing | None":
        """The keys of a config value, else those of ``SEAWALL_QUARANTINE_KEYS``, else None.

        Raises:
            InvalidConfigError: the value is not ``id:base64,id:base64`` or such a mapping.
        """
        if value is None:
            value = os.environ.get(ENVIRONMENT) or None
        if value is None:
            return None
        keys: dict[str, bytes] = {}
        for key_id, text in _pairs(value):
            if key_id in keys:
                raise InvalidConfigError(f"quarantine_keys: the id {key_id!r} stands there twice")
            keys[key_id] = _bytes(key_id, text)
        return cls(keys)

    def encrypt(self, data: bytes, record_id: UUID, bound: bytes) -> bytes:
        """``data`` under the current key; ``bound`` must be given again to decrypt it."""
        key = _derived(self._keys[self.current], record_id.bytes)
        nonce = os.urandom(_NONCE)
        sealed: bytes = self._cipher(key).encrypt(nonce, data, bound)
        return self._checks[self.current] + nonce + sealed

    def decrypt(self, key_id: str, sealed: bytes, record_id: UUID, bound: bytes) -> bytes:
        """What ``encrypt`` was given.

        Raises:
            QuarantineKeyError: that key is not here, or is another one than that of then.
            CodecError: the data was altered, or belongs to another record.
        """
        key = self._keys.get(key_id)
        if key is None:
            raise missing_key(key_id)
        if not hmac.compare_digest(sealed[:_CHECK], self._checks[key_id]):
            raise QuarantineKeyError(
                f"quarantine key {key_id!r} is not the one that record {record_id} was encrypted "
                "with; put the former key back under this id, and the new one under another",
                key_id,
            )
        nonce = sealed[_CHECK : _CHECK + _NONCE]
        try:
            opened: bytes = self._cipher(_derived(key, record_id.bytes)).decrypt(
                nonce, sealed[_CHECK + _NONCE :], bound
            )
        except Exception as error:  # InvalidTag has no message; cut data is a ValueError
            raise CodecError(
                f"record {record_id}: its encrypted payload was altered, or is another record's"
            ) from error
        return opened


def missing_key(key_id: str) -> QuarantineKeyError:
    """The error for a record whose key is not here."""
    return QuarantineKeyError(
        f"quarantine key {key_id!r} is needed and not there: add it to {ENVIRONMENT} (or to "
        "quarantine_keys), behind the key that encrypts",
        key_id,
    )


def _derived(key: bytes, what: bytes) -> bytes:
    return hmac.digest(key, b"seawall quarantine 1\x00" + what, hashlib.sha256)


def _pairs(value: object) -> list[tuple[str, str]]:
    if isinstance(value, Mapping):
        return [(str(key), str(each)) for key, each in value.items()]
    if not isinstance(value, str):
        raise InvalidConfigError(f"quarantine_keys: is a {type(value).__name__}; must be {_FORM}")
    pairs = []
    for entry in filter(None, re.split(r"[\s,]+", value)):
        key_id, colon, text = entry.partition(":")
        if not colon:
            raise InvalidConfigError(f"quarantine_keys: an entry has no id; must be {_FORM}")
        pairs.append((key_id, text))
    return pairs


def _bytes(key_id: str, text: str) -> bytes:
    try:
        standard = text.replace("-", "+").replace("_", "/")
        return binascii.a2b_base64(standard + "=" * (-len(standard) % 4), strict_mode=True)
    except (binascii.Error, ValueError):
        raise InvalidConfigError(
            f"quarantine_keys: the key {_shown(key_id)} is no base64; must be {_FORM}"
        ) from None


def _check_key(key_id: str, key: bytes) -> None:
    if _KEY_ID.fullmatch(key_id) is None:
        # Not shown: whoever leaves the id out has written the key in its place.
        raise InvalidConfigError(
            "quarantine_keys: an id is not made of up to 63 letters, digits, '.', '_' and '-'"
        )
    if len(key) != 32:
        raise InvalidConfigError(
            f"quarantine_keys: the key {_shown(key_id)} has {len(key)} bytes; must be {_FORM}"
        )


def _shown(key_id: str) -> str:
    return repr(key_id) if len(key_id) < 24 else "with the long id"


def _aes_gcm() -> Callable[[bytes], Any]:
    try:
        from cryptography.hazmat.primitives.ciphers.aead import AESGCM
    except ImportError:
        raise InvalidConfigError(
            "quarantine_keys: encryption needs cryptography; pip install 'seawall[encryption]'"
        ) from None
    return AESGCM
