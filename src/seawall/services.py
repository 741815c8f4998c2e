"""What a started manager holds: the database, its stores, and the recorder's task."""

import asyncio
import functools
import os
from collections.abc import Callable, Mapping, Sequence
from typing import Any
from uuid import UUID

import anyio

from seawall.alerts.receiver import Receivers
from seawall.analytics import Analytics
from seawall.budget.guard import BudgetGuard
from seawall.changes import ChangeFeed
from seawall.checkpoints import Checkpoints
from seawall.circuitbreaker import BreakerRegistry, CircuitState
from seawall.circuitbreaker.fleet import BreakerFleet
from seawall.classification import Classifier, ErrorType, Outcomes
from seawall.clock import BackgroundTask, uuid7
from seawall.config import RecoveryConfig
from seawall.error_details import COLUMNS as ERROR_COLUMNS
from seawall.error_log import ErrorLog
from seawall.errors import InvalidConfigError, NotStartedError
from seawall.events import EventBus
from seawall.health import Reading, SystemHealth
from seawall.learning import OutcomeLearner
from seawall.outage import OutageJournal
from seawall.parking import ParkingLot
from seawall.postgres import audit, health_store, pieces, quarantine_store
from seawall.postgres.breaker_store import CHANNEL, PostgresBreakerStore
from seawall.postgres.change_store import PostgresChangeStore
from seawall.postgres.database import Database
from seawall.postgres.identity import identity_of
from seawall.postgres.listener import Listener
from seawall.postgres.outcome_store import PostgresOutcomeStore
from seawall.postgres.parking_store import PostgresParkingStore
from seawall.postgres.payload_store import PostgresPayloadStore
from seawall.postgres.record_store import PostgresRecordStore
from seawall.postgres.slice_store import PostgresSliceStore
from seawall.quarantine import codec
from seawall.quarantine.payload import PayloadForm
from seawall.quarantine.processor import Processor, check_processor
from seawall.quarantine_desk import QuarantineDesk, worker_name
from seawall.quarantine_log import QuarantineLog
from seawall.recorder import COLUMNS, HOST, Recorder
from seawall.run_kit import RunKit
from seawall.scope import Scope, current_scope
from seawall.slices import FleetShares, SharedTokens
from seawall.step_ends import StepEnds
from seawall.tuning import Tuner

_CLOSE_SECONDS = 15.0  # how long closing waits for the last rows
_COUNTS_SECONDS = 5.0  # and for counts, which are worth less

# Connections inherited through fork: kept, so that collecting them closes nothing on the wire.
_inherited: list[object] = []


class Services:
    """The durable side of a manager, from ``start`` to ``aclose``; belongs to one event loop."""

    def __init__(
        self,
        target: Any,
        config: RecoveryConfig,
        pipeline_id: str,
        schema: str,
        bus: EventBus,
        classifier: Classifier,
        breakers: BreakerRegistry,
        guard: BudgetGuard,
        tuner: Tuner,
    ) -> None:
        self._guard, self._tuner = guard, tuner
        self._breakers, self._classifier = breakers, classifier
        self._tokens: list[SharedTokens] = []
        self._processors: dict[str, Processor] = {}
        self.receivers = Receivers()  # of alerts: kept from one start to the next
        self._make_database = functools.partial(Database, target, config=config, schema=schema)
        self._config, self._bus, self._pipeline_id = config, bus, pipeline_id
        # How records are stored, and what is masked: for every part that writes.
        self.form = PayloadForm.of(config)
        self._ends = StepEnds(bus=bus, classifier=classifier, masker=self.form.masker)
        self._users = 0
        self._stop_hearing: Callable[[], None] = lambda: None
        self._pid = os.getpid()
        self._prepare()

    def _prepare(self) -> None:
        self.database = self._make_database()
        self.checkpoints = Checkpoints(
            self.database, self._pipeline_id, self._config, self._opened, self.form, self._ends
        )
        self._worker_id = f"{HOST}:{os.getpid()}:{uuid7().hex[-12:]}"
        self._run_kit = RunKit(
            self.database,
            config=self._config,
            worker_id=self._worker_id,
            bus=self._bus,
            classifier=self._classifier,
            form=self.form,
            ends=self._ends,
        )
        self._payloads = PostgresPayloadStore(self.database, self.form)
        self._prepare_records()
        self._prepare_fleet()
        self._prepare_analysis()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._writer: BackgroundTask | None = None

    def _prepare_records(self) -> None:
        columns = {
            **COLUMNS,
            "error_details": ERROR_COLUMNS,
            quarantine_store.TABLE: quarantine_store.COLUMNS,
            pieces.TABLE: pieces.COLUMNS,
            health_store.TABLE: health_store.COLUMNS,
        }
        records = PostgresRecordStore(self.database, columns)
        self._outage = OutageJournal.of(records, self._config, self._bus)
        self._recorder = Recorder(
            records,
            outage=self._outage,
            patience=self._config.journal_after,
            masker=self.form.masker,
            bus=self._bus,
        )
        self._desk = QuarantineDesk(
            self.database,
            processors=self._processors,
            classifier=self._classifier,
            lease_seconds=self._config.lease_seconds,
            form=self.form,
        )
        self._quarantine_log = QuarantineLog(
            self._recorder,
            self._desk,
            self._outage,
            form=self.form,
            bus=self._bus,
            masker=self.form.masker,
            patience=self._config.journal_after,
        )

    def _prepare_fleet(self) -> None:
        listener = Listener(self.database, CHANNEL, dsn=self._config.listen_dsn)
        worker_id = self._worker_id
        self._breaker_store = PostgresBreakerStore(listener, self.database.schema)
        self._changes = ChangeFeed(PostgresChangeStore(listener, self.database.schema).tell)
        self.parking = ParkingLot(
            PostgresParkingStore(self.database),
            encode=codec.encode,
            decode=codec.decode,
            worker_id=worker_id,
            lease_seconds=self._config.lease_seconds,
            classifier=self._classifier,
            masker=self.form.masker,
        )
        self._shares = FleetShares(
            PostgresSliceStore(listener, self.database.schema), worker_id=worker_id
        )
        self._fleet = BreakerFleet(
            self._breaker_store,
            worker_id=worker_id,
            quorum=self._config.quorum,
            lease_seconds=self._config.permit_lease_seconds,
            poll_seconds=self._config.breaker_poll_seconds,
            live_seconds=self._config.caller_seconds,
        )

    def _prepare_analysis(self) -> None:
        self._learner = OutcomeLearner(PostgresOutcomeStore(self.database), Outcomes())
        self._analytics = Analytics(
            self.database,
            config=self._config,
            pipeline_id=self._pipeline_id,
            worker_id=self._worker_id,
            bus=self._bus,
            classifier=self._classifier,
            masker=self.form.masker,
            recorder=self._recorder,
            runs=self._run_kit.runs,
            guard=self._guard,
            receivers=self.receivers,
            tuner=self._tuner,
            changes=self._changes,
        )
        self._error_log = ErrorLog(
            self._recorder,
            bus=self._bus,
            classifier=self._classifier,
            masker=self.form.masker,
            identify=self._analytics.patterns.counter.identify,
            health=self._analytics.health.of_error,
            token=self._worker_id,
        )

    async def start(self) -> None:
        """Connect, migrate, start the recorder; again from inside is counted and does nothing."""
        if self._pid != os.getpid():
            self._leave_to_parent()
        if self._users:
            self._opened()
            self._users += 1
            return
        await self.database.start()
        try:
            await self._start()
        except BaseException:
            await (self.database if self._writer is None else self).aclose()
            raise

    def _leave_to_parent(self) -> None:
        """After a fork: what is open is the parent's, which goes on with it."""
        _inherited.append((self.database, self._writer, self._fleet))
        if self._outage is not None:
            self._outage.leave_to_parent()
        if self._writer is not None:
            # The parent's parts would gather here what nobody writes.
            self._unsubscribe()
            self._stop_hearing()
            self._analytics.stop_hearing()
        self._users, self._pid = 0, os.getpid()
        self._prepare()

    async def _start(self) -> None:
        self._loop = asyncio.get_running_loop()
        identity = None if self._outage is None else await identity_of(self.database)
        self._writer = BackgroundTask(self._recorder.run(), "seawall recorder")
        self._unsubscribe = self._bus.subscribe(self._recorder.hear)
        self._stop_hearing = self._bus.subscribe(self._learner.hear)
        self._classifier.outcomes = self._learner.outcomes
        self._learning = BackgroundTask(self._learner.run(), "seawall learner")
        self._users = 1
        if self._outage is not None and identity is not None:
            await self._outage.start(identity)
        self._breakers.share = self._fleet.attach
        await self._fleet.start(self._breakers.shared(), self._config.connect_timeout)
        self._shares.start()
        for part in self._tokens:
            self._shares.attach(part)
        await self._analytics.start()

    async def aclose(self) -> None:
        """Write what waits (for at most 15 s), then close what was opened."""
        if self._users > 1 or self._writer is None or self._pid != os.getpid():
            self._users = max(0, self._users - 1)
            return
        self._users = 0
        self._breakers.share = None
        writer, self._writer = self._writer, None
        with anyio.CancelScope(shield=True):
            await self._analytics.aclose()
            await self._shares.aclose()
            await self._fleet.aclose()
            self._unsubscribe()
            await self._stop_learning()
            with anyio.move_on_after(_CLOSE_SECONDS):
                await self._recorder.flush()
            await writer.stop()
            if self._outage is not None:
                await self._outage.aclose()
            await self.checkpoints.aclose()
            await self.database.aclose()
        self._prepare()

    async def _stop_learning(self) -> None:
        """Write the last outcomes, if the database takes them."""
        self._stop_hearing()
        self._classifier.outcomes = None
        await self._learning.stop()
        with anyio.move_on_after(_COUNTS_SECONDS):
            await self._learner.flush()

    def _opened(self) -> "Services":
        if self._writer is None or self._pid != os.getpid():
            raise NotStartedError(
                "the manager is not started: use it inside `async with manager:` (after a fork, "
                "each process starts its own)"
            )
        if self._loop is not asyncio.get_running_loop():
            raise NotStartedError(
                "the manager was started in another event loop: make one manager for each loop"
            )
        return self

    @property
    def outage(self) -> OutageJournal:
        """The journal; an error where the config wants none."""
        outage = self._opened()._outage  # noqa: SLF001 - this very object
        if outage is None:
            raise InvalidConfigError("journal_max_bytes=0: there is no journal")
        return outage

    @property
    def payloads(self) -> PostgresPayloadStore:
        return self._opened()._payloads  # noqa: SLF001 - this very object

    @property
    def kit(self) -> RunKit:
        return self._opened()._run_kit  # noqa: SLF001 - this very object

    @property
    def analytics(self) -> Analytics:
        return self._opened()._analytics  # noqa: SLF001 - this very object

    @property
    def learner(self) -> OutcomeLearner:
        return self._opened()._learner  # noqa: SLF001 - this very object

    @property
    def quarantine_desk(self) -> QuarantineDesk:
        return self._opened()._desk  # noqa: SLF001 - this very object

    def register_processor(self, step: str, processor: Processor) -> None:
        """Reprocess the quarantined records of ``step`` by it, now or once this is started."""
        check_processor(processor)
        self._processors[step] = processor

    def share(self, part: SharedTokens) -> None:
        """Let a rate limiter or retry budget spend the fleet's tokens while this is started."""
        self._tokens.append(part)
        if self._users:
            self._opened()._shares.attach(part)  # noqa: SLF001 - this very object

    async def force_circuit_breaker(
        self,
        service_name: str,
        state: CircuitState,
        seconds: float,
        reason: str,
        actor: str | None,
    ) -> None:
        """Take the fleet's breaker to ``state``; it is there, and audited, when this returns."""
        fleet = self._opened()._fleet  # noqa: SLF001 - this very object
        await audit.record(
            self.database,
            actor=actor or worker_name(),
            action="circuit breaker forced",
            subject=service_name,
            reason=reason,
            details={"state": state.value, "seconds": seconds},
        )
        fleet.hear(await self._breaker_store.force(service_name, state, seconds, reason))

    async def log_error(
        self,
        run_id: str | None,
        error: BaseException,
        context: Mapping[str, Any] | None = None,
        *,
        step: str | None = None,
        operation: str | None = None,
        attempt: int | None = None,
    ) -> UUID:
        """Write one row of ``error_details``; it is committed when this returns."""
        return await self._opened()._error_log.log(  # noqa: SLF001 - this very object
            error, self._scope(run_id, step), context, operation=operation, attempt=attempt
        )

    async def quarantine(
        self,
        run_id: str,
        bad_data: Any,
        reason: str,
        error_type: ErrorType,
        *,
        step: str | None,
        positions: Sequence[Any] | None,
    ) -> UUID:
        """Write one row of ``quarantined_records`` for each record; committed on return."""
        log = self._opened()._quarantine_log  # noqa: SLF001 - this very object
        return await log.put(self._scope(run_id, step), bad_data, reason, error_type, positions)

    async def system_health(self) -> SystemHealth:
        """This worker's health; the fleet's too where this is started."""
        is_started = self._writer is not None and self._pid == os.getpid()
        return await self._analytics.health.monitor.look(fleet=is_started)

    def latest_readings(self) -> Sequence[Reading]:
        """Those of the last sample that was taken in the background."""
        return self._analytics.health.monitor.latest

    def _scope(self, run_id: str | None, step: str | None) -> Scope:
        current = current_scope.get()
        return Scope(
            current.pipeline_id or self._pipeline_id,
            run_id or current.run_id,
            step or current.step,
            current.release,
        )
