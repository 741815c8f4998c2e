"""From events to what was done about failures: counted in memory, rare actions kept one by one."""

from collections import defaultdict
from collections.abc import Callable
from typing import Any

from seawall.actions.store import ALL, MOST_ATTEMPTS, Delta, RunOutcome, Taken
from seawall.clock import uuid7
from seawall.events import (
    BatchCommitted,
    BreakerTransition,
    Event,
    FallbackExhausted,
    FallbackUsed,
    RetryExhausted,
    RetrySucceeded,
    RunEnded,
    StepEnded,
)

_MOST_CELLS = 5_000
_MOST_RARE = 1_000
_MOST_OPERATIONS = 500  # of a pipeline; further ones are one
_OTHER = "(other)"
_TOO_MANY_BAD = "TooManyBadRecordsError"

Identify = Callable[[str, str, str | None], str | None]
# pipeline, operation, pattern, error type, action, attempts
_Cell = tuple[str, str, str, str, str, int]


class ActionCounter:
    """Hears what was done and what came of it; a listener that only counts.

    Args:
        pipeline_id: of what happens outside any run.
        identify: the pattern of a message, of its error type and stack; None where none is known.

    Attributes:
        dropped: actions that weren't counted, because 5,000 kinds waited for the database.
    """

    def __init__(self, *, pipeline_id: str, identify: Identify) -> None:
        self._pipeline_id, self._identify = pipeline_id, identify
        self._cells: dict[_Cell, list[int]] = {}
        self._operations: dict[str, set[str]] = defaultdict(set)
        self._rare: list[Taken] = []
        self._settled: list[tuple[str, str]] = []
        self._runs: list[RunOutcome] = []
        self.dropped = 0

    def hear(self, event: Event) -> None:
        """The listener."""
        count = _HEARD.get(type(event))
        if count is not None:
            count(self, event)

    def count(
        self,
        action: str,
        *,
        pipeline_id: str | None,
        operation: str,
        error_type: str,
        succeeded: bool,
        pattern_id: str | None = None,
        attempts: int = 1,
        times: int = 1,
    ) -> None:
        """Count an action: for its pipeline and operation, for the fleet, and for its pattern."""
        pipeline = pipeline_id or self._pipeline_id
        attempts = min(attempts, MOST_ATTEMPTS)
        known = self._operations[pipeline]
        if operation not in known:
            if len(known) < _MOST_OPERATIONS:
                known.add(operation)
            else:
                operation = _OTHER
        self._add((pipeline, operation, "", error_type, action, attempts), succeeded, times)
        self._add((ALL, "", "", error_type, action, attempts), succeeded, times)
        if pattern_id:
            self._add((ALL, "", pattern_id, error_type, action, attempts), succeeded, times)

    def _add(self, cell: _Cell, succeeded: bool, times: int) -> None:
        counts = self._cells.get(cell)
        if counts is None:
            if len(self._cells) >= _MOST_CELLS:
                self.dropped += times
                return
            counts = self._cells[cell] = [0, 0]
        counts[0 if succeeded else 1] += times

    def take(self) -> list[Delta]:
        """What was counted since the last time."""
        cells, self._cells = self._cells, {}
        return [Delta(*cell, *counts) for cell, counts in cells.items()]

    def put_back(self, deltas: list[Delta]) -> None:
        """What could not be written."""
        for each in deltas:
            cell = (
                each.pipeline_id, each.operation, each.pattern_id, each.error_type, each.action,
                each.attempts,
            )  # fmt: skip
            self._add(cell, True, each.succeeded)
            self._add(cell, False, each.failed)

    def take_rare(self) -> tuple[list[Taken], list[tuple[str, str]], list[RunOutcome]]:
        """Rows to write, breakers that closed (service, outcome), and runs that ended."""
        rare = (self._rare, self._settled, self._runs)
        self._rare, self._settled, self._runs = [], [], []
        return rare

    def put_back_rare(
        self, rare: list[Taken], settled: list[tuple[str, str]], runs: list[RunOutcome]
    ) -> None:
        """What could not be written; written twice, it is kept once."""
        self._rare[:0], self._settled[:0], self._runs[:0] = rare, settled, runs

    def _recovered(self, event: RetrySucceeded) -> None:
        self.count(
            "retry",
            pipeline_id=event.scope.pipeline_id,
            operation=event.operation,
            error_type=event.error_type,
            succeeded=True,
            pattern_id=self._identify(event.message, event.error_type, event.stack),
            attempts=event.attempt,
        )

    def _exhausted(self, event: RetryExhausted) -> None:
        if event.attempt < 2:
            return  # nothing was done about it
        self.count(
            "retry",
            pipeline_id=event.scope.pipeline_id,
            operation=event.operation,
            error_type=event.error_type,
            succeeded=False,
            pattern_id=self._identify(event.message, event.error_type, event.stack),
            attempts=event.attempt,
        )

    def _fell_back(self, event: FallbackUsed | FallbackExhausted) -> None:
        self.count(
            "fallback",
            pipeline_id=event.scope.pipeline_id,
            operation=event.operation,
            error_type=event.error_type,
            succeeded=isinstance(event, FallbackUsed),
        )

    def _batch(self, event: BatchCommitted) -> None:
        if event.skip_count:
            self._quarantined(event, succeeded=True)

    def _step(self, event: StepEnded) -> None:
        if event.exception_type == _TOO_MANY_BAD:
            self._quarantined(event, succeeded=False)

    def _quarantined(self, event: Event, *, succeeded: bool) -> None:
        self.count(
            "quarantine",
            pipeline_id=event.scope.pipeline_id,
            operation=event.scope.step or "",
            error_type="data",
            succeeded=succeeded,
        )

    def _breaker(self, event: BreakerTransition) -> None:
        if event.to_state == "closed":
            self._keep(self._settled, (event.service_name, "succeeded"))
        elif event.to_state == "open" and event.from_state == "closed":
            taken = Taken(
                action_id=uuid7(),
                action="breaker_opened",
                pipeline_id=event.scope.pipeline_id or self._pipeline_id,
                run_id=event.scope.run_id,
                operation=event.service_name,
                summary=f"the circuit breaker of {event.service_name} opened: {event.reason}",
                details={"epoch": event.epoch},
                once=f"breaker:{event.service_name}:{event.epoch}",
            )
            self._keep(self._rare, taken)

    def _run(self, event: RunEnded) -> None:
        run_id = event.scope.run_id
        if run_id is not None and event.status in ("succeeded", "failed"):
            pipeline = event.scope.pipeline_id or self._pipeline_id
            self._keep(self._runs, RunOutcome(pipeline, run_id, event.status == "succeeded"))

    def _keep(self, kept: list[Any], value: object) -> None:
        if len(kept) < _MOST_RARE:
            kept.append(value)
        else:
            self.dropped += 1


_HEARD: dict[type[Event], Callable[[ActionCounter, Any], None]] = {
    RetrySucceeded: ActionCounter._recovered,  # noqa: SLF001 - its own
    RetryExhausted: ActionCounter._exhausted,  # noqa: SLF001 - its own
    FallbackUsed: ActionCounter._fell_back,  # noqa: SLF001 - its own
    FallbackExhausted: ActionCounter._fell_back,  # noqa: SLF001 - its own
    BatchCommitted: ActionCounter._batch,  # noqa: SLF001 - its own
    StepEnded: ActionCounter._step,  # noqa: SLF001 - its own
    BreakerTransition: ActionCounter._breaker,  # noqa: SLF001 - its own
    RunEnded: ActionCounter._run,  # noqa: SLF001 - its own
}
