"""Rows of ``checkpoints`` as the values that they hold."""

from typing import Any

from seawall.checkpoint.model import Checkpoint, Counters, Progress, Span, StepKey, Suspicion
from seawall.checkpoint.store import OpenRequest
from seawall.errors import CheckpointError
from seawall.quarantine import codec


def checkpoint_of(row: Any) -> Checkpoint:
    """A row with the columns of ``checkpoints``."""
    return Checkpoint(
        checkpoint_id=row["checkpoint_id"],
        run_id=row["run_id"],
        step=row["step"],
        partition=row["partition"],
        position=decoded(row["position"]),
        checkpoint_data=decoded(row["checkpoint_data"]),
        counters=counters_of(row),
        status=row["status"],
        updated_at=row["updated_at"],
        version=row["version"],
        state_version=row["state_version"],
    )


def upgraded(key: StepKey, request: OpenRequest, saved: int, progress: Progress) -> Progress:
    if saved == request.state_version:
        return progress
    what = f"step {key.step!r} of run {key.run_id!r} was saved with state_version {saved}"
    if saved > request.state_version:
        raise CheckpointError(
            f"{what}, newer than this worker's {request.state_version}: run the newer release"
        )
    if request.upgrade is None:
        if progress.position is None and not progress.ahead and not progress.sink_state:
            return progress  # nothing saved yet
        raise CheckpointError(
            f"{what}, this worker's is {request.state_version}: pass upgrade=(version, progress) "
            "-> progress"
        )
    upgraded = request.upgrade(saved, progress)
    if not isinstance(upgraded, Progress):
        raise CheckpointError(f"{what}: upgrade returned {upgraded!r:.80}, not a Progress")
    return upgraded


def progress_of(row: Any) -> Progress:
    size = row["suspect_size"]
    return Progress(
        position=decoded(row["position"]),
        ahead=tuple(
            Span(first=first, last=last, done=done)
            for first, last, done in decoded(row["ahead"]) or ()
        ),
        counters=counters_of(row),
        sink_state=decoded(row["sink_state"]) or {},
        suspicion=None
        if size is None
        else Suspicion(size=size, rows=row["suspect_rows"], deaths=row["suspect_deaths"]),
    )


def counters_of(row: Any) -> Counters:
    return Counters(
        row["read_count"],
        row["write_count"],
        row["skip_count"],
        row["batch_count"],
        row["retry_count"],
    )


def decoded(text: str | None) -> Any:
    """What the codec made ``text`` of."""
    return None if text is None else codec.decode(text)
