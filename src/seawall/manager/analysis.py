"""The front door's analysis: what failed, why, and what to do."""

from seawall.manager.base import Base


class AnalysisMethods(Base):
    """Patterns, budgets, failures, actions and health."""
