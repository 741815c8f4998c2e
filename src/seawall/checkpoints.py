"""The checkpoints of a started manager: in its own database, and beside data in others."""

import functools
from collections.abc import Callable, Mapping
from typing import Any
from uuid import UUID

import anyio

from seawall.checkpoint import Step, StepKey, StepOptions, Tolerance
from seawall.checkpoint.options import CheckpointOptions
from seawall.checkpoint.store import OpenRequest
from seawall.config import RecoveryConfig
from seawall.errors import InvalidConfigError
from seawall.events import CheckpointSaved, EventBus
from seawall.postgres.checkpoint_store import PostgresCheckpointStore
from seawall.postgres.database import Database
from seawall.postgres.history import History
from seawall.postgres.history_store import PostgresHistoryStore
from seawall.postgres.step_session import PostgresStepSession, StepTiming
from seawall.quarantine.payload import PLAIN, PayloadForm
from seawall.retry import RetryPolicy, call
from seawall.scope import Scope, current_scope
from seawall.step_ends import StepEnds


class Checkpoints:
    """Makes steps, and the stores that they are kept in.

    Args:
        database: the manager's own.
        pipeline_id: of work outside a run.
        config: the manager's.
        started: raises where the manager is not started.
        form: how quarantined records are stored.
        ends: tells how steps end.
    """

    def __init__(
        self,
        database: Database,
        pipeline_id: str,
        config: RecoveryConfig,
        started: Callable[[], object],
        form: PayloadForm = PLAIN,
        ends: StepEnds | None = None,
    ) -> None:
        self._ends = ends
        self._pipeline_id, self._config, self._started = pipeline_id, config, started
        self._database, self._form = database, form
        self._others: dict[object, Database] = {}
        self._starting = anyio.Lock()
        self.own = self._store(database)
        self.history = PostgresHistoryStore(database)

    def _store(self, database: Database) -> PostgresCheckpointStore:
        config = self._config
        return PostgresCheckpointStore(
            database,
            self._pipeline_id,
            timing=StepTiming(
                lease_seconds=config.lease_seconds,
                history=History(config.checkpoint_history, config.checkpoint_history_seconds),
            ),
            data_limit=config.checkpoint_data_limit,
            form=self._form,
        )

    def step(
        self,
        key: StepKey,
        given: CheckpointOptions,
        policy: Callable[[Mapping[str, Any]], RetryPolicy],
        bus: EventBus,
    ) -> Step:
        """A step with the config's defaults.

        Raises:
            InvalidConfigError: an option is out of range.
        """
        options: dict[str, Any] = dict(given)
        where = options.pop("database", None)
        retry_options = options.pop("retry_options", None) or {}
        config = self._config
        if options.get("size") is None:
            options["size"] = config.checkpoint_batch_size
        if options.get("interval") is None:
            options["interval"] = config.checkpoint_interval_minutes * 60
        retry_policy = policy({"name": f"batch of {key.step}", **retry_options})
        options["tolerance"] = self._tolerance(options.get("tolerance"))
        step_options = StepOptions(
            lease_seconds=config.lease_seconds,
            retrying=functools.partial(call, retry_policy),
            **options,
        )
        return Step(_Opening(self, where), key, step_options, bus=bus, ends=self._ends)

    def _tolerance(self, given: object) -> Tolerance:
        if given is None:
            return Tolerance(self._config.bad_record_tolerance, self._config.bad_record_allowance)
        if isinstance(given, Tolerance):
            return given
        if isinstance(given, int | float):
            return Tolerance(given)
        raise InvalidConfigError(f"tolerance={given!r}: must be a share (0 to 1) or a Tolerance")

    async def save(self, key: StepKey, data: Any, bus: EventBus) -> UUID:
        """Save a step's data; its checkpoint's id.

        Raises:
            CheckpointError: it is too large.
        """
        store = await self.at(None)
        checkpoint_id = await store.save_data(key, data)
        if bus.listeners:
            here = current_scope.get()
            scope = Scope(here.pipeline_id or self._pipeline_id, key.run_id, key.step, here.release)
            bus.emit(
                CheckpointSaved(scope=scope, checkpoint_id=checkpoint_id, partition=key.partition)
            )
        return checkpoint_id

    async def at(self, where: Any) -> PostgresCheckpointStore:
        """The store in another database, connected and migrated; in the manager's own for None."""
        self._started()
        if where is None:
            return self.own
        name: object = where if isinstance(where, str) else id(where)
        async with self._starting:  # two at once would make two pools
            database = self._others.get(name)
            if database is None:
                database = self._others[name] = Database(
                    where, config=self._config, schema=self._database.schema
                )
            await database.start()
        return self._store(database)

    async def aclose(self) -> None:
        """Close the other databases."""
        others, self._others = self._others, {}
        for database in others.values():
            await database.aclose()


class _Opening:
    """A store that is looked for when a step is opened in it."""

    def __init__(self, checkpoints: Checkpoints, where: Any) -> None:
        self._checkpoints, self._where = checkpoints, where

    async def open(self, key: StepKey, request: OpenRequest) -> PostgresStepSession:
        store = await self._checkpoints.at(self._where)
        return await store.open(key, request)
