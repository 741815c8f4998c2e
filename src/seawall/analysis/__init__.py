"""Failure analysis: what fails, since when, where, why, and what runs out next."""

from seawall.analysis.analyst import Analyst
from seawall.analysis.counter import FailureCounter
from seawall.analysis.model import (
    Basis,
    Cause,
    ChangePoint,
    FailureAnalysis,
    Outlook,
    Rate,
    Reliability,
    Season,
    Share,
    Trend,
)
from seawall.analysis.store import AnalysisStore

__all__ = [
    "AnalysisStore",
    "Analyst",
    "Basis",
    "Cause",
    "ChangePoint",
    "FailureAnalysis",
    "FailureCounter",
    "Outlook",
    "Rate",
    "Reliability",
    "Season",
    "Share",
    "Trend",
]
