"""Where exceptions keep their codes: one small reader a place, asked in a stated order.

Vendors' readers first, then SQLSTATE, HTTP status, errno, and the words that services use.
"""

import re
import ssl
from collections.abc import Callable, Hashable, Iterator
from operator import attrgetter
from typing import Any

from seawall.classification import vendor_reader
from seawall.classification.errno_code import by_errno
from seawall.classification.error_type import ErrorType
from seawall.classification.explanation import Explanation, Layer
from seawall.classification.http_reader import read_http_status
from seawall.classification.reading import read, text_of, whole
from seawall.classification.service_code import by_service_code
from seawall.classification.sqlstate import by_sqlstate
from seawall.classification.vendor_code import AWS_CODES
from seawall.classification.vendor_reader import VENDOR_READERS, Found, Reader, grpc


def explain_code(exc: BaseException) -> Explanation | None:
    """What the exception's own codes say, or None where it has none that tells."""
    cls = type(exc)
    readers, may_carry = _plan(cls)
    if not may_carry and CODE_NAMES.isdisjoint(exc.__dict__):
        if not isinstance(exc, OSError):
            return None
        readers = _ERRNO_ALONE
    for reader in readers:
        found = reader(exc)
        if found is not None:
            error_type, detail = found
            if error_type is not None and error_type is not ErrorType.UNKNOWN:
                return Explanation(error_type, Layer.CODE, detail)
    return None


def codes_of(exc: BaseException) -> Iterator[str]:
    """Every code that the exception carries, as ``explain`` spells it, known or not."""
    readers, _ = _plan(type(exc))
    for reader in readers:
        found = reader(exc)
        if found is not None:
            yield found[1].partition(",")[0]


def may_carry_code(cls: type) -> bool:
    """Whether a class has a place for codes of its own (an errno agrees with its class's name)."""
    return any(_vendor_readers(cls)) or any(hasattr(cls, name) for name in CODE_NAMES)


def key_reader(cls: type) -> Callable[[BaseException], Hashable] | None:
    """How to read the one code that decides over exceptions of a class; None where more counts."""
    vendor = next(_vendor_readers(cls), None)
    if vendor is not None:
        return _KEYS.get(vendor)
    if any(hasattr(cls, name) for name in ("sqlstate", "pgcode")):
        return attrgetter("sqlstate" if hasattr(cls, "sqlstate") else "pgcode")
    return _own_errno if cls.__module__ == "builtins" and issubclass(cls, OSError) else None


def _own_errno(exc: Any) -> Hashable:
    return None if exc.__dict__ else exc.errno


def _first_argument(exc: BaseException) -> Hashable:
    first = exc.args[0]
    return first if type(first) is int else None


def _aws_code(exc: Any) -> Hashable:
    code = exc.response["Error"]["Code"]
    return code if code in AWS_CODES else None


def _plan(cls: type) -> tuple[tuple[Reader, ...], bool]:
    """The readers that make sense for a class, the most specific first; whether it has places."""
    plan = _PLANS.get(cls)
    if plan is None:
        if len(_PLANS) > _MOST_CLASSES:  # clients that make a class a call must not fill memory
            _PLANS.clear()
        plan = _PLANS[cls] = ((*_vendor_readers(cls), *_COMMON_READERS), may_carry_code(cls))
    return plan


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
            if code in NO_CONNECTION and _LOGIN_REFUSED.search(text_of(exc)):
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


def _told_retriable(exc: BaseException) -> Found:
    """Of clients that say it themselves; their "no" leaves the kind open."""
    for name in ("retriable", "retryable", "is_retryable"):
        if read(exc, name) is True:
            return ErrorType.TRANSIENT, f"{name}, as the client says"
    return None


# Codes that decide together with the message: not to be remembered alone.
NO_CONNECTION = frozenset({"08000", "08001", "08004", "08006"})
_LOGIN_REFUSED = re.compile(
    r"authenticat|password|credential|login failed|access denied|token", re.IGNORECASE
)
CODE_NAMES = frozenset(
    {
        "sqlstate",
        "pgcode",
        "response",
        "status_code",
        "status",
        "http_status",
        "code",
        "error_code",
        "retriable",
        "retryable",
        "is_retryable",
    }
)
_COMMON_READERS: tuple[Reader, ...] = (
    _sqlstate,
    read_http_status,
    _errno,
    _service_word,
    _rpc_status,
    _told_retriable,
)
_ERRNO_ALONE: tuple[Reader, ...] = (_errno,)
_PLANS: dict[type, tuple[tuple[Reader, ...], bool]] = {}
# Of readers that go by one code alone: how to read it in a moment.
_KEYS: dict[Reader, Callable[[Any], Hashable]] = {
    vendor_reader.mysql: _first_argument,
    vendor_reader.sql_server: _first_argument,
    vendor_reader.sqlite: attrgetter("sqlite_errorcode"),
    vendor_reader.mongo: attrgetter("code"),
    vendor_reader.aws: _aws_code,
}
_MOST_CLASSES = 4096
