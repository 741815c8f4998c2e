"""The watermark: up to where all is committed, in whatever order batches end. Pure.

Batches are issued in the source's order. The saved state is the position of the last record up to
which all are done, and the spans beyond it: those that are done too, and those that were given to a
sink outside the database. A restart reads again from the position, passes the done spans by and
cuts the others as they were.
"""

from collections import deque
from collections.abc import Iterable, Iterator
from typing import Any

from seawall.checkpoint.model import Span


class Issued:
    """A batch on its way, or one that an earlier process has finished."""

    __slots__ = ("announced", "done", "first", "last")

    def __init__(self, first: Any, last: Any, *, done: bool = False) -> None:
        self.first, self.last, self.done = first, last, done
        self.announced = False


class Watermark:
    """Which records of a source are done.

    Args:
        position: the saved position.
        ahead: the saved spans beyond it.
    """

    def __init__(self, position: Any, ahead: Iterable[Span] = ()) -> None:
        self.position = position
        self._issued: deque[Issued] = deque()
        self._expected = deque(ahead)

    @property
    def expected(self) -> Span | None:
        """The next saved span that the source has to come to."""
        return self._expected[0] if self._expected else None

    @property
    def pending(self) -> int:
        """Batches beyond the watermark, done or not."""
        return len(self._issued)

    def issue(self, first: Any, last: Any) -> Issued:
        """A batch is handed out: the records right behind the one before it."""
        batch = Issued(first, last)
        if self._expected and self._expected[0].first == first:
            self._expected.popleft()
            batch.announced = True  # as it was saved
        self._issued.append(batch)
        return batch

    def pass_by(self) -> None:
        """The source was read over the expected span, which is done."""
        span = self._expected.popleft()
        self._issued.append(Issued(span.first, span.last, done=True))
        self._advance()

    def state(
        self, *, done: Issued | None = None, announced: Issued | None = None
    ) -> tuple[Any, tuple[Span, ...]]:
        """Position and spans to save once ``done`` is committed, or ``announced`` given away."""
        position, contiguous = self.position, True
        ahead: list[Span] = []
        for batch in self._issued:
            finished = batch.done or batch is done
            if contiguous and finished:
                position = batch.last
                continue
            contiguous = False
            if finished or batch.announced or batch is announced:
                ahead.append(Span(first=batch.first, last=batch.last, done=finished))
        return position, (*ahead, *self._expected)

    def complete(self, batch: Issued) -> None:
        """``batch`` is committed."""
        batch.done = True
        self._advance()

    def _advance(self) -> None:
        while self._issued and self._issued[0].done:
            self.position = self._issued.popleft().last

    def __iter__(self) -> Iterator[Issued]:
        return iter(self._issued)
