"""What an exception was raised from: groups, causes, contexts and the places clients keep them."""

from collections.abc import Iterator

from seawall.classification.reading import read

# Where clients keep the exception that they wrap: urllib (reason), aiohttp (os_error),
# SQLAlchemy (orig), Azure and Celery (inner_exception, exc).
WRAPPING_ATTRIBUTES = ("reason", "os_error", "orig", "inner_exception", "exc")
_PLACES = frozenset({*WRAPPING_ATTRIBUTES, "last_attempt"})
_LONGEST_CHAIN = 50
_WRAPS: dict[type, bool] = {}
_MOST_CLASSES = 4096


def members(exc: BaseException) -> tuple[BaseException, ...]:
    """The exceptions of a group; empty for any other exception."""
    return tuple(exc.exceptions) if isinstance(exc, BaseExceptionGroup) else ()


def links(exc: BaseException) -> Iterator[BaseException]:
    """The exceptions directly behind this one, the surest first."""
    if exc.__cause__ is not None:
        yield exc.__cause__
    if _wraps(type(exc)) or not _PLACES.isdisjoint(exc.__dict__):
        yield from _kept(exc)
    args = read(exc, "args")
    for value in args if isinstance(args, tuple) else ():
        if isinstance(value, BaseException):
            yield value
    if exc.__context__ is not None and not exc.__suppress_context__:
        yield exc.__context__


def _kept(exc: BaseException) -> Iterator[BaseException]:
    for name in WRAPPING_ATTRIBUTES:
        value = read(exc, name)
        if isinstance(value, BaseException):
            yield value
    attempt = read(exc, "last_attempt")  # tenacity.RetryError keeps its last future
    if attempt is not None:
        value = read(attempt, "_exception")
        if isinstance(value, BaseException):
            yield value


def _wraps(cls: type) -> bool:
    """Whether a class has a place of its own for another exception."""
    known = _WRAPS.get(cls)
    if known is None:
        if len(_WRAPS) > _MOST_CLASSES:  # clients that make a class a call must not fill memory
            _WRAPS.clear()
        # A property that raises, or a __getattr__, is asked each time.
        known = _WRAPS[cls] = hasattr(cls, "__getattr__") or any(
            hasattr(cls, name) for name in _PLACES
        )
    return known


def behind(exc: BaseException) -> Iterator[BaseException]:
    """Every exception behind this one, once each, nearest first; cancellations say nothing."""
    seen = {id(exc)}
    waiting = [exc]
    for current in waiting:
        for link in links(current):
            if id(link) not in seen and len(waiting) < _LONGEST_CHAIN:
                seen.add(id(link))
                waiting.append(link)
                if isinstance(link, Exception | BaseExceptionGroup):
                    yield link
