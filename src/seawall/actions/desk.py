"""The fleet's recovery actions: recorded, counted, recommended, and held to a cap."""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import replace
from typing import Any
from uuid import UUID

from seawall.actions.counter import ActionCounter, Identify
from seawall.actions.knowledge import KnowledgeBase, Symptoms
from seawall.actions.recommendation import Case, RecoveryAction, ranked, recommend, tallies_of
from seawall.actions.store import ALL, ActionStore, KnownPattern, RunOutcome, Taken
from seawall.classification import Classifier, ErrorType
from seawall.classification.reading import text_of
from seawall.clock import SYSTEM_CLOCK, Clock, uuid7
from seawall.config import Range
from seawall.errors import InvalidConfigError, UnknownPatternError
from seawall.events import Event, EventBus, RecoveryActionTaken
from seawall.masking import Masker
from seawall.scope import Scope, current_scope
from seawall.service import Periodic
from seawall.text import recordable, storable

_MOST_DAYS = 90
_MOST_LISTED = 1_000
_PATTERNS = 5  # of a pipeline that recommendations are made for
_LONGEST_NAME = 100
_OUTCOMES = {True: "succeeded", False: "failed", None: None}


class ActionDesk:
    """Hears what was done, writes it down, and recommends; a service.

    Retries, fallbacks and quarantine are counted (day, pipeline, operation, error type, pattern,
    attempts); resumed runs, opened breakers, automatic changes, escalations and what people
    record are rows of ``recovery_actions`` as well. Belongs to one event loop.

    Args:
        store: where both are.
        bus: is told of each row.
        classifier: gives the recovery class of an exception.
        masker: finds secrets.
        knowledge: what to do about failures.
        identify: the pattern of a message, of its error type and stack.
        catch_up: writes the patterns that this worker has counted.
        pipeline_id: of what happens outside any run.
        hourly_cap: automatic actions of a pipeline in an hour, in the whole fleet.
        flush_seconds: between two writes.
        clock: for the waits.
    """

    def __init__(
        self,
        store: ActionStore,
        *,
        bus: EventBus,
        classifier: Classifier,
        masker: Masker,
        knowledge: KnowledgeBase,
        identify: Identify,
        catch_up: Callable[[], Awaitable[object]],
        pipeline_id: str,
        hourly_cap: int,
        flush_seconds: float = 10.0,
        clock: Clock = SYSTEM_CLOCK,
    ) -> None:
        self._store, self._bus, self._classifier, self._masker = store, bus, classifier, masker
        self._identify, self._catch_up = identify, catch_up
        self._pipeline_id, self._cap = pipeline_id, hourly_cap
        self.knowledge = knowledge
        self.counter = ActionCounter(pipeline_id=pipeline_id, identify=identify)
        self._periodic = Periodic(
            self.flush, every=flush_seconds, name="recovery actions", clock=clock
        )

    async def start(self) -> None:
        await self._periodic.start()

    async def aclose(self) -> None:
        await self._periodic.aclose()

    def hear(self, event: Event) -> None:
        """The listener."""
        self.counter.hear(event)

    async def flush(self) -> None:
        """Write what was heard; nothing counted is lost where that fails."""
        heard = self.counter.take_rare()
        try:
            await self._write_rare(*heard)
        except BaseException:
            self.counter.put_back_rare(*heard)
            raise
        deltas = self.counter.take()
        if not deltas:
            return
        try:
            await self._store.add(deltas)
        except BaseException:
            self.counter.put_back(deltas)
            raise

    async def _write_rare(
        self, rare: list[Taken], settled: list[tuple[str, str]], runs: list[RunOutcome]
    ) -> None:
        for taken in await self._store.write([self._masked(each) for each in rare]) if rare else ():
            self._tell(taken)
        for service, outcome in settled:
            self._settled(await self._store.settle("breaker_opened", service, outcome))
        for taken in await self._store.write(await self._store.resumed(runs)) if runs else ():
            self._settled(taken)

    # -- recording ---------------------------------------------------------------------------

    async def record(
        self,
        action: str,
        *,
        succeeded: bool | None,
        pipeline_id: str | None,
        error: BaseException | None,
        error_type: ErrorType | str | None,
        pattern_id: str | None,
        operation: str | None,
        actor: str | None,
        reason: str,
        details: Mapping[str, Any] | None,
    ) -> UUID:
        """Write down what a person or a program of the user's did; its row is committed.

        Raises:
            InvalidConfigError: ``action`` is no name, or ``error_type`` none of them.
        """
        if not 0 < len(action) <= _LONGEST_NAME:
            raise InvalidConfigError(
                f"action={action!r}: must be a name of 1 to {_LONGEST_NAME} characters"
            )
        kind = self._kind(error, error_type)
        scope = current_scope.get()
        taken = self._masked(
            Taken(
                action_id=uuid7(),
                action=storable(action),
                pipeline_id=pipeline_id or scope.pipeline_id or self._pipeline_id,
                run_id=scope.run_id,
                operation=operation,
                pattern_id=pattern_id or self._pattern_of(error, kind),
                error_type=None if kind is None else kind.value,
                outcome=_OUTCOMES[succeeded],
                actor=actor,
                summary=reason,
                details=details or {},
            )
        )
        for written in await self._store.write([taken]):
            self._settled(written)
        return taken.action_id

    async def finish(self, action_id: UUID, *, succeeded: bool) -> bool:
        """Say how a recorded action came out; False where there is none that waits for it."""
        taken = await self._store.finish(action_id, "succeeded" if succeeded else "failed")
        self._settled(taken)
        return taken is not None

    async def claim(
        self,
        action: str,
        *,
        pipeline_id: str | None,
        operation: str | None,
        error_type: str | None,
        reason: str,
    ) -> bool:
        """Ask to do something automatically: under the cap it is written down, and may be done.

        Beyond the cap the answer is False, and an escalation is recorded, once an hour.
        """
        pipeline = pipeline_id or current_scope.get().pipeline_id or self._pipeline_id
        asked = Taken(
            action_id=uuid7(),
            action=action,
            pipeline_id=pipeline,
            operation=operation,
            error_type=error_type,
            automatic=True,
            summary=reason,
        )
        summary = (
            f"{self._cap} automatic actions an hour are allowed for {pipeline} and were taken;"
            f" {action} was not done: {reason}"
        )
        escalation = Taken(
            action_id=uuid7(),
            action="escalate",
            pipeline_id=pipeline,
            operation=operation,
            error_type=error_type,
            summary=summary,
            details={"refused": action},
            once=f"escalate:{pipeline}:{action}",
        )
        written = await self._store.claim(self._masked(asked), self._cap, self._masked(escalation))
        if written is not None:
            self._tell(written)
        return written is not None and written.action == action

    async def listed(self, pipeline_id: str | None, days: int, limit: int) -> list[Taken]:
        """The rows of the last days, the latest first.

        Raises:
            InvalidConfigError: ``days`` isn't 1 to 90, or ``limit`` 1 to 1,000.
        """
        Range(int, 1, _MOST_DAYS).check("days", days)
        Range(int, 1, _MOST_LISTED).check("limit", limit)
        await self.flush()
        return await self._store.list(pipeline_id, days, limit)

    async def prune(self) -> None:
        """Delete what is old: work for one worker of the fleet."""
        await self._store.prune()

    # -- recommending ------------------------------------------------------------------------

    async def recommend(
        self,
        pipeline_id: str | None,
        *,
        error: BaseException | None,
        pattern_id: str | None,
        days: int,
    ) -> list[RecoveryAction]:
        """What to do about an error, a pattern, or what fails most in a pipeline; best first.

        Raises:
            InvalidConfigError: ``days`` isn't 1 to 90.
            UnknownPatternError: there is no such pattern.
        """
        Range(int, 1, _MOST_DAYS).check("days", days)
        await self.flush()
        where = pipeline_id or ALL
        cases = await self._cases(where, error, pattern_id, days)
        kinds = sorted({each.error_type for each in cases})
        found: list[tuple[float, RecoveryAction]] = []
        wide = await self._store.counts(where, kinds, [], days) if kinds else []
        for case in cases:
            own = []
            if case.pattern_id is not None:
                own = await self._store.counts(where, [], [case.pattern_id], days)
            found += recommend(case, tallies_of([*wide, *own], case.error_type))
        return ranked(found)

    def advice_for(self, error_type: ErrorType, message: str) -> str | None:
        """The first sentence that the knowledge base has for a pattern's message."""
        symptoms = Symptoms(messages=(message,), error_type=error_type)
        matches = self.knowledge.match(symptoms)
        return matches[0].entry.do if matches else None

    async def _cases(
        self, pipeline_id: str, error: BaseException | None, pattern_id: str | None, days: int
    ) -> list[Case]:
        if error is not None:
            symptoms = Symptoms.of(error, self._classifier)
            known = pattern_id or self._pattern_of(error, symptoms.error_type)
            return [self._case(symptoms, known)]
        await self._catch_up()
        patterns = await self._store.patterns(pipeline_id, pattern_id, days, _PATTERNS)
        if pattern_id is not None and not patterns:
            raise UnknownPatternError(
                f"pattern_id={pattern_id!r}: no such pattern; get_error_patterns() lists them"
            )
        return [self._case(_symptoms_of(each), each.pattern_id) for each in patterns]

    def _case(self, symptoms: Symptoms, pattern_id: str | None) -> Case:
        return Case(
            symptoms.error_type,
            self.knowledge.match(symptoms),
            pattern_id,
            own=self.knowledge.own_ids,
        )

    def _kind(
        self, error: BaseException | None, error_type: ErrorType | str | None
    ) -> ErrorType | None:
        if error_type is None:
            return None if error is None else self._classifier.classify(error)
        try:
            return ErrorType(error_type)
        except ValueError:
            known = ", ".join(ErrorType)
            raise InvalidConfigError(f"error_type={error_type!r}: must be one of {known}") from None

    def _pattern_of(self, error: BaseException | None, kind: ErrorType | None) -> str | None:
        if error is None or kind is None:
            return None
        return self._identify(text_of(error), kind.value, None)

    # -- telling -----------------------------------------------------------------------------

    def _settled(self, taken: Taken | None) -> None:
        """A row whose outcome is known now is a case for recommendations."""
        if taken is None:
            return
        if taken.outcome is not None:
            self.counter.count(
                taken.action,
                pipeline_id=taken.pipeline_id,
                operation=taken.operation or "",
                error_type=taken.error_type or ErrorType.UNKNOWN.value,
                succeeded=taken.outcome == "succeeded",
                pattern_id=taken.pattern_id,
            )
        self._tell(taken)

    def _tell(self, taken: Taken) -> None:
        self._bus.emit(
            RecoveryActionTaken(
                scope=Scope(taken.pipeline_id, taken.run_id),
                action_id=taken.action_id,
                action=taken.action,
                outcome=taken.outcome,
                automatic=taken.automatic,
                error_type=taken.error_type,
                operation=taken.operation,
                pattern_id=taken.pattern_id,
                summary=taken.summary,
            )
        )

    def _masked(self, taken: Taken) -> Taken:
        return replace(
            taken,
            summary=recordable(taken.summary, self._masker),
            actor=None if taken.actor is None else storable(taken.actor),
            operation=None if taken.operation is None else storable(taken.operation),
            details=self._masker.mask_value(dict(taken.details)),
        )


def _symptoms_of(pattern: KnownPattern) -> Symptoms:
    names: set[str] = set()
    for each in pattern.exception_types:
        names.update((each, each.rpartition(".")[2]))
    return Symptoms(
        codes=frozenset(f"SQLSTATE {each}" for each in pattern.sqlstates),
        exceptions=frozenset(names),
        messages=(pattern.message,),
        error_type=pattern.error_type,
    )
