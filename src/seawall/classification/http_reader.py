"""An HTTP error's status, corrected by what the service says in its body.

A status is one of forty; what failed is often told by a code beside it: a 403 that is a rate
limit, a 429 that is a full disk, a 409 that is somebody's lease.
"""

import re
from collections.abc import Iterator
from typing import Any

from seawall.classification.error_type import ErrorType
from seawall.classification.http_status import by_http_status
from seawall.classification.reading import read, text_of, whole
from seawall.classification.service_code import by_service_code

_LONGEST_BODY = 2000
_UNAUTHORIZED = 401
# Where clients keep what the service called the failure.
_CODE_ATTRIBUTES = ("error_code", "error", "code", "reason", "type")
_BODY_ATTRIBUTES = ("body", "content", "info", "error", "detail")
_CODE_IN_BODY = re.compile(
    r"(?:\b(?:error_?)?code|\btype|\berror|\breason|<code>)['\"]?\s?[:=>]\s?\[?['\"]?"
    r"([A-Za-z][A-Za-z_.]{4,60})",
    re.IGNORECASE,
)
_RATE_LIMIT = re.compile(
    r"rate.?limit|too many requests|throttl|request_limit_exceeded|(?<!data )request limit"
    r"|slow down|retry later"
)
_FULL = re.compile(
    r"flood-stage|disk usage exceeded|read-only-allow-delete|no space left|disk full"
    r"|out of memory|memory limit|insufficient storage"
)
_UNPAID = re.compile(r"insufficient_quota|check your plan and billing|billing")


def read_http_status(exc: BaseException) -> tuple[ErrorType | None, str] | None:
    """What the exception's status and its body say; None where it has no status."""
    status = _status_of(exc)
    if status is None:
        return None
    plain = by_http_status(status)
    if plain is None:
        return None, f"HTTP {status}"
    found = _by_body(exc, status)
    if found is None or found[0] is plain:
        return plain, f"HTTP {status}"
    return found[0], f"HTTP {status}, {found[1]}"


def _status_of(exc: BaseException) -> int | None:
    response = read(exc, "response")
    if response is not None:
        for name in ("status_code", "status"):
            status = whole(read(response, name))
            if status is not None:
                return status
    for name in ("status_code", "status", "http_status"):
        status = whole(read(exc, name))
        if status is not None:
            return status
    # ``code`` means many things; where headers stand beside it, it is the HTTP status (urllib).
    status = whole(read(exc, "code"))
    return status if status is not None and read(exc, "headers") is not None else None


def _by_body(exc: BaseException, status: int) -> tuple[ErrorType, str] | None:
    if status == _UNAUTHORIZED:
        return None
    for name in _CODE_ATTRIBUTES:
        word = read(exc, name)
        known = by_service_code(word) if isinstance(word, str) else None
        if known is not None:
            return known, f"code {word}"
    text = " ".join(_texts(exc))
    words = text.lower()
    if _FULL.search(words) and (status == 429 or status >= 500):
        return ErrorType.SYSTEM, "resources used up"
    if status == 429:
        return (ErrorType.CONFIGURATION, "no quota left") if _UNPAID.search(words) else None
    for match in _CODE_IN_BODY.finditer(text):
        known = by_service_code(match.group(1))
        if known is not None:
            return known, f"code {match.group(1)}"
    if status in {400, 403} and _RATE_LIMIT.search(words):
        return ErrorType.TRANSIENT, "a rate limit"
    return None


def _texts(exc: BaseException) -> Iterator[str]:
    """The message and what has been read of the body; nothing is read from a connection."""
    yield text_of(exc)
    for name in _BODY_ATTRIBUTES:
        yield _text(read(exc, name))
    response = read(exc, "response")
    if response is not None:
        # requests' and httpx's: bytes once the body has been read; their ``text`` would read it.
        yield _text(vars(response).get("_content") if hasattr(response, "__dict__") else None)


def _text(value: Any) -> str:
    if isinstance(value, bytes):
        return value[:_LONGEST_BODY].decode("utf-8", "replace")
    if isinstance(value, str):
        return value[:_LONGEST_BODY]
    return repr(value)[:_LONGEST_BODY] if isinstance(value, dict) and len(value) < 50 else ""
