"""Where a tracer hooks in: what runs inside a run, a step or a batch belongs to its span."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Protocol

Attribute = str | int


class OpenSpan(Protocol):
    """A span that is the current one."""

    def close(self, error: BaseException | None) -> None:
        """It ends, by ``error`` where there was one; never raises."""
        ...


class Tracer(Protocol):
    """Makes spans. Set as ``EventBus.tracer`` by ``seawall.instrumentation``."""

    def open(self, kind: str, attributes: Mapping[str, Attribute]) -> OpenSpan:
        """A span of ``kind`` (``run``, ``step``, ``batch``), current until closed; never raises.

        Opened and closed by the same task, in the scope that it is about.
        """
        ...


class Traced(Protocol):
    """What a tracer may be set on: the event bus."""

    tracer: Tracer | None


def open_span(bus: Traced, kind: str, **attributes: Attribute) -> OpenSpan | None:
    """A span, or None where nobody traces."""
    return None if bus.tracer is None else bus.tracer.open(kind, attributes)


def close_span(span: OpenSpan | None, error: BaseException | None) -> None:
    """End what ``open_span`` gave."""
    if span is not None:
        span.close(error)


@contextmanager
def spanned(bus: Traced, kind: str, **attributes: Attribute) -> Iterator[None]:
    """A span around a block, where somebody traces."""
    span = open_span(bus, kind, **attributes)
    try:
        yield
    except BaseException as error:
        close_span(span, error)
        raise
    else:
        close_span(span, None)
