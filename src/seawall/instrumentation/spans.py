"""Runs, steps, batches and failed attempts as OpenTelemetry spans."""

import asyncio
import threading
from collections.abc import Mapping

from opentelemetry import context, trace
from opentelemetry.trace import Span, StatusCode, Tracer

from seawall.clock import unix_nanoseconds
from seawall.errors import ShutdownError, StaleRunError
from seawall.events import Event, RetryExhausted, RetryScheduled, RetrySucceeded
from seawall.instrumentation.names import Names
from seawall.masking import Masker
from seawall.scope import current_scope
from seawall.text import recordable
from seawall.tracing import Attribute, OpenSpan

_SECOND = 1_000_000_000
_MOST_WAITING = 10_000

# Told to stop, or another worker's by now: this worker's end, not a failure.
_NO_FAILURES = (ShutdownError, StaleRunError)


class Spans:
    """Opens spans for ``seawall.tracing``.

    Named ``run flights``, ``step load``, ``batch load``; ids are attributes.
    """

    def __init__(self, tracer: Tracer, pipeline_id: str, names: Names, masker: Masker) -> None:
        self._tracer, self._pipeline_id = tracer, pipeline_id
        self._names, self._masker = names, masker

    def open(self, kind: str, attributes: Mapping[str, Attribute]) -> OpenSpan:
        scope = current_scope.get()
        pipeline = scope.pipeline_id or self._pipeline_id
        label, subject = ("pipeline", pipeline) if kind == "run" else ("step", scope.step)
        about = {
            "seawall.pipeline": pipeline,
            "seawall.run_id": scope.run_id,
            "seawall.step": scope.step,
            "seawall.release": scope.release,
        }
        span = self._tracer.start_span(
            f"{kind} {self._names.name(label, subject)}",
            attributes={
                **{key: value for key, value in about.items() if value is not None},
                **{f"seawall.{key}": value for key, value in attributes.items()},
            },
        )
        return _Current(span, self._masker)


class _Current:
    """A span that is the current one until it is closed."""

    __slots__ = ("_masker", "_span", "_token")

    def __init__(self, span: Span, masker: Masker) -> None:
        self._span, self._masker = span, masker
        self._token = context.attach(trace.set_span_in_context(span))

    def close(self, error: BaseException | None) -> None:
        context.detach(self._token)
        if self._span.is_recording() and error is not None:
            self._tell(error)
        self._span.end()

    def _tell(self, error: BaseException) -> None:
        name = type(error).__qualname__
        self._span.set_attribute("error.type", name)
        if isinstance(error, Exception) and not isinstance(error, _NO_FAILURES):
            try:
                text = recordable(f"{name}: {error}", self._masker)
            except Exception:
                text = name  # it has no text that can be had
            self._span.set_status(StatusCode.ERROR, text)


class Attempts:
    """Makes a span of each attempt of a call that failed at least once, when it is over.

    The first attempt is not traced as it runs, so that a call that succeeds costs nothing: spans
    inside an attempt are children of what is around the call. The first attempt's beginning is
    known where the policy has a deadline or the like; else its span has no length.
    """

    def __init__(self, tracer: Tracer, names: Names, masker: Masker) -> None:
        self._tracer, self._names, self._masker = tracer, names, masker
        # When the next attempt begins, by task, operation and attempt.
        self._begins: dict[tuple[int, str, int], int] = {}

    def hear(self, event: Event) -> None:
        if isinstance(event, RetryScheduled):
            self._failed(event)
            self._expect(event)
        elif isinstance(event, RetryExhausted):
            self._failed(event)
        elif isinstance(event, RetrySucceeded):
            self._span(event).end()

    def _failed(self, event: RetryScheduled | RetryExhausted) -> None:
        span = self._span(event)
        if span.is_recording():
            span.set_attribute("error.type", event.exception_type)
            span.set_attribute("seawall.error_type", str(event.error_type))
            text = f"{event.exception_type}: {event.message}"
            span.set_status(StatusCode.ERROR, recordable(text, self._masker))
        span.end()

    def _span(self, event: RetryScheduled | RetryExhausted | RetrySucceeded) -> Span:
        now = unix_nanoseconds()
        begin = self._begins.pop((_task(), event.operation, event.attempt), None)
        if begin is None:
            elapsed = event.elapsed_seconds if event.attempt == 1 else 0.0
            begin = now - int(elapsed * _SECOND)
        return self._tracer.start_span(
            f"attempt {self._names.name('operation', event.operation)}",
            start_time=min(begin, now),
            attributes={"seawall.operation": event.operation, "seawall.attempt": event.attempt},
        )

    def _expect(self, event: RetryScheduled) -> None:
        if len(self._begins) >= _MOST_WAITING:  # calls that were cancelled in their wait
            self._begins.pop(next(iter(self._begins)), None)
        begin = unix_nanoseconds() + int(event.wait_seconds * _SECOND)
        self._begins[_task(), event.operation, event.attempt + 1] = begin


def _task() -> int:
    try:
        return id(asyncio.current_task())
    except RuntimeError:
        return threading.get_ident()
