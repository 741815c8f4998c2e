"""What a type checker sees of checkpoints; read by mypy, never run."""

from typing import Any, assert_type
from uuid import UUID

from seawall import (
    Batch,
    Checkpoint,
    CheckpointStrategy,
    CsvSource,
    ErrorRecoveryManager,
    FileSink,
    JsonLinesSource,
    OnConflict,
    RecordSource,
    Step,
    StepProgress,
    StreamReport,
    TableSource,
    Tolerance,
    WhenHeld,
)

manager = ErrorRecoveryManager()


def show(progress: StepProgress) -> None:
    assert_type(progress.remaining_seconds, float | None)


async def into(tx: Any, batch: Batch) -> None:
    await tx.load("t", batch.records)


async def streams() -> None:
    sources: list[RecordSource] = [
        CsvSource("a.csv"),
        JsonLinesSource("a.jsonl"),
        TableSource("postgresql://x/y", "t"),
    ]
    report = await manager.stream(sources[0], "t", run_id="r", concurrency=4, on_conflict="update")
    assert_type(report, StreamReport)
    await manager.stream(
        lambda after: iter([1]), into, run_id="r", tolerance=Tolerance(0.1), on_progress=show
    )
    await manager.stream(sources[1], FileSink("out"), run_id="r", handle_signals=True)
    await manager.stream(
        sources[2], "t", run_id="r", on_conflict=OnConflict(columns=["id"]), when_held="take"
    )
    await manager.stream(sources[2], "t", run_id="r", sizes=5)  # type: ignore[call-arg]
    await manager.stream(sources[2], "t", run_id="r", size="5")  # type: ignore[arg-type]


async def blocks() -> None:
    step = manager.checkpoint(
        "r", "s", when_held=WhenHeld.FAIL, strategy=CheckpointStrategy.every_seconds(5)
    )
    async with step as cp:
        assert_type(cp, Step)
        async for batch in cp.batches(CsvSource("a.csv")):
            assert_type(batch, Batch)
            async with batch.acknowledge() as ack:
                ack.reject(0, "no")


async def partitions() -> None:
    async def work(cp: Step) -> None:
        await cp.for_each(CsvSource("a.csv"), into)

    reports = await manager.for_each_partition("r", "s", range(8), work, concurrency=2)
    assert_type(reports, dict[int, StreamReport])


async def plain() -> None:
    assert_type(await manager.checkpoint_progress("r", "s", {"a": 1}), UUID)
    assert_type(await manager.resume_from_checkpoint("r"), Checkpoint | None)
    for checkpoint in await manager.checkpoint_history("r", "s"):
        await manager.rewind_checkpoint("r", "s", checkpoint.version, actor="me", reason="why")
