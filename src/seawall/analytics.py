"""What the manager knows of failures over time: its parts, put together over one database."""

from collections.abc import Callable

import anyio

from seawall.actions import ActionDesk, KnowledgeBase
from seawall.alerts import AlertDesk
from seawall.alerts.receiver import Receivers
from seawall.analysis import Analyst, FailureCounter
from seawall.budget.budget import ErrorBudget
from seawall.budget.guard import BudgetGuard, OnExhausted
from seawall.budget.objective import Objectives
from seawall.budget.rule import rules_of
from seawall.changes import ChangeFeed
from seawall.classification import Classifier
from seawall.config import RecoveryConfig
from seawall.events import EventBus, Listener
from seawall.maintenance import Job, JobRunner, retention_of, upkeep_jobs
from seawall.masking import Masker
from seawall.patterns import PatternBoard
from seawall.postgres.action_store import PostgresActionStore
from seawall.postgres.alert_store import PostgresAlertStore
from seawall.postgres.analysis_store import PostgresAnalysisStore
from seawall.postgres.budget_store import PostgresBudgetStore
from seawall.postgres.database import Database
from seawall.postgres.job_store import PostgresJobStore
from seawall.postgres.pattern_store import PostgresPatternStore
from seawall.postgres.run_store import PostgresRunStore
from seawall.postgres.tuning_store import PostgresTuningStore
from seawall.postgres.upkeep_store import PostgresUpkeepStore
from seawall.recorder import HOST, Recorder
from seawall.service import Periodic, Service
from seawall.system_health import HealthPart, worker_of
from seawall.text import recordable
from seawall.tuning import AutoTuning, Bounds, Timing, Tuner, TuningDesk

_ROWS_SECONDS = 10.0
_HOUR = 3600.0
_PRUNE_SECONDS = 3_600.0
_TUNE_SECONDS = 600.0


class Analytics:
    """Patterns, budgets, failure analysis, actions and health, from ``start`` to ``aclose``.

    Each part is an attribute. It hears events (``_listeners``; they only count), writes roll-ups
    as a service of its own (``_services``), and leaves to the fleet what one worker is enough for
    (``_jobs``).
    """

    def __init__(
        self,
        database: Database,
        *,
        config: RecoveryConfig,
        pipeline_id: str,
        worker_id: str,
        bus: EventBus,
        classifier: Classifier,
        masker: Masker,
        recorder: Recorder,
        runs: PostgresRunStore,
        guard: BudgetGuard,
        receivers: Receivers,
        tuner: Tuner,
        changes: ChangeFeed,
    ) -> None:
        self._bus = bus
        self._listeners: list[Listener] = [changes.hear]
        self._services: list[Service] = [changes]
        self._jobs: list[Job] = []
        objectives = Objectives(
            default=config.budget_objective,
            by_pipeline=config.budget_objectives,
            rules=None if config.budget_rules is None else rules_of(config.budget_rules),
        )
        # First of all, so that they are closed last: what others tell as they close is heard.
        self.alerts = AlertDesk(PostgresAlertStore(database), worker_id, receivers, masker=masker)
        self._listeners.append(self.alerts.hear)
        self._services.append(self.alerts)
        self._jobs.append(Job(name="alert delivery", every=2.0, work=self.alerts.deliver))
        self._jobs.append(
            Job(name="quarantine growth", every=60.0, work=self.alerts.watch_quarantine)
        )
        self._add_budget(database, config, pipeline_id, guard, objectives)
        self._add_patterns(database, config, pipeline_id, masker)
        self._add_failures(database, pipeline_id, objectives)
        self._add_actions(database, config, pipeline_id, classifier, masker, tuner)
        self.health = HealthPart(
            database,
            config=config,
            worker=worker_of(worker_id, pipeline_id),
            bus=bus,
            recorder=recorder,
            masker=masker,
        )
        self._services.append(self.health.monitor)
        self._jobs += upkeep_jobs(
            PostgresUpkeepStore(database, runs, bus),
            retention_of(config),
            stuck_after_seconds=config.stuck_after_seconds,
        )
        # Last: it takes the jobs as they are.
        self.jobs = JobRunner(PostgresJobStore(database), self._jobs, worker_id)
        self._unsubscribe: list[Callable[[], None]] = []

    def _add_patterns(
        self, database: Database, config: RecoveryConfig, pipeline_id: str, masker: Masker
    ) -> None:
        self.patterns = PatternBoard(
            PostgresPatternStore(database),
            bus=self._bus,
            mask=lambda text: recordable(text, masker),
            pipeline_id=pipeline_id,
            host=HOST,
            flush_seconds=config.pattern_flush_seconds,
        )
        self._listeners.append(self.patterns.counter.hear)
        self._services.append(self.patterns)
        self._jobs.append(
            Job(name="prune error patterns", every=_PRUNE_SECONDS, work=self.patterns.prune)
        )

    def _add_failures(self, database: Database, pipeline_id: str, objectives: Objectives) -> None:
        failures = PostgresAnalysisStore(database, objectives)
        self.failures = Analyst(failures, self._bus)
        counter = FailureCounter(failures, pipeline_id=pipeline_id, host=HOST)
        self._listeners.append(counter.hear)
        self._services.append(counter)
        self._jobs += [
            Job(name="watch failure rates", every=60.0, work=self.failures.watch, timeout=120.0),
            Job(name="fold failure counts", every=1800.0, work=failures.fold, timeout=300.0),
        ]

    def _add_actions(
        self,
        database: Database,
        config: RecoveryConfig,
        pipeline_id: str,
        classifier: Classifier,
        masker: Masker,
        tuner: Tuner,
    ) -> None:
        self.actions = ActionDesk(
            PostgresActionStore(database),
            bus=self._bus,
            classifier=classifier,
            masker=masker,
            knowledge=KnowledgeBase(config.recovery_knowledge),
            identify=self.patterns.counter.known,
            catch_up=self.patterns.flush,
            pipeline_id=pipeline_id,
            hourly_cap=config.automatic_actions_per_hour,
        )
        self.patterns.advise = self.actions.advice_for
        self._listeners.append(self.actions.hear)
        self._services.append(self.actions)
        self._jobs.append(
            Job(name="prune recovery actions", every=_PRUNE_SECONDS, work=self.actions.prune)
        )
        self.tuning = self._tuned(database, config, pipeline_id, tuner)

    def _tuned(
        self, database: Database, config: RecoveryConfig, pipeline_id: str, tuner: Tuner
    ) -> TuningDesk:
        """Auto-tuning, as far as the config lets it go."""
        mode = AutoTuning(config.auto_tuning)
        desk = TuningDesk(
            PostgresTuningStore(database),
            tuner,
            mode=mode,
            default=_configured(config),
            bounds=Bounds(
                min_delay=config.tuning_min_delay,
                max_delay=config.tuning_max_delay,
                min_retries=config.tuning_min_retries,
                max_retries=config.tuning_max_retries,
                failure_seconds=config.tuning_failure_seconds,
            ),
            permission=self._may_tune,
            pipeline_id=pipeline_id,
        )
        if mode is not AutoTuning.OFF:
            self._listeners.append(desk.hear)
            self._services.append(desk)
        if mode is AutoTuning.ACT:
            self._jobs.append(
                Job(name="tune retries", every=_TUNE_SECONDS, work=desk.tune, timeout=120.0)
            )
        return desk

    async def _may_tune(
        self, pipeline_id: str, operation: str, error_type: str, reason: str
    ) -> bool:
        return await self.actions.claim(
            "tune",
            pipeline_id=pipeline_id,
            operation=operation,
            error_type=error_type,
            reason=reason,
        )

    def _add_budget(
        self,
        database: Database,
        config: RecoveryConfig,
        pipeline_id: str,
        guard: BudgetGuard,
        objectives: Objectives,
    ) -> None:
        self.budget = ErrorBudget(
            PostgresBudgetStore(database),
            objectives=objectives,
            guard=guard,
            pipeline_id=pipeline_id,
            window_days=config.budget_window_days,
            bus=self._bus,
        )
        every = config.budget_check_seconds
        has_policy = guard.policy is not OnExhausted.NONE
        self._listeners.append(self.budget.meter.hear)
        self._services.append(
            Periodic(self.budget.meter.flush, every=_ROWS_SECONDS, name="row counts")
        )
        if has_policy:
            self._services.append(
                Periodic(self.budget.refresh, every=every, name="error budget policy", at_once=True)
            )
        looks = every if has_policy else max(every, _HOUR)
        self._jobs += [
            Job(name="error budget alerts", every=every, work=self.budget.evaluate),
            Job(name="error budgets gone", every=looks, work=self.budget.look_for_exhausted),
            Job(name="error budget hours", every=_HOUR, work=self.budget.fold, timeout=600),
        ]

    async def start(self) -> None:
        self._unsubscribe = [self._bus.subscribe(listener) for listener in self._listeners]
        for service in (*self._services, self.jobs):
            await service.start()

    async def aclose(self) -> None:
        """End in order; with the database out of reach, after some seconds.

        All at once, since each waits for the database by itself; the alerts last, since the others'
        last turns may be what they tell of.
        """
        await self.jobs.aclose()
        async with anyio.create_task_group() as tasks:
            for service in self._services:
                if service is not self.alerts:
                    tasks.start_soon(service.aclose)
        await self.alerts.aclose()
        self.stop_hearing()

    def stop_hearing(self) -> None:
        """Hear no more events; nothing is written."""
        for unsubscribe in self._unsubscribe:
            unsubscribe()


def _configured(config: RecoveryConfig) -> Timing:
    return Timing(
        max_retries=config.max_retries,
        initial_delay=config.initial_delay,
        backoff_factor=config.backoff_factor,
        max_delay=config.max_delay,
    )
