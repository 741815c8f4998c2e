"""A name for where an exception came from, for messages that say nothing ("", "'id'", "17")."""

import re
import sysconfig
from hashlib import blake2b
from types import CodeType, TracebackType

FINGERPRINT_VERSION = 1
_FRAMES = 8  # the innermost ones
_DEEPEST = 2_000
_DEEPEST_KNOWN, _MOST_NAMES = 64, 1024
_NAMES: dict[tuple[object, ...], str] = {}  # by type and way: storms take few ways
_PATHS = sysconfig.get_paths()
_LIBRARIES = tuple({_PATHS["stdlib"], _PATHS["platstdlib"]})
_INSTALLED = ("site-packages", "dist-packages")
_SPEAKS = re.compile(r"[A-Za-z]{2,}[ :,]+[A-Za-z]{2,}[ :,]+[A-Za-z]{2,}")


def lone_member(exc: BaseException) -> BaseException:
    """The exception; of a group with one member, that member."""
    while isinstance(exc, BaseExceptionGroup) and len(exc.exceptions) == 1:
        exc = exc.exceptions[0]
    return exc


def speaks(message: str) -> bool:
    """Whether the message surely says something by itself: it begins with three words."""
    return _SPEAKS.match(message) is not None


def stack_fingerprint(exc: BaseException) -> str:
    """A short name for the exception's type and the way to it; ``"1:"`` is the rule's version.

    The user's own frames count where there are any, else the libraries'. Neither line numbers nor
    folders do, nor how deep a recursion went: the name outlives edits nearby and is the same on
    every host.
    """
    codes: list[CodeType] = []
    traceback: TracebackType | None = exc.__traceback__
    while traceback is not None and len(codes) < _DEEPEST:
        codes.append(traceback.tb_frame.f_code)
        traceback = traceback.tb_next
    key = (type(exc), *codes)
    name = _NAMES.get(key)
    if name is None:
        name = _named(exc)
        if len(codes) <= _DEEPEST_KNOWN:
            if len(_NAMES) >= _MOST_NAMES:
                _NAMES.clear()
            _NAMES[key] = name
    return name


def _named(exc: BaseException) -> str:
    own: list[str] = []
    foreign: list[str] = []
    traceback: TracebackType | None = exc.__traceback__
    for _ in range(_DEEPEST):
        if traceback is None:
            break
        frame = traceback.tb_frame
        place = f"{frame.f_globals.get('__name__', '?')}:{frame.f_code.co_qualname}"
        places = own if _is_own(frame.f_code) else foreign
        if not places or places[-1] != place:
            places.append(place)
        traceback = traceback.tb_next
    kind = type(exc)
    parts = [f"{kind.__module__}.{kind.__qualname__}", *(own or foreign)[-_FRAMES:]]
    name = blake2b("\n".join(parts).encode("utf-8", "surrogatepass"), digest_size=8).hexdigest()
    return f"{FINGERPRINT_VERSION}:{name}"


def _is_own(code: CodeType) -> bool:
    path = code.co_filename
    if path.startswith("<") or any(folder in path for folder in _INSTALLED):
        return False
    return not path.startswith(_LIBRARIES)
