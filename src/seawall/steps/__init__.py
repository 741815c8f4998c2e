"""Functions that a run calls once, and whose results it keeps."""

from seawall.steps.runner import RESULT_BYTES, Steps
from seawall.steps.store import HeldStep, KeptResult, StepClaim, StepStore

__all__ = ["RESULT_BYTES", "HeldStep", "KeptResult", "StepClaim", "StepStore", "Steps"]
