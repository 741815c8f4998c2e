"""Where exceptions keep their codes: one small reader a place, asked in a stated order."""

import ssl
from collections.abc import Callable, Iterator
from typing import Any

from seawall.classification.errno_code import by_errno
from seawall.classification.error_type import ErrorType
from seawall.classification.explanation import Explanation, Layer
from seawall.classification.http_status import GRPC_STATUSES, by_http_status
from seawall.classification.reading import read, text_of
from seawall.classification.sqlstate import by_sqlstate
from seawall.classification.vendor_code import (
    AWS_CODES,
    GOOGLE_REASONS,
    MONGO_CODES,
    MYSQL_CODES,
    REDIS_CODES,
    SQLITE_CODES,
)

_Found = tuple[ErrorType | None, str] | None
_Reader = Callable[[BaseException], _Found]


def explain_code(exc: BaseException) -> Explanation | None:
    """What the exception's own codes say, or None where it has none that tells."""
    for reader in _readers(type(exc)):
        found = reader(exc)
        if found is not None and found[0] not in (None, ErrorType.UNKNOWN):
            return Explanation(found[0], Layer.CODE, found[1])
    return None


def may_carry_code(cls: type) -> bool:
    """Whether a class has a place for codes of its own (an errno agrees with its class's name)."""
    return any(_vendor_readers(cls)) or any(hasattr(cls, name) for name in _CODE_ATTRIBUTES)


def _readers(cls: type) -> tuple[_Reader, ...]:
    """The readers that make sense for a class, the most specific first."""
    readers = _READERS.get(cls)
    if readers is None:
        if len(_READERS) > _MOST_CLASSES:  # clients that make a class a call must not fill memory
            _READERS.clear()
        readers = _READERS[cls] = (*_vendor_readers(cls), *_COMMON_READERS)
    return readers


def _vendor_readers(cls: type) -> Iterator[_Reader]:
    roots = {base.__module__.partition(".")[0] for base in cls.__mro__}
    for names, reader in _VENDOR_READERS:
        if not roots.isdisjoint(names):
            yield reader


def _sqlstate(exc: BaseException) -> _Found:
    for name in ("sqlstate", "pgcode"):
        code = read(exc, name)
        if isinstance(code, str) and len(code) == 5:
            return by_sqlstate(code), f"SQLSTATE {code}"
    return None


def _http_status(exc: BaseException) -> _Found:
    response = read(exc, "response")
    holders = ((response, "status_code"), (response, "status")) if response is not None else ()
    for holder, name in (*holders, (exc, "status_code"), (exc, "status"), (exc, "http_status")):
        status = _whole(read(holder, name))
        if status is not None:
            return by_http_status(status), f"HTTP {status}"
    # ``code`` means many things; where headers stand beside it, it is the HTTP status (urllib).
    status = _whole(read(exc, "code"))
    if status is not None and read(exc, "headers") is not None:
        return by_http_status(status), f"HTTP {status}"
    return None


def _errno(exc: BaseException) -> _Found:
    if not isinstance(exc, OSError) or isinstance(exc, ssl.SSLError):
        return None  # OpenSSL and Kafka number their own errors in ``errno``
    if isinstance(read(exc, "os_error"), ssl.SSLError):
        return None
    number = _whole(exc.errno)
    return None if number is None else (by_errno(number), f"errno {number}")


def _grpc(exc: BaseException) -> _Found:
    code = read(exc, "code")
    status = _called(code) if callable(code) else read(exc, "grpc_status_code")
    name = read(status, "name")
    if not isinstance(name, str):
        return None
    detail = f"gRPC {name}"
    if name == "RESOURCE_EXHAUSTED" and "larger than max" in text_of(exc):
        return ErrorType.CONFIGURATION, f"{detail}, message larger than allowed"
    return GRPC_STATUSES.get(name), detail


def _aws(exc: BaseException) -> _Found:
    response = read(exc, "response")
    if not isinstance(response, dict):
        return None
    error, metadata = response.get("Error"), response.get("ResponseMetadata")
    code = error.get("Code") if isinstance(error, dict) else None
    if isinstance(code, str) and code in AWS_CODES:
        return AWS_CODES[code], f"AWS {code}"
    status = _whole(metadata.get("HTTPStatusCode")) if isinstance(metadata, dict) else None
    return None if status is None else (by_http_status(status), f"HTTP {status}")


def _google(exc: BaseException) -> _Found:
    errors = read(exc, "errors")
    first = errors[0] if isinstance(errors, list | tuple) and errors else None
    reason = first.get("reason") if isinstance(first, dict) else None
    if isinstance(reason, str) and reason in GOOGLE_REASONS:
        return GOOGLE_REASONS[reason], f"Google {reason}"
    status = _whole(read(exc, "code"))
    return None if status is None else (by_http_status(status), f"HTTP {status}")


def _sqlite(exc: BaseException) -> _Found:
    number = _whole(read(exc, "sqlite_errorcode"))
    return None if number is None else (SQLITE_CODES.get(number & 0xFF), f"SQLite {number}")


def _mysql(exc: BaseException) -> _Found:
    args = read(exc, "args")
    number = _whole(read(exc, "errno"))
    if number is None and isinstance(args, tuple) and args:
        number = _whole(args[0])
    return None if number is None else (MYSQL_CODES.get(number), f"MySQL {number}")


def _mongo(exc: BaseException) -> _Found:
    number = _whole(read(exc, "code"))
    return None if number is None else (MONGO_CODES.get(number), f"MongoDB {number}")


def _redis(exc: BaseException) -> _Found:
    code = read(exc, "status_code")
    if not isinstance(code, str):
        code = text_of(exc).partition(" ")[0]
    return REDIS_CODES.get(code), f"Redis {code}"


def _kafka(exc: BaseException) -> _Found:
    if read(exc, "retriable") is True:
        return ErrorType.TRANSIENT, "retriable, as Kafka's protocol says"
    # confluent-kafka wraps a KafkaError, which knows, in a KafkaException.
    args = read(exc, "args")
    inner = args[0] if isinstance(args, tuple) and args else None
    told = read(inner, "retriable")
    if callable(told) and _called(told) is True:
        return ErrorType.TRANSIENT, "retriable, as Kafka's protocol says"
    return None


def _smtp(exc: BaseException) -> _Found:
    number = _whole(read(exc, "smtp_code"))
    if number is None or not 400 <= number <= 599:
        return None
    if number < 500:
        return ErrorType.TRANSIENT, f"SMTP {number}"
    refused = number in {530, 534, 535, 538, 550, 551, 553}
    return (ErrorType.CONFIGURATION if refused else ErrorType.DATA), f"SMTP {number}"


def _whole(value: Any) -> int | None:
    return int(value) if isinstance(value, int) and not isinstance(value, bool) else None


def _called(function: Callable[[], Any]) -> Any:
    try:
        return function()
    except Exception:
        # A foreign callable; what it will not tell is not known.
        return None


_VENDOR_READERS: tuple[tuple[frozenset[str], _Reader], ...] = (
    (frozenset({"botocore", "boto3", "aiobotocore", "s3transfer"}), _aws),
    (frozenset({"google", "googleapiclient"}), _google),
    (frozenset({"grpc", "google", "grpclib"}), _grpc),
    (frozenset({"sqlite3", "aiosqlite"}), _sqlite),
    (frozenset({"pymysql", "MySQLdb", "aiomysql", "asyncmy", "mysql"}), _mysql),
    (frozenset({"pymongo", "motor"}), _mongo),
    (frozenset({"redis", "aioredis", "valkey"}), _redis),
    (frozenset({"kafka", "aiokafka", "confluent_kafka", "cimpl"}), _kafka),
    (frozenset({"smtplib", "aiosmtplib"}), _smtp),
)
_CODE_ATTRIBUTES = (
    "sqlstate",
    "pgcode",
    "response",
    "status_code",
    "status",
    "http_status",
    "code",
)
_COMMON_READERS: tuple[_Reader, ...] = (_sqlstate, _http_status, _errno)
_READERS: dict[type, tuple[_Reader, ...]] = {}
_MOST_CLASSES = 4096
