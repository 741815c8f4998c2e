"""From events to counts, in the emitter's task: each failure once, mined where it is worth it."""

from collections.abc import Callable

from seawall.classification import ErrorType
from seawall.clock import SYSTEM_CLOCK, Clock, utc_now
from seawall.events import ErrorLogged, Event, RetryExhausted, RetryScheduled
from seawall.patterns.gathered import Gathered
from seawall.patterns.grouping import key_of
from seawall.patterns.miner import PatternMiner
from seawall.patterns.reading import LONGEST_MESSAGE
from seawall.patterns.room import OTHERS
from seawall.patterns.rules import MARK, NUMBERS

_MOST_FAMILIAR = 4_096
_LONGEST_FAMILIAR = 512  # characters
_READ_UNTIL = 64  # of the same message but for its numbers, all are read
_EVERY = 16  # of the later ones, one in so many
_STORM = 4_096  # after so many
_EVERY_IN_STORM = 256  # one in so many is
_MOST_GATHERED = 4_000


class _Familiar:
    """A message, but for its numbers, that was read before."""

    __slots__ = ("count", "pattern_id")

    def __init__(self, pattern_id: str) -> None:
        self.pattern_id, self.count = pattern_id, 1

    def is_to_read(self) -> bool:
        self.count = count = self.count + 1
        if count <= _READ_UNTIL:
            return True
        return not count % (_EVERY if count <= _STORM else _EVERY_IN_STORM)


class FailureCounter:
    """Hears of failures and counts them by pattern; a listener.

    Exact in number. In a storm only some messages are masked and mined; the others are counted
    with the last one that was equal but for its numbers. Memory is bounded.

    Args:
        miner: finds the patterns.
        mask: hides the secrets of a message.
        pipeline_id: the pipeline of what happens outside any run.
        host: where this worker is.
        clock: its monotonic time.
    """

    def __init__(
        self,
        miner: PatternMiner,
        *,
        mask: Callable[[str], str],
        pipeline_id: str,
        host: str,
        clock: Clock = SYSTEM_CLOCK,
    ) -> None:
        self._miner, self._mask = miner, mask
        self._pipeline_id, self._host, self._clock = pipeline_id, host, clock
        self._gathered: dict[str, Gathered] = {}
        self._familiar: dict[tuple[str, str, str | None], _Familiar] = {}
        # The database's time is this much ahead of the monotonic clock; at first by our own.
        self._offset = utc_now().timestamp() - clock.monotonic()

    def set_time(self, now: float, asked_at: float) -> None:
        """The database's clock showed ``now`` when it was asked at ``asked_at`` or a little later.

        Late by the way there, never early: what happens after a pattern was resolved is seen so.
        """
        self._offset = now - asked_at

    def hear(self, event: Event) -> None:
        """Count a failure that was not counted before."""
        if isinstance(event, RetryScheduled | RetryExhausted):
            if not event.counted:
                self._count(event, self._pattern_of(event))
        elif isinstance(event, ErrorLogged):
            pattern_id = event.pattern_id or self.identify(
                event.message, event.error_type, event.stack
            )
            if not event.counted:
                self._count(event, pattern_id)
            self._found(event, pattern_id).sample(event.error_id)

    def identify(self, message: str, error_type: str, stack: str | None) -> str:
        """The pattern of a message whose secrets are masked."""
        return self._miner.observe(message, error_type=ErrorType(error_type), fingerprint=stack)

    def known(self, message: str, error_type: str, stack: str | None) -> str | None:
        """The pattern of a message that was heard of; None where it is new. Nothing is counted."""
        message = message[:LONGEST_MESSAGE]
        familiar = self._familiar.get((NUMBERS.sub(MARK, message), error_type, stack))
        if familiar is not None:
            return familiar.pattern_id
        return self._miner.match(
            self._mask(message), error_type=ErrorType(error_type), fingerprint=stack
        )

    def take(self) -> dict[str, Gathered]:
        """What was counted since the last time, by the patterns' ids of now."""
        self._refold()
        taken, self._gathered = self._gathered, {}
        return taken

    def _pattern_of(self, event: RetryScheduled | RetryExhausted) -> str:
        message = event.message[:LONGEST_MESSAGE]
        stack = event.stack
        if stack is None and not message:
            stack = event.exception_type
        key = (NUMBERS.sub(MARK, message), event.error_type, stack)
        familiar = self._familiar.get(key)
        if familiar is not None and not familiar.is_to_read():
            return familiar.pattern_id
        pattern_id = self.identify(self._mask(message), event.error_type, stack)
        if familiar is not None:
            familiar.pattern_id = pattern_id
        elif len(key[0]) <= _LONGEST_FAMILIAR:
            if len(self._familiar) >= _MOST_FAMILIAR:
                self._familiar.clear()
            self._familiar[key] = _Familiar(pattern_id)
        return pattern_id

    def _count(self, event: RetryScheduled | RetryExhausted | ErrorLogged, pattern_id: str) -> None:
        scope = event.scope
        self._found(event, pattern_id).see(
            self._now(),
            scope.pipeline_id or self._pipeline_id,
            scope.step,
            self._host,
            scope.release,
        )

    def _now(self) -> float:
        return self._clock.monotonic() + self._offset

    def _found(
        self, event: RetryScheduled | RetryExhausted | ErrorLogged, pattern_id: str
    ) -> Gathered:
        found = self._gathered.get(pattern_id)
        if found is None:
            found = self._new(pattern_id, ErrorType(event.error_type), self._now())
        return found

    def _new(self, pattern_id: str, error_type: ErrorType, at: float) -> Gathered:
        if len(self._gathered) >= _MOST_GATHERED:
            self._refold()
        if len(self._gathered) >= _MOST_GATHERED:
            pattern_id = others_of(error_type)
            if pattern_id in self._gathered:
                return self._gathered[pattern_id]
        found = self._gathered[pattern_id] = Gathered(error_type, at, at)
        return found

    def _refold(self) -> None:
        self._gathered = resolved(self._gathered, self._miner)


def resolved(gathered: dict[str, Gathered], miner: PatternMiner) -> dict[str, Gathered]:
    """The same by the ids that are good now; what the miner has forgotten is with the others."""
    found: dict[str, Gathered] = {}
    for pattern_id, counted in gathered.items():
        now = miner.resolve(pattern_id) or others_of(counted.error_type)
        known = found.get(now)
        if known is None:
            found[now] = counted
        else:
            known.take(counted)
    return found


def others_of(error_type: ErrorType) -> str:
    """The id of all that no pattern is kept for."""
    return f"{key_of(error_type, OTHERS):016x}"
