"""The run, step and operation that the current code works for, carried by context variables."""

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Scope:
    """Who is at work: stamped on every event, error, quarantined record and checkpoint inside."""

    pipeline_id: str | None = None
    run_id: str | None = None
    step: str | None = None
    release: str | None = None


NO_SCOPE = Scope()
current_scope: ContextVar[Scope] = ContextVar("seawall_scope", default=NO_SCOPE)


@contextmanager
def scoped(scope: Scope) -> Iterator[Scope]:
    """Make ``scope`` the current one for the block."""
    token = current_scope.set(scope)
    try:
        yield scope
    finally:
        current_scope.reset(token)
