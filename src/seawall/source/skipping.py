"""Sources that can't begin anywhere but at their start."""

import logging
from collections.abc import AsyncIterable, AsyncIterator, Callable, Iterable, Iterator
from typing import Any, TypeVar, overload

from seawall.clock import SYSTEM_CLOCK
from seawall.errors import InvalidConfigError, SourceChangedError

_logger = logging.getLogger("seawall.source")

T = TypeVar("T")
_COOPERATE_EVERY = 256  # records skipped, after which others get their turn


@overload
def skip_forward(
    source: AsyncIterable[T], after: Any, position: Callable[[T], Any]
) -> AsyncIterator[T]: ...
@overload
def skip_forward(source: Iterable[T], after: Any, position: Callable[[T], Any]) -> Iterator[T]: ...
def skip_forward(
    source: AsyncIterable[T] | Iterable[T], after: Any, position: Callable[[T], Any]
) -> AsyncIterator[T] | Iterator[T]:
    """The records of ``source`` behind the one at ``after``, for a source that can't seek.

    ``stream(lambda after: skip_forward(api.orders(), after, by_id), …, position=by_id)``. The
    records before are read and dropped; how many is logged. The source must give the same records
    in the same order each time, new ones only at its end.

    Args:
        source: an iterable or async iterable; the result is of the same kind.
        after: the last position; None: nothing is skipped.
        position: the position of a record.

    Raises (while it is read):
        SourceChangedError: the source ended, and no record was at ``after``.

    Raises:
        InvalidConfigError: ``source`` is of neither kind.
    """
    if isinstance(source, AsyncIterable):
        return _skipped_async(source, after, position)
    if isinstance(source, Iterable):
        return _skipped(source, after, position)
    raise InvalidConfigError(f"source={source!r:.80}: must be an iterable or async iterable")


async def _skipped_async(
    source: AsyncIterable[T], after: Any, position: Callable[[T], Any]
) -> AsyncIterator[T]:
    iterator = aiter(source)
    try:
        if after is not None:
            count = 0
            async for record in iterator:
                count += 1
                if position(record) == after:
                    break
                if count % _COOPERATE_EVERY == 0:
                    await SYSTEM_CLOCK.sleep(0)
            else:
                raise _never_came(after, count)
            _tell(after, count)
        async for record in iterator:
            yield record
    finally:
        aclose = getattr(iterator, "aclose", None)
        if aclose is not None:
            await aclose()


def _skipped(source: Iterable[T], after: Any, position: Callable[[T], Any]) -> Iterator[T]:
    iterator = iter(source)
    try:
        if after is not None:
            count = 0
            for record in iterator:
                count += 1
                if position(record) == after:
                    break
            else:
                raise _never_came(after, count)
            _tell(after, count)
        yield from iterator
    finally:
        close = getattr(iterator, "close", None)
        if close is not None:
            close()


def _tell(after: Any, count: int) -> None:
    _logger.info(
        "the source can't seek: skipped %d records, up to the position %r", count, after
    )  # fmt: skip


def _never_came(after: Any, count: int) -> SourceChangedError:
    return SourceChangedError(
        f"none of the source's {count} records is at the position {after!r}, up to which it was "
        "read already: it gives other records than before. Begin a new run, or give it a position "
        "that it has"
    )
