"""At most so many seconds for a call."""

from seawall.timeout.limit import Timeout, timeout

__all__ = ["Timeout", "timeout"]
