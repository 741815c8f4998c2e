"""When a batch ends and is committed."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Self

from seawall.config import Range
from seawall.errors import InvalidConfigError

_SHRINK, _GROW = 0.5, 2.0  # the most that one batch changes the size of the next
_FOLLOW = 0.5  # how far the size goes towards what the last batch says


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckpointStrategy:
    """When a batch ends: at the first of what is given here. A batch is committed as it ends.

    Attributes:
        rows: records in it; None: ``checkpoint_batch_size``.
        seconds: since its first record was read; None: ``checkpoint_interval_minutes``.
        predicate: called with each record; true for the last one of a batch.
        target_seconds: how long a batch's transaction shall take: ``rows`` is where the size
            begins, and it then follows what was measured.
        smallest, largest: records a batch, between which the size stays.
        whole: each item of the source is a batch: a list of records, such as a page of an API.

    Raises:
        InvalidConfigError: a value is out of range, or they contradict each other.
    """

    rows: int | None = None
    seconds: float | None = None
    predicate: Callable[[Any], bool] | None = None
    target_seconds: float | None = None
    smallest: int = 100
    largest: int = 100_000
    whole: bool = False

    def __post_init__(self) -> None:
        for name in ("rows", "smallest", "largest"):
            if getattr(self, name) is not None:
                Range(int, 1).check(name, getattr(self, name))
        for name in ("seconds", "target_seconds"):
            if getattr(self, name) is not None:
                Range(float, low_open=True).check(name, getattr(self, name))
        if self.smallest > self.largest:
            raise InvalidConfigError(
                f"smallest={self.smallest}: must not pass largest={self.largest}"
            )
        if self.predicate is not None and not callable(self.predicate):
            raise InvalidConfigError(
                f"predicate={self.predicate!r}: must be a function of a record"
            )
        if self.whole and (self.rows or self.seconds or self.predicate or self.target_seconds):
            raise InvalidConfigError("whole=True: the source says where batches end, nothing else")

    @classmethod
    def every_batch(cls) -> Self:
        """Each item of the source is a batch: a list; of a ``RecordSource`` each chunk."""
        return cls(whole=True)

    @classmethod
    def every_rows(cls, rows: int) -> Self:
        """Batches of ``rows`` records; a slow source's are committed by the manager's interval."""
        return cls(rows=rows)

    @classmethod
    def every_seconds(cls, seconds: float, *, rows: int | None = None) -> Self:
        """A batch ends ``seconds`` after its first record, however few it has."""
        return cls(seconds=seconds, rows=rows)

    @classmethod
    def when(cls, predicate: Callable[[Any], bool], *, rows: int | None = None) -> Self:
        """A batch ends behind a record for which ``predicate`` is true."""
        return cls(predicate=predicate, rows=rows)

    @classmethod
    def adaptive(
        cls,
        target_seconds: float = 0.5,
        *,
        smallest: int = 100,
        largest: int = 100_000,
        rows: int | None = None,
    ) -> Self:
        """The size follows the time that batches take, towards ``target_seconds``."""
        return cls(target_seconds=target_seconds, smallest=smallest, largest=largest, rows=rows)


class BatchSize:
    """How many records the next batch may have.

    Args:
        strategy: the rules.
        rows: records a batch, where the strategy says nothing.
    """

    def __init__(self, strategy: CheckpointStrategy, rows: int) -> None:
        self._strategy = strategy
        self.rows = strategy.rows or rows
        if strategy.target_seconds is not None:
            self.rows = self._within(self.rows)
        self.limit: int | None = None  # while a batch is suspected of killing its workers

    @property
    def now(self) -> int:
        """Records that the next batch may have."""
        return self.rows if self.limit is None else min(self.limit, self.rows)

    def learn(self, rows: int, seconds: float) -> None:
        """A batch of ``rows`` records took ``seconds`` from its start to its commit."""
        target = self._strategy.target_seconds
        # A batch that was cut short, at the source's end or by time, says little of a full one.
        if target is None or self.limit is not None or rows < self.rows // 2:
            return
        wanted = rows * min(max(target / max(seconds, 1e-6), _SHRINK), _GROW)
        self.rows = self._within(round(self.rows + _FOLLOW * (wanted - self.rows)))

    def _within(self, rows: int) -> int:
        return min(max(rows, self._strategy.smallest), self._strategy.largest)
