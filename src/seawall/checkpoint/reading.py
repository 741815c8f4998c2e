"""How a step's source is read: by its strategy, as far ahead as its lanes need."""

import sys
from collections.abc import Callable
from typing import Any

from seawall.checkpoint.options import StepOptions
from seawall.checkpoint.reader import Reader, Source
from seawall.checkpoint.strategy import BatchSize, CheckpointStrategy
from seawall.clock import Clock


def reader_of(
    source: Source | Callable[[], Source],
    options: StepOptions,
    sizes: BatchSize,
    clock: Clock,
    *,
    positioned: bool,
    ahead: int,
) -> Reader:
    """Its reader; ``positioned``: the source gives lists of ``(position, record)``."""
    strategy = options.strategy
    return Reader(
        source,
        # The source's own batches are cut only where one is suspected of killing its workers.
        (lambda: sizes.limit or sys.maxsize) if strategy.whole else (lambda: sizes.now),
        options.interval if strategy.seconds is None else strategy.seconds,
        predicate=_of_record(strategy, positioned=positioned),
        whole=strategy.whole,
        chunked=positioned,
        ahead=ahead,
        clock=clock,
    )


def _of_record(strategy: CheckpointStrategy, *, positioned: bool) -> Callable[[Any], bool] | None:
    predicate = strategy.predicate
    if predicate is None or not positioned:
        return predicate
    return lambda pair: predicate(pair[1])
