"""Streaming checkpoints: rows, quarantined rows and position commit together, or not at all."""

from seawall.checkpoint.batch import Batch
from seawall.checkpoint.batches import Batches
from seawall.checkpoint.model import (
    Checkpoint,
    Counters,
    Progress,
    Rejection,
    StepKey,
    StepState,
    StreamReport,
)
from seawall.checkpoint.options import StepOptions, StepProgress
from seawall.checkpoint.step import Step
from seawall.checkpoint.store import WhenHeld
from seawall.checkpoint.strategy import CheckpointStrategy
from seawall.checkpoint.tolerance import Tolerance

__all__ = [
    "Batch", "Batches", "Checkpoint", "CheckpointStrategy", "Counters", "Progress", "Rejection",
    "Step", "StepKey", "StepOptions", "StepProgress", "StepState", "StreamReport", "Tolerance",
    "WhenHeld",
]  # fmt: skip
