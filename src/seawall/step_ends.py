"""How a step ended, told once, in the same words for streaming steps and for ``run.step``."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from seawall.classification import Classifier, default_classifier
from seawall.classification.reading import text_of
from seawall.errors import ShutdownError, StaleRunError
from seawall.events import EventBus, StepEnded, default_bus
from seawall.masking import Masker, default_masker
from seawall.scope import Scope
from seawall.text import recordable

# Told to stop, or another worker's by now: this worker's end, not the step's failure.
_NO_FAILURES = (ShutdownError, StaleRunError)


@dataclass(frozen=True, slots=True, kw_only=True)
class StepEnds:
    """Emits ``StepEnded``.

    Attributes:
        bus: who hears it.
        classifier: decides the error type of a failure.
        masker: finds secrets in its message.
    """

    bus: EventBus = default_bus
    classifier: Classifier = default_classifier
    masker: Masker = default_masker

    @contextmanager
    def telling(
        self, scope: Scope, error: BaseException | None, seconds: float, partition: int
    ) -> Iterator[None]:
        """Tell of the end by ``error``, or by what the block raises, when the block is left."""
        try:
            yield
        except BaseException as failure:
            error = failure
            raise
        finally:
            self.emit(scope, error, seconds=seconds, partition=partition)

    def emit(
        self,
        scope: Scope,
        error: BaseException | None,
        *,
        seconds: float,
        partition: int = 0,
        failed: bool = False,
    ) -> None:
        """Tell of the end by ``error``, or of a good one; with nobody to hear it, nothing is done.

        Args:
            scope: the step's own.
            error: what the step was left with.
            seconds: how long it was open.
            partition: of a partitioned step.
            failed: ``error`` is a failure, whatever its type.
        """
        if not self.bus.listeners:
            return
        status = "succeeded" if error is None else "failed" if failed else _status(error)
        self.bus.emit(
            StepEnded(
                scope=scope,
                status=status,
                partition=partition,
                elapsed_seconds=seconds,
                error_type=None if error is None or status != "failed" else self._type_of(error),
                exception_type=None if error is None else type(error).__qualname__,
                message=None if error is None else recordable(text_of(error), self.masker),
            )
        )

    def _type_of(self, error: BaseException) -> str:
        return self.classifier.classify(error).value


def _status(error: BaseException) -> str:
    is_failure = isinstance(error, Exception) and not isinstance(error, _NO_FAILURES)
    return "failed" if is_failure else "cancelled"
