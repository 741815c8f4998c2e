"""Tracebacks as text, with their secrets masked: formatted once for each way that errors take.

Formatting a stack costs some hundred microseconds, and the same few stacks come again and again:
what a stack looks like is kept by its code objects and the places in them.
"""

import traceback
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from types import CodeType, TracebackType

from seawall.masking import Masker
from seawall.text import LIMIT, recordable

FRAMES = 32  # the innermost ones; a recursion's thousands say nothing more
_MOST_STACKS = 512
_MOST_LINKS = 16  # exceptions of one chain

_CAUSE = "\nThe above exception was the direct cause of the following exception:\n\n"
_CONTEXT = "\nDuring handling of the above exception, another exception occurred:\n\n"
# Python adds more to these than their message: members, the line at fault, a suggestion.
_SPECIAL = (BaseExceptionGroup, SyntaxError, NameError, AttributeError, ImportError)

Places = tuple[tuple[CodeType, int], ...]


@dataclass(frozen=True, slots=True)
class Stack:
    """A way that an error took.

    Attributes:
        text: as Python prints it, without the exception's own line; secrets masked.
        names: a line a frame, file and function: the same on every host.
    """

    text: str
    names: str


class StackTexts:
    """Stacks by where they went; bounded. May be shared between tasks.

    Args:
        masker: hides secrets that stand in the source.
    """

    def __init__(self, masker: Masker) -> None:
        self._masker = masker
        self._known: dict[Places, Stack] = {}

    def stack_of(self, error: BaseException) -> Stack:
        """The error's own stack."""
        places: deque[tuple[CodeType, int]] = deque(maxlen=FRAMES)
        step: TracebackType | None = error.__traceback__
        while step is not None:
            places.append((step.tb_frame.f_code, step.tb_lasti))
            step = step.tb_next
        key = tuple(places)
        known = self._known.get(key)
        if known is None:
            if len(self._known) >= _MOST_STACKS:
                self._known.clear()
            known = self._known[key] = self._formatted(error.__traceback__)
        return known

    def _formatted(self, trace: TracebackType | None) -> Stack:
        frames = traceback.extract_tb(trace, limit=-FRAMES)
        head = "Traceback (most recent call last):\n" if frames else ""
        return Stack(
            recordable(head + "".join(frames.format()), self._masker),
            "\n".join(f"{_tail(frame.filename)}:{frame.name}" for frame in frames),
        )

    def text_of(self, error: BaseException, stack: Stack, message: str) -> str:
        """The error as Python prints it, with those behind it; of bounded length.

        Args:
            error: what was raised.
            stack: its own.
            message: its message, masked.
        """
        if not _is_special(error) and _is_alone(error):  # nearly always
            return f"{stack.text}{_line(type(error), message)}"[:LIMIT]
        links = [*_chain(error)]
        if any(_is_special(each) for each, _ in links) or len(links) > _MOST_LINKS:
            lines = traceback.format_exception(error, limit=-FRAMES)
            return recordable("".join(lines), self._masker)
        parts = []
        for each, joint in reversed(links):
            shown = message if each is error else recordable(message_of(each), self._masker)
            parts += [self.stack_of(each).text, _line(type(each), shown), joint]
        return "".join(parts)[:LIMIT]


def message_of(error: BaseException) -> str:
    """The exception's text; never fails."""
    try:
        return str(error)
    except Exception:  # a broken __str__ must not hide the error itself
        return f"<{type(error).__name__} whose __str__ fails>"


def _chain(error: BaseException) -> Iterator[tuple[BaseException, str]]:
    """The error and those behind it, each with what stands between it and the one before it."""
    seen: set[int] = set()
    here: BaseException | None = error
    joint = ""
    while here is not None and id(here) not in seen and len(seen) <= _MOST_LINKS:
        seen.add(id(here))
        yield here, joint
        if here.__cause__ is not None:
            here, joint = here.__cause__, _CAUSE
        else:
            here, joint = None if here.__suppress_context__ else here.__context__, _CONTEXT


def _is_special(error: BaseException) -> bool:
    return isinstance(error, _SPECIAL) or getattr(error, "__notes__", None) is not None


def _is_alone(error: BaseException) -> bool:
    if error.__cause__ is not None:
        return False
    return error.__context__ is None or error.__suppress_context__


def _line(kind: type[BaseException], message: str) -> str:
    here = kind.__module__ in ("builtins", "__main__")
    name = kind.__qualname__ if here else f"{kind.__module__}.{kind.__qualname__}"
    return f"{name}: {message}\n" if message else f"{name}\n"


def _tail(filename: str) -> str:
    """The last two parts of the path: the same on every host."""
    return "/".join(filename.replace("\\", "/").split("/")[-2:])
