"""A manager's health: its monitor, put together over one database and one recorder."""

import functools
import logging
import os
import tempfile
from collections.abc import Sequence
from pathlib import Path

import msgspec

from seawall._version import __version__
from seawall.config import RecoveryConfig
from seawall.events import EventBus
from seawall.health import HealthMonitor, MachineProbe, Reading, Worker, health_rules
from seawall.health.reading import Gauges, Sample
from seawall.masking import Masker
from seawall.postgres import health_store
from seawall.postgres.database import Database
from seawall.postgres.health_store import PostgresHealthStore
from seawall.recorder import HOST, Recorder
from seawall.text import recordable

_logger = logging.getLogger("seawall.health")


def worker_of(worker_id: str, pipeline_id: str) -> Worker:
    """This process as a worker of the fleet."""
    return Worker(
        worker_id=worker_id,
        host=HOST,
        pid=os.getpid(),
        pipeline_id=pipeline_id,
        version=__version__,
    )


class HealthPart:
    """The monitor and what it reads from.

    Attributes:
        monitor: samples in the background.

    Raises:
        InvalidConfigError: ``health_thresholds`` names what is no reading.
    """

    def __init__(
        self,
        database: Database,
        *,
        config: RecoveryConfig,
        worker: Worker,
        bus: EventBus,
        recorder: Recorder,
        masker: Masker,
    ) -> None:
        self._database, self._recorder = database, recorder
        self._worker, self._chosen = worker, tuple(map(os.fspath, config.health_paths))
        self.monitor = HealthMonitor(
            MachineProbe(),
            health_rules(config.health_thresholds),
            worker,
            store=PostgresHealthStore(database),
            record=self._record,
            gauges=self._gauges,
            paths=self._paths,
            clean=functools.partial(recordable, masker=masker),
            every=config.health_interval_seconds,
            bus=bus,
        )

    async def of_error(self, error: BaseException) -> str | None:
        """The machine at the error's moment, as JSON; None where it can't be told."""
        try:
            return msgspec.json.encode(await self.monitor.moment(error)).decode()
        except Exception:
            # The error is to be logged, whatever its machine is like.
            _logger.exception("the health at the moment of an error could not be told")
            return None

    def _record(self, sample: Sample, found: Sequence[Reading]) -> None:
        self._recorder.offer(health_store.TABLE, health_store.row(self._worker, sample, found))

    def _gauges(self) -> Gauges:
        in_use, size = self._database.connections or (None, None)
        queue, bound = self._recorder.waiting
        return Gauges(
            pool_in_use=in_use,
            pool_size=size,
            queue=queue,
            queue_bound=bound,
            dropped=self._recorder.losses.dropped,
        )

    def _paths(self) -> Sequence[str]:
        if self._chosen:
            return self._chosen
        folders = [_working_folder(), tempfile.gettempdir()]
        if (data := self._database.folder) is not None:
            folders.append(str(data))
        return [each for each in folders if each]


def _working_folder() -> str | None:
    try:
        return str(Path.cwd())
    except OSError:  # it was deleted
        return None
