"""Retry policies that follow what retries have shown: counted, advised, changed within bounds."""

from seawall.tuning.desk import RetryAdvice, TuningDesk
from seawall.tuning.model import AutoTuning, Bounds, Timing
from seawall.tuning.store import TuningChange, TuningStore
from seawall.tuning.tuner import Tuner

__all__ = [
    "AutoTuning",
    "Bounds",
    "RetryAdvice",
    "Timing",
    "Tuner",
    "TuningChange",
    "TuningDesk",
    "TuningStore",
]
