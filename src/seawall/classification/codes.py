"""Where exceptions keep their codes: one small reader a place, asked in a stated order.

Vendors' readers first, then SQLSTATE, HTTP status, errno, and the words that services use.
"""

import re
import ssl
from collections.abc import Iterator

from seawall.classification.errno_code import by_errno
from seawall.classification.error_type import ErrorType
from seawall.classification.explanation import Explanation, Layer
from seawall.classification.http_reader import read_http_status
from seawall.classification.reading import read, text_of, whole
from seawall.classification.service_code import by_service_code
from seawall.classification.sqlstate import by_sqlstate
from seawall.classification.vendor_reader import VENDOR_READERS, Found, Reader, grpc


def explain_code(exc: BaseException) -> Explanation | None:
    """What the exception's own codes say, or None where it has none that tells."""
    for reader in _readers(type(exc)):
        found = reader(exc)
        if found is not None:
            error_type, detail = found
            if error_type is not None and error_type is not ErrorType.UNKNOWN:
                return Explanation(error_type, Layer.CODE, detail)
    return None


def may_carry_code(cls: type) -> bool:
    """Whether a class has a place for codes of its own (an errno agrees with its class's name)."""
    return any(_vendor_readers(cls)) or any(hasattr(cls, name) for name in _CODE_ATTRIBUTES)


def _readers(cls: type) -> tuple[Reader, ...]:
    """The readers that make sense for a class, the most specific first."""
    readers = _READERS.get(cls)
    if readers is None:
        if len(_READERS) > _MOST_CLASSES:  # clients that make a class a call must not fill memory
            _READERS.clear()
        readers = _READERS[cls] = (*_vendor_readers(cls), *_COMMON_READERS)
    return readers


def _vendor_readers(cls: type) -> Iterator[Reader]:
    roots = {base.__module__.partition(".")[0] for base in cls.__mro__}
    for names, reader in VENDOR_READERS:
        if not roots.isdisjoint(names):
            yield reader


def _sqlstate(exc: BaseException) -> Found:
    for name in ("sqlstate", "pgcode"):
        code = read(exc, name)
        if isinstance(code, str) and len(code) == 5:
            # Some drivers say "no connection" (class 08) of a login that was refused.
            if code in _NO_CONNECTION and _LOGIN_REFUSED.search(text_of(exc)):
                return ErrorType.CONFIGURATION, f"SQLSTATE {code}, the login was refused"
            return by_sqlstate(code), f"SQLSTATE {code}"
    return None


def _errno(exc: BaseException) -> Found:
    if not isinstance(exc, OSError) or isinstance(exc, ssl.SSLError):
        return None  # OpenSSL and Kafka number their own errors in ``errno``
    if isinstance(read(exc, "os_error"), ssl.SSLError):
        return None
    number = whole(exc.errno)
    return None if number is None else (by_errno(number), f"errno {number}")


def _service_word(exc: BaseException) -> Found:
    for name in ("error_code", "code"):
        word = read(exc, name)
        if isinstance(word, str):
            return by_service_code(word), f"code {word}"
    return None


def _rpc_status(exc: BaseException) -> Found:
    """Of clients that are built on gRPC under another name."""
    return grpc(exc) if callable(read(exc, "code")) else None


_NO_CONNECTION = frozenset({"08000", "08001", "08004", "08006"})
_LOGIN_REFUSED = re.compile(
    r"authenticat|password|credential|login failed|access denied|token", re.IGNORECASE
)
_CODE_ATTRIBUTES = (
    "sqlstate",
    "pgcode",
    "response",
    "status_code",
    "status",
    "http_status",
    "code",
    "error_code",
)
_COMMON_READERS: tuple[Reader, ...] = (
    _sqlstate,
    read_http_status,
    _errno,
    _service_word,
    _rpc_status,
)
_READERS: dict[type, tuple[Reader, ...]] = {}
_MOST_CLASSES = 4096
