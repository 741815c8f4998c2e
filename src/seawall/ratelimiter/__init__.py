"""At most so many calls of a service in a time."""

from seawall.ratelimiter.limiter import RateLimiter

__all__ = ["RateLimiter"]
