"""What a step can be told, checked when it is made."""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, TypedDict

from seawall.checkpoint.model import Counters
from seawall.checkpoint.store import OpenRequest, Upgrade, WhenHeld
from seawall.checkpoint.strategy import CheckpointStrategy
from seawall.checkpoint.tolerance import Tolerance
from seawall.config import Range
from seawall.errors import InvalidConfigError

Retrying = Callable[[Callable[[], Awaitable[None]]], Awaitable[None]]


async def run_once(work: Callable[[], Awaitable[None]]) -> None:
    """No retry: the policy of a step that was given none."""
    await work()


@dataclass(frozen=True, slots=True, kw_only=True)
class StepProgress:
    """How far a step is, after a commit.

    Attributes:
        counters: records and batches over all restarts.
        position: up to where all is committed.
        seconds: since this process opened the step.
        rows_per_second: records that this process read and settled, by second.
        fraction: share (0 to 1) of the source that is done, or None where nobody knows.
        remaining_seconds: until the source's end at this rate, or None.
    """

    counters: Counters
    position: Any
    seconds: float
    rows_per_second: float
    fraction: float | None
    remaining_seconds: float | None


OnProgress = Callable[[StepProgress], object]

_RANGES = {
    "size": Range(int, 1),
    "interval": Range(float, low_open=True),
    "commit_seconds": Range(float, low_open=True),
    "lease_seconds": Range(float, 1),
    "grace_seconds": Range(float),
    "stuck_seconds": Range(float, low_open=True),
    "state_version": Range(int, 1),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class StepOptions:
    """How a step works.

    Attributes:
        size: records a batch, unless the strategy or ``batches`` says otherwise.
        interval: seconds after which a batch that is not full is committed as it is.
        strategy: when a batch ends, beyond that.
        tolerance: how many of its records may be quarantined.
        retrying: runs a batch under the retry policy, for ``for_each``.
        commit_seconds: how long a COMMIT or a rollback may take before it counts as lost.
        lease_seconds: how long a silent worker keeps the step; renewed three times as often.
        when_held: what to do where another worker has it.
        wait_seconds: how long to wait for it at the most; None: for ever.
        state_version: format of the positions and sink states that this worker saves.
        upgrade: ``(saved version, progress) -> progress`` for what an older format has saved.
        handle_signals: SIGTERM and SIGINT stop the step in order.
        grace_seconds: how long the batch in flight may take after ``stop`` or a signal.
        stuck_seconds: after which a batch in flight is reported as stuck.
        total: records in the source, where the caller knows.
        on_progress: told after every commit; one that raises is logged.

    Raises:
        InvalidConfigError: an option is out of range.
    """

    size: int = 1000
    interval: float = 300.0
    strategy: CheckpointStrategy = field(default_factory=CheckpointStrategy)
    tolerance: Tolerance = field(default_factory=Tolerance)
    retrying: Retrying = run_once
    commit_seconds: float = 60.0
    lease_seconds: float = 30.0
    when_held: WhenHeld | str = WhenHeld.WAIT
    wait_seconds: float | None = None
    state_version: int = 1
    upgrade: Upgrade | None = None
    handle_signals: bool = False
    grace_seconds: float = 30.0
    stuck_seconds: float = 600.0
    total: int | None = None
    on_progress: OnProgress | None = None

    def __post_init__(self) -> None:
        for name, allowed in _RANGES.items():
            allowed.check(name, getattr(self, name))
        if self.wait_seconds is not None:
            Range(float).check("wait_seconds", self.wait_seconds)
        if self.total is not None:
            Range(int).check("total", self.total)
        if self.when_held not in tuple(WhenHeld):
            raise InvalidConfigError(
                f"when_held={self.when_held!r}: must be one of "
                + ", ".join(repr(each.value) for each in WhenHeld)
            )

    @property
    def request(self) -> OpenRequest:
        """How the store is to open the step."""
        return OpenRequest(
            size=self.strategy.rows or self.size,
            when_held=WhenHeld(self.when_held),
            wait_seconds=self.wait_seconds,
            state_version=self.state_version,
            upgrade=self.upgrade,
        )


class CheckpointOptions(TypedDict, total=False):
    """What ``manager.checkpoint`` and its like take by keyword; see ``StepOptions``.

    Attributes:
        size: records a batch (``checkpoint_batch_size``).
        interval: seconds after which a batch that is not full is committed
            (``checkpoint_interval_minutes``).
        strategy: when else a batch ends.
        tolerance: share (0 to 1) of the records that may be quarantined, or a ``Tolerance``.
        retry_options: options of ``retry`` for the batches of ``for_each``.
        when_held: ``"wait"``, ``"fail"`` or ``"take"``, where another worker has the step.
        wait_seconds: how long to wait for it at the most; None: for ever.
        state_version: format of the positions and sink states that this worker saves.
        upgrade: ``(saved version, progress) -> progress`` for what an older format has saved.
        handle_signals: SIGTERM and SIGINT stop the step in order.
        grace_seconds: how long the batch in flight may take then.
        stuck_seconds: after which a batch in flight is reported as stuck.
        total: records in the source, where the caller knows.
        on_progress: called with a ``StepProgress`` after every commit.
        database: another PostgreSQL (a DSN or a pool) to load into: the checkpoint, its lease and
            the quarantine are kept there, beside the data.
    """

    size: int | None
    interval: float | None
    strategy: CheckpointStrategy
    tolerance: float | Tolerance | None
    retry_options: Mapping[str, Any] | None
    when_held: WhenHeld | str
    wait_seconds: float | None
    state_version: int
    upgrade: Upgrade | None
    handle_signals: bool
    grace_seconds: float
    stuck_seconds: float
    total: int | None
    on_progress: OnProgress | None
    database: Any
