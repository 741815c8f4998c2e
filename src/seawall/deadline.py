"""The moment by which the current call must be done, seen by every policy inside it."""

from contextvars import ContextVar

# A reading of the policies' monotonic clock. Carried by the context, so that a retry deep inside a
# call begins no wait that the call's own deadline can't fit.
current_deadline: ContextVar[float | None] = ContextVar("seawall_deadline", default=None)


def sooner(one: float | None, other: float | None) -> float | None:
    """The earlier of two moments, where None is no moment."""
    if one is None or other is None:
        return one if other is None else other
    return min(one, other)
