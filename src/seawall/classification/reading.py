"""Reading exceptions that others wrote: no property or ``__str__`` of theirs harms us."""

from typing import Any

LONGEST_TEXT = 2000


def read(holder: object, name: str) -> Any:
    """The attribute, or None where it is missing or its property raises."""
    try:
        return getattr(holder, name, None)
    except Exception:
        return None


def text_of(exc: BaseException) -> str:
    """The start of the exception's message; empty where its ``__str__`` raises."""
    try:
        return str(exc)[:LONGEST_TEXT]
    except Exception:
        return ""


def qualified_name(cls: type) -> str:
    """``module.Name``, as the tables spell it."""
    return f"{cls.__module__}.{cls.__qualname__}"


def whole(value: object) -> int | None:
    """The value where it is a whole number; True and False are none."""
    return int(value) if isinstance(value, int) and not isinstance(value, bool) else None
