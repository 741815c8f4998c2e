"""The front door."""

from seawall.manager.manager import ErrorRecoveryManager

__all__ = ["ErrorRecoveryManager"]
