"""What has been worked out about exception types, so that it is worked out once.

A type is remembered as deciding alone only where its exceptions have no place for anything that
says more: a code, a server's wait, another exception.
"""

from collections.abc import Callable, Hashable
from typing import Any

from seawall.classification.class_word import by_class_words
from seawall.classification.codes import NO_CONNECTION, codes_of, key_reader, may_carry_code
from seawall.classification.error_type import ErrorType
from seawall.classification.explanation import NOTHING_KNOWN, Explanation, Layer
from seawall.classification.reading import qualified_name
from seawall.classification.retry_after import may_ask_to_wait
from seawall.classification.type_name import PRESUMED, TYPES

Known = tuple[Explanation | None, Explanation | None]
_MOST = 4096

_BY_TYPE: dict[type, Known] = {}
# Types that decide by themselves: in the table under their own name, with no place for a code.
ALONE: dict[type, ErrorType] = {}
# What an exception is that carries nothing but its type: no message, and none behind it.
BARE: dict[type, tuple[ErrorType, None]] = {}
# How to read the one code that decides, and what codes have decided.
KEYED: dict[type, Callable[[Any], Hashable] | None] = {}
_DECIDED: dict[tuple[type, Hashable], ErrorType] = {}


def by_type(cls: type) -> Known:
    """What the type decides and what it lets us presume, by its nearest base in the tables."""
    known = _BY_TYPE.get(cls)
    if known is None:
        if len(_BY_TYPE) > _MOST:  # clients that make a class a call must not fill memory
            for cache in (_BY_TYPE, ALONE, BARE, KEYED, _DECIDED):
                cache.clear()
        known = _BY_TYPE[cls] = _looked_up(cls)
        if not _may_hold_more(cls) and (known[0] or known[1]) is not None:
            found = known[0] or known[1] or NOTHING_KNOWN
            BARE[cls] = (found.error_type, None)
    return known


def by_remembered_code(cls: type, exc: BaseException) -> ErrorType | None:
    """What the exception's code has decided before; None where that isn't known."""
    reader = KEYED.get(cls)
    if reader is None:
        return None
    try:
        return _DECIDED.get((cls, reader(exc)))
    except Exception:
        # A foreign property; the slow way looks more carefully.
        return None


def remember_code(exc: BaseException, found: Explanation) -> None:
    """Remember what the exception's one code decided."""
    if found.layer is not Layer.CODE:
        return
    cls = type(exc)
    if cls not in KEYED:
        by_type(cls)  # which keeps all that is remembered of types within its bound
        KEYED[cls] = key_reader(cls)
    reader = KEYED[cls]
    if reader is None:
        return
    try:
        key = reader(exc)
        # Another code of it may have decided, where no table knows the first.
        if key is None or key in NO_CONNECTION or next(codes_of(exc)) != found.detail:
            return
        if len(_DECIDED) < _MOST:
            _DECIDED[cls, key] = found.error_type
    except Exception:
        # A foreign property; then nothing is remembered of it.
        return


def _may_hold_more(cls: type) -> bool:
    """Whether its exceptions may say more than their type, with no message and nothing on them."""
    if not issubclass(cls, Exception) or issubclass(cls, BaseExceptionGroup):
        return True
    # An errno agrees with the names that Python has made for them; elsewhere it says more.
    if issubclass(cls, OSError) and (cls is OSError or cls.__module__ != "builtins"):
        return True
    return may_carry_code(cls) or may_ask_to_wait(cls)


def _looked_up(cls: type) -> Known:
    for base in cls.__mro__:
        name = qualified_name(base)
        if name in TYPES:
            if base is cls and not may_carry_code(cls):
                ALONE[cls] = TYPES[name]
            return Explanation(TYPES[name], Layer.TYPE, name), None
        if name in PRESUMED:
            # A broad base of Python's own says less than the words of the type's own name.
            words = by_class_words(cls.__name__) if base.__module__ == "builtins" else None
            return None, Explanation(words or PRESUMED[name], Layer.PRESUMED, name)
    # Python's own names are in the tables, or say nothing: NotImplementedError is a bug.
    suggested = None if cls.__module__ == "builtins" else by_class_words(cls.__name__)
    if suggested is None:
        return None, None
    return None, Explanation(suggested, Layer.PRESUMED, f"the name {cls.__name__}")
