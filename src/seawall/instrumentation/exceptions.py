"""Exceptions as OpenTelemetry log records, each once."""

from opentelemetry._logs import Logger, LogRecord, SeverityNumber
from opentelemetry.context import get_current

from seawall.clock import unix_nanoseconds
from seawall.events import ErrorLogged, Event, RetryExhausted
from seawall.masking import Masker
from seawall.text import recordable

_RESULT = "(result)"  # a result that wasn't wanted: no exception


class Exceptions:
    """Records what a retry gave up on and what was logged, unless that was the same.

    They belong to the span that is current. ``exception.stacktrace`` is not among the attributes:
    the row of ``error_details`` has it, masked.
    """

    def __init__(self, logger: Logger, pipeline_id: str, masker: Masker) -> None:
        self._logger, self._pipeline_id, self._masker = logger, pipeline_id, masker

    def hear(self, event: Event) -> None:
        if not isinstance(event, (RetryExhausted, ErrorLogged)) or event.counted:
            return
        if event.exception_type == _RESULT:
            return
        message = recordable(event.message, self._masker)
        scope, now = event.scope, unix_nanoseconds()
        attributes = {
            "exception.type": event.exception_type,
            "exception.message": message,
            "seawall.error_type": str(event.error_type),
            "seawall.pipeline": scope.pipeline_id or self._pipeline_id,
            "seawall.run_id": scope.run_id,
            "seawall.step": scope.step,
            "seawall.operation": event.operation,
        }
        if isinstance(event, ErrorLogged):
            attributes["seawall.error_id"] = str(event.error_id)
            attributes["seawall.pattern_id"] = event.pattern_id
        self._logger.emit(
            LogRecord(
                timestamp=now,
                observed_timestamp=now,
                context=get_current(),
                severity_text="ERROR",
                severity_number=SeverityNumber.ERROR,
                body=f"{event.exception_type}: {message}",
                attributes={key: value for key, value in attributes.items() if value is not None},
            )
        )
