"""Streaming checkpoints: rows, quarantined rows and position commit together, or not at all."""

from seawall.checkpoint.batch import Batch
from seawall.checkpoint.model import (
    Checkpoint,
    Counters,
    Progress,
    Rejection,
    StepKey,
    StepState,
    StreamReport,
    Tolerance,
)
from seawall.checkpoint.step import Batches, Step

__all__ = [
    "Batch", "Batches", "Checkpoint", "Counters", "Progress", "Rejection", "Step", "StepKey",
    "StepState", "StreamReport", "Tolerance",
]  # fmt: skip
