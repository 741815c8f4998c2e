"""ErrorBudget: the part that a manager holds. Asks the store, judges by the rules, tells."""

from seawall.budget.alert import Verdict, judge
from seawall.budget.counts import Sli
from seawall.budget.guard import BudgetGuard, OnExhausted
from seawall.budget.meter import RowMeter
from seawall.budget.objective import Objectives
from seawall.budget.rule import MIN_FAILURES, SHORT_EVENTS
from seawall.budget.status import WINDOWS, ErrorBudgetStatus, status_of
from seawall.budget.store import BudgetStore, ErrorBudgetAlert, Exhausted, Firing, Suspect
from seawall.config import Range
from seawall.errors import InvalidConfigError
from seawall.events import BudgetAlert, EventBus
from seawall.scope import Scope, current_scope

_DAYS = Range(float, 0, 400, low_open=True)
_LIMIT = Range(int, 1, 10_000)
_DAY = 86_400.0


class ErrorBudget:
    """Status, objectives, alerts and the policy. Belongs to one event loop.

    Args:
        store: where counts are.
        objectives: what the configuration says.
        guard: the policy, which is told what is exhausted.
        pipeline_id: of calls that name none, outside of any run.
        window_days: days of the policy's window.
        bus: takes ``BudgetAlert``.
    """

    def __init__(
        self,
        store: BudgetStore,
        *,
        objectives: Objectives,
        guard: BudgetGuard,
        pipeline_id: str,
        window_days: float,
        bus: EventBus,
    ) -> None:
        self._store, self._objectives, self._guard = store, objectives, guard
        self._pipeline_id, self._window_days, self._bus = pipeline_id, window_days, bus
        self.meter = RowMeter(store, pipeline_id)

    async def status(
        self, pipeline_id: str | None, window_days: float, sli: Sli | str
    ) -> ErrorBudgetStatus:
        """How the budget stands.

        Raises:
            InvalidConfigError: an argument is out of range.
        """
        _DAYS.check("time_window_days", window_days)
        kind, pipeline_id = _sli(sli), self._pipeline(pipeline_id)
        if kind is Sli.ROWS:
            await self.meter.flush()
        measured = await self._store.measure(pipeline_id, kind, window_days * _DAY, WINDOWS)
        objective = self._objectives.of(pipeline_id, measured.objective)
        return status_of(pipeline_id, kind, objective, window_days, measured)

    async def set_objective(
        self, objective: float | None, pipeline_id: str | None, sli: Sli | str
    ) -> None:
        """Set what a pipeline aims at, for the whole fleet; None: as is configured.

        Raises:
            InvalidConfigError: it is no objective, or one that an alert rule can't fire for.
        """
        kind, pipeline_id = _sli(sli), self._pipeline(pipeline_id)
        if objective is not None:
            objective = self._objectives.check("objective", objective)
        await self._store.set_objective(pipeline_id, kind, objective)

    async def forgive(self, pipeline_id: str | None, sli: Sli | str) -> None:
        """Begin a pipeline's budget anew: what was counts no more; an alert that fires is over."""
        kind, pipeline_id = _sli(sli), self._pipeline(pipeline_id)
        if kind is Sli.ROWS:
            await self.meter.flush()
        await self._store.forgive(pipeline_id, kind)
        await self.refresh()

    async def alerts(self, pipeline_id: str | None, limit: int) -> list[ErrorBudgetAlert]:
        """Alerts, the last first; of all pipelines where None is named."""
        _LIMIT.check("limit", limit)
        return await self._store.alerts(pipeline_id, limit)

    async def admit(self, pipeline_id: str, run_id: str | None) -> None:
        """Let a run begin, or refuse it as the policy says.

        One that was begun before may always go on: that is how a failure is made good.

        Raises:
            ErrorBudgetExhaustedError: the budget is gone, and the policy is ``stop``.
        """
        if self._guard.policy is not OnExhausted.STOP or not self._guard.is_exhausted(pipeline_id):
            return
        if run_id is None or not await self._store.has_run(run_id):
            self._guard.check(pipeline_id)

    async def refresh(self) -> None:
        """Tell the policy of this worker what the fleet knows to be exhausted."""
        if self._guard.policy is not OnExhausted.NONE:
            self._guard.put(await self._store.exhausted())

    async def evaluate(self) -> None:
        """One look at all pipelines' burn rates, by one worker of the fleet."""
        rules = self._objectives.rules_for(self._objectives.default)
        for sli in Sli:
            for suspect in await self._store.suspects(sli, rules, MIN_FAILURES, SHORT_EVENTS):
                await self._judge(sli, suspect)
        for alert in await self._store.unannounced():
            self._bus.emit(_event(alert))
            await self._store.mark_announced(alert)

    async def look_for_exhausted(self) -> None:
        """Find out whose budget is gone, by one worker of the fleet.

        Three failures at the least: the first run of a new pipeline may fail.
        """
        gone = []
        for each in await self._store.spent(self._window_days, MIN_FAILURES):
            objective = self._objectives.of(each.pipeline_id, each.objective)
            if each.counts.exceeds(objective):
                gone.append(
                    Exhausted(
                        pipeline_id=each.pipeline_id,
                        sli=each.sli,
                        counts=each.counts,
                        objective=objective,
                        window_days=self._window_days,
                    )
                )
        await self._store.put_exhausted(gone)
        await self.refresh()

    async def fold(self) -> None:
        """Keep the tables small, by one worker of the fleet."""
        await self._store.fold()

    async def _judge(self, sli: Sli, suspect: Suspect) -> None:
        objective = self._objectives.of(suspect.pipeline_id, suspect.objective)
        rules = self._objectives.rules_for(objective)
        verdict = judge(suspect.severity, rules, suspect.readings, objective)
        if verdict.severity is suspect.severity:
            return
        firing = _firing(verdict, objective)
        if suspect.firing is None:
            if firing is not None:
                await self._store.fire(suspect.pipeline_id, sli, firing)
        elif firing is None:
            await self._store.resolve(suspect.firing)
        else:
            await self._store.escalate(suspect.firing, firing)

    def _pipeline(self, given: str | None) -> str:
        return given or current_scope.get().pipeline_id or self._pipeline_id


def _sli(value: Sli | str) -> Sli:
    try:
        return Sli(value)
    except ValueError:
        raise InvalidConfigError(f"sli={value!r}: must be one of {', '.join(Sli)}") from None


def _firing(verdict: Verdict, objective: float) -> Firing | None:
    if verdict.severity is None or verdict.rule is None or verdict.reading is None:
        return None
    return Firing(
        severity=verdict.severity,
        rule=verdict.rule.name,
        objective=objective,
        long_burn_rate=verdict.reading.long.burn_rate(objective),
        short_burn_rate=verdict.reading.short.burn_rate(objective),
        bad=verdict.reading.long.bad,
        total=verdict.reading.long.total,
    )


def _event(alert: ErrorBudgetAlert) -> BudgetAlert:
    return BudgetAlert(
        scope=Scope(alert.pipeline_id),
        alert_id=alert.alert_id,
        pipeline_id=alert.pipeline_id,
        sli=alert.sli.value,
        state=alert.state,
        severity=alert.severity.value,
        rule=alert.rule,
        objective=alert.objective,
        long_burn_rate=alert.long_burn_rate,
        short_burn_rate=alert.short_burn_rate,
        bad=alert.bad,
        total=alert.total,
    )
