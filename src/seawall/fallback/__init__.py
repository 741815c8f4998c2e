"""Another answer where an operation fails."""

from seawall.fallback.chain import call_with_fallback, fallback

__all__ = ["call_with_fallback", "fallback"]
