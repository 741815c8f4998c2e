"""What answers in place of an operation that failed."""

from seawall.fallback.chain import call_with_fallback, fallback
from seawall.fallback.handling import Handled
from seawall.fallback.last_good import LastGood

__all__ = ["Handled", "LastGood", "call_with_fallback", "fallback"]
