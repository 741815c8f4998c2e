"""The whole main job in one call: source, transform, sink, checkpoint."""

from collections.abc import Awaitable, Callable, Sequence
from typing import Any

from seawall.checkpoint.batch import Batch, Transform
from seawall.checkpoint.model import StreamReport
from seawall.checkpoint.reader import Source
from seawall.checkpoint.step import Step
from seawall.conflict import OnConflictOption
from seawall.errors import InvalidConfigError
from seawall.records import RecordSource

StreamSource = Callable[[Any], Source] | RecordSource
Sink = str | Callable[[Any, Batch], Awaitable[object]]

__all__ = ["Sink", "StreamSource", "Transform", "stream"]


async def stream(
    step: Step,
    source: StreamSource,
    sink: Sink,
    *,
    position: Callable[[Any], Any] | None = None,
    transform: Transform | None = None,
    columns: Sequence[str] | None = None,
    on_conflict: OnConflictOption | None = None,
    concurrency: int = 1,
) -> StreamReport:
    """Open ``step``, and read ``source`` from its position to the end, every batch into ``sink``.

    Raises:
        InvalidConfigError: ``source`` or ``sink`` is of no accepted kind.
    """
    if not (isinstance(source, RecordSource) or callable(source)):
        raise InvalidConfigError(
            f"source={source!r:.80}: must be a RecordSource (such as CsvSource), or a callable "
            "that takes the last position (None at first) and returns the records after it"
        )
    if not (isinstance(sink, str) or callable(sink)):
        raise InvalidConfigError(
            f"sink={sink!r:.80}: must be a table's name or an async function (tx, batch)"
        )
    if concurrency > 1 and not getattr(sink, "concurrent", True):
        raise InvalidConfigError(
            f"concurrency={concurrency}: {type(sink).__name__} takes batches one after the other"
        )
    finish = getattr(sink, "finish", None)

    async def into_table(tx: Any, batch: Batch) -> None:
        await tx.load(sink, batch.records, columns, on_conflict=on_conflict)

    async with step:
        report = await step.for_each(
            source if isinstance(source, RecordSource) else lambda: source(step.position),
            into_table if isinstance(sink, str) else sink,
            position=position,
            transform=transform,
            concurrency=concurrency,
        )
        if finish is not None:  # such as a file sink, whose last file is whole now
            await finish(step)
        return report
