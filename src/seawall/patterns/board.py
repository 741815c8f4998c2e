"""The fleet's patterns: counts written now and then, each worker's shapes known to all."""

import logging
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, date, datetime, timedelta

import anyio

from seawall.classification import ErrorType
from seawall.clock import SYSTEM_CLOCK, Clock, uuid7
from seawall.config import Range
from seawall.errors import UnknownPatternError
from seawall.events import EventBus, PatternSeen
from seawall.patterns.counter import FailureCounter
from seawall.patterns.gathered import Gathered
from seawall.patterns.joining import flush_of
from seawall.patterns.ledger import Sampled
from seawall.patterns.miner import PatternMiner
from seawall.patterns.pattern import ErrorPattern, PatternStatus
from seawall.patterns.reading import render
from seawall.patterns.row import PatternRow
from seawall.patterns.store import Beginning, PatternSession, PatternStore, Sighting
from seawall.patterns.trend import trend_of
from seawall.patterns.values import TopValues, top_of
from seawall.scope import Scope
from seawall.service import Periodic

_logger = logging.getLogger("seawall.patterns")

MOST_SHAPES = 10_000  # that the fleet keeps
_MOST_TEMPLATES = 2_000  # that a worker counts under; making room takes time in proportion
_MOST_DAYS = 90
_DAY_SECONDS = 86_400
_EPOCH = date(1970, 1, 1)
_MOST_LISTED = 1_000

Advise = Callable[[ErrorType, str], str | None]


class PatternBoard:
    """Error patterns of the whole fleet: heard, counted, written and shown; a service.

    Failures are counted in memory (``counter.hear`` is the listener) and written as sums every
    ``flush_seconds``: what a flush costs depends on how many patterns there were in it, not on how
    many errors. A worker that is killed loses what it had counted since its last flush.

    Belongs to one event loop; may be shared between its tasks.

    Args:
        store: where the fleet's patterns are.
        bus: is told of new patterns, and of those that came back.
        mask: hides the secrets of a message.
        pipeline_id: the pipeline of what happens outside any run.
        host: where this worker is.
        flush_seconds: between two flushes.
        clock: for the waits.

    Attributes:
        advise: what to do about errors of a class and message, for patterns that are shown.

    Raises:
        InvalidConfigError: ``flush_seconds`` isn't above 0.
    """

    def __init__(
        self,
        store: PatternStore,
        *,
        bus: EventBus,
        mask: Callable[[str], str],
        pipeline_id: str,
        host: str,
        flush_seconds: float = 10.0,
        clock: Clock = SYSTEM_CLOCK,
    ) -> None:
        Range(float, low_open=True).check("flush_seconds", flush_seconds)
        self._store, self._bus, self._clock = store, bus, clock
        self._miner = PatternMiner(max_templates=_MOST_TEMPLATES)
        self.counter = FailureCounter(
            self._miner, mask=mask, pipeline_id=pipeline_id, host=host, clock=clock
        )
        self.advise: Advise = lambda _type, _message: None
        self._worker = uuid7().hex
        self._number = 1
        self._after = 0
        self._pending: dict[str, Gathered] = {}
        self._values: dict[str, list[Sampled]] = {}
        self._turn = anyio.Lock()
        self._periodic = Periodic(
            self.flush, every=flush_seconds, name="error patterns", clock=clock
        )

    async def start(self) -> None:
        """Begin to write; nothing is waited for."""
        await self._periodic.start()

    async def aclose(self) -> None:
        """Write the last counts, if the database takes them."""
        await self._periodic.aclose()

    async def flush(self) -> None:
        """Write what was counted since the last time.

        Raises whatever the store does; nothing counted is lost then, or written twice.
        """
        async with self._turn:
            await self._write()  # what could not be written the last time, as it was
            self._pending = self.counter.take()
            self._values = self._miner.take_values()
            await self._write()

    async def _write(self) -> None:
        if not self._pending:
            return
        told = await self._exchange()
        self._pending, self._values = {}, {}
        self._number += 1
        for each in told:
            self._tell(each)

    async def _exchange(self) -> Sequence[Sighting]:
        await self._read(self._store)  # most of it before others have to wait for this flush
        async with self._store.session() as session:
            asked_at = self._clock.monotonic()
            beginning = await session.begin(self._worker)
            self.counter.set_time(beginning.now, asked_at)
            if beginning.last_flush >= self._number:
                return beginning.told  # the answer to its COMMIT was lost
            await self._learn(session, beginning)
            full = len(self._miner.learned) >= MOST_SHAPES
            flush = await flush_of(self._miner, session, self._pending, self._values, full=full)
            await session.write(self._worker, self._number, flush)
        return flush.sightings

    async def _learn(self, session: PatternSession, beginning: Beginning) -> None:
        """Know what the other workers know."""
        if beginning.shape_count < len(self._miner.learned):
            self._miner.forget_learned()  # some were deleted: those that are left count
            self._after = 0
        await self._read(session)

    async def _read(self, source: PatternStore | PatternSession) -> None:
        """In portions: taking in many at once would hold up the event loop."""
        while True:
            shapes, self._after = await source.shapes(self._after)
            if not shapes:
                return
            self._miner.learn(shapes)

    def _tell(self, seen: Sighting) -> None:
        self._bus.emit(
            PatternSeen(
                scope=Scope(seen.pipeline_id),
                kind=seen.kind,
                pattern_id=seen.pattern_id,
                error_message_pattern=seen.error_message_pattern,
                error_type=seen.error_type,
                frequency=seen.frequency,
            )
        )

    async def prune(self) -> None:
        """Delete what is old or too much: work for one worker of the fleet."""
        await self._store.prune(MOST_SHAPES)

    async def patterns(
        self,
        pipeline_id: str | None,
        days: int,
        *,
        status: PatternStatus | str | None = None,
        limit: int = 100,
    ) -> list[ErrorPattern]:
        """The most frequent patterns of the last days, this worker's last counts included.

        Raises:
            InvalidConfigError: ``days`` isn't 1 to 90, or ``limit`` 1 to 1,000.
            ValueError: there is no such status.
        """
        Range(int, 1, _MOST_DAYS).check("days", days)
        Range(int, 1, _MOST_LISTED).check("limit", limit)
        wanted = None if status is None else PatternStatus(status)
        await self.flush()
        now, found = await self._store.list(pipeline_id, days, status=wanted, limit=limit)
        return [_shown(row, buckets, now, days, self.advise) for row, buckets in found]

    async def pattern(self, pattern_id: str, days: int) -> ErrorPattern | None:
        """One pattern, also by an id that it had before; None where there is none.

        Raises:
            InvalidConfigError: ``days`` isn't 1 to 90.
        """
        Range(int, 1, _MOST_DAYS).check("days", days)
        await self.flush()
        found = await self._store.one(pattern_id, days)
        if found is None:
            return None
        now, row, buckets = found
        return _shown(row, buckets, now, days, self.advise)

    async def change_status(
        self, pattern_id: str, status: PatternStatus, *, actor: str, reason: str
    ) -> str:
        """Set a pattern's status; its id of now.

        Raises:
            UnknownPatternError: there is no such pattern.
        """
        await self.flush()
        now = await self._store.change_status(pattern_id, status, actor=actor, reason=reason)
        if now is None:
            raise UnknownPatternError(
                f"pattern_id={pattern_id!r}: no such pattern; get_error_patterns() lists them"
            )
        return now


def _shown(
    row: PatternRow, buckets: Mapping[int, int], now: float, days: int, advise: Advise
) -> ErrorPattern:
    message = render(row.template.tokens, row.template.spaced or 0)
    daily: dict[int, int] = {}
    for at in sorted(buckets):
        day = at // _DAY_SECONDS
        daily[day] = daily.get(day, 0) + buckets[at]
    places = (top_of([TopValues(dict(each))]) for each in row.variables)
    return ErrorPattern(
        pattern_id=row.pattern_id,
        error_message_pattern=message,
        frequency=sum(buckets.values()),
        error_type=row.error_type,
        first_seen=_moment(row.first_seen),
        last_seen=_moment(row.last_seen),
        values=tuple(places),
        trend=trend_of(buckets, row.first_seen, now=now, days=days),
        recommended_action=row.recommended_action or advise(row.error_type, message),
        status=PatternStatus(row.status),
        status_reason=row.status_reason,
        regressed_at=None if row.regressed_at is None else _moment(row.regressed_at),
        daily={_EPOCH + timedelta(days=day): count for day, count in daily.items()},
        sample_ids=tuple(row.sample_ids),
        **{dimension: _heaviest(row.seen_in.get(dimension, {})) for dimension in _SHOWN},
    )


_SHOWN = ("pipelines", "steps", "hosts", "releases")


def _heaviest(counts: Mapping[str, int]) -> dict[str, int]:
    return dict(sorted(counts.items(), key=lambda pair: (-pair[1], pair[0])))


def _moment(seconds: float) -> datetime:
    return datetime.fromtimestamp(seconds, UTC)
