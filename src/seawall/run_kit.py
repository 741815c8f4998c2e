"""What the runs of one manager work with: where they are kept, their steps, their messages."""

import functools
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from seawall.classification import Classifier
from seawall.config import RecoveryConfig
from seawall.events import EventBus
from seawall.outbox import Relay
from seawall.outbox.options import RelayOptions
from seawall.outbox.relay import Handler
from seawall.postgres.database import Database
from seawall.postgres.outbox_store import PostgresOutboxStore
from seawall.postgres.run_store import PostgresRunStore
from seawall.postgres.step_store import PostgresStepStore
from seawall.quarantine import codec
from seawall.quarantine.payload import PayloadForm
from seawall.retry import RetryPolicy, call
from seawall.step_ends import StepEnds
from seawall.steps import Steps


class RunKit:
    """Makes steps and relays over one database.

    Attributes:
        runs: where runs are kept.
        outbox: where messages wait.
    """

    def __init__(
        self,
        database: Database,
        *,
        config: RecoveryConfig,
        worker_id: str,
        bus: EventBus,
        classifier: Classifier,
        form: PayloadForm,
        ends: StepEnds,
    ) -> None:
        self._lease_seconds, self._worker_id = config.lease_seconds, worker_id
        self._classifier, self._form, self._ends = classifier, form, ends
        self.runs = PostgresRunStore(database, bus)
        self.outbox = PostgresOutboxStore(database)
        self._steps = PostgresStepStore(database)

    def relay(self, topics: str | Sequence[str], handler: Handler, options: RelayOptions) -> Relay:
        """A relay over the outbox."""
        return Relay(
            self.outbox,
            topics,
            handler,
            options,
            decode=codec.decode,
            worker_id=self._worker_id,
            classifier=self._classifier,
            masker=self._form.masker,
        )

    def steps(self, policy: Callable[[Mapping[str, Any]], RetryPolicy]) -> Callable[[str], Steps]:
        """What makes a run's steps, of its id."""
        return functools.partial(
            Steps,
            self._steps,
            encode=codec.encode,
            decode=codec.decode,
            owner=self._worker_id,
            lease_seconds=self._lease_seconds,
            retrying=lambda operation, options: call(policy(options), operation),
            ends=self._ends,
        )
