"""What became of messages, written down together: while one statement runs, others gather."""

import logging

import anyio

from seawall.classification import Classifier, ErrorType
from seawall.clock import Clock
from seawall.outbox.store import OutboxStore, Report, TakenMessage

_logger = logging.getLogger("seawall.outbox")

_PAUSE = 0.2  # seconds between two tries while the store is out of reach
# Trying again would not help against these: a manager that isn't started, a table that is missing.
FINAL = (ErrorType.CONFIGURATION, ErrorType.DATA)


class Reports:
    """The one writer of a relay: reports and renewals wait for each other, so none deadlocks."""

    def __init__(
        self,
        store: OutboxStore,
        *,
        lease_seconds: float,
        keep: bool,
        by_key: bool,
        classifier: Classifier,
        clock: Clock,
    ) -> None:
        self._store, self._lease_seconds = store, lease_seconds
        self._keep, self._by_key = keep, by_key
        self._classifier, self._clock = classifier, clock
        self._waiting: list[_Entry] = []
        self._came = anyio.Event()
        self._lock = anyio.Lock()

    async def put(self, report: Report) -> set[object]:
        """Write the report down; the ids of those that were still this relay's.

        Raises:
            Exception: the store's, which was out of reach for as long as a lease.
        """
        entry = _Entry(report)
        self._waiting.append(entry)
        self._came.set()
        await entry.ended.wait()
        if entry.error is not None:
            raise entry.error
        return entry.heard

    async def run(self) -> None:
        """Write until cancelled."""
        while True:
            await self._came.wait()
            self._came = anyio.Event()
            entries, self._waiting = self._waiting, []
            try:
                await self._write(entries)
            except BaseException:
                self._waiting[:0] = entries  # for the last report
                raise

    async def renew(self, messages: list[TakenMessage]) -> set[object]:
        """Keep the messages; the ids of those that are still this relay's."""
        async with self._lock:
            return set(await self._store.renew(messages, self._lease_seconds))

    async def last(self, in_hand: list[TakenMessage]) -> None:
        """Write what nobody waits for any more, and give back what is in hand."""
        report = _merged(self._waiting)
        report.begun, self._waiting = [], []
        report.given_back += in_hand
        if not _is_empty(report):
            async with self._lock:
                await self._report(report)

    async def _write(self, entries: "list[_Entry]") -> None:
        report = _merged(entries)
        until = self._clock.monotonic() + self._lease_seconds
        while True:
            error: Exception | None = None
            try:
                async with self._lock:
                    heard = await self._report(report)
                break
            except Exception as obstacle:
                error = obstacle
            if self._classifier.classify(error) in FINAL or self._clock.monotonic() >= until:
                heard = set()
                break
            _logger.warning("the outbox is out of reach: %s", error)
            await self._clock.sleep(_PAUSE)
        for entry in entries:
            entry.heard, entry.error = heard, error
            entry.ended.set()

    async def _report(self, report: Report) -> set[object]:
        asked_at = self._clock.monotonic()
        heard: set[object] = set(
            await self._store.report(
                report, self._lease_seconds, keep=self._keep, by_key=self._by_key
            )
        )
        if self._clock.monotonic() - asked_at >= self._lease_seconds:
            # Frozen before it read the answer: what it has begun may be another's by now.
            heard -= {each.message_id for each in report.begun}
        return heard


class _Entry:
    __slots__ = ("ended", "error", "heard", "report")

    def __init__(self, report: Report) -> None:
        self.report, self.ended = report, anyio.Event()
        self.heard: set[object] = set()
        self.error: Exception | None = None


def _merged(entries: list[_Entry]) -> Report:
    return Report(
        done=[each for entry in entries for each in entry.report.done],
        failed=[each for entry in entries for each in entry.report.failed],
        given_back=[each for entry in entries for each in entry.report.given_back],
        begun=[each for entry in entries for each in entry.report.begun],
    )


def _is_empty(report: Report) -> bool:
    return not (report.done or report.failed or report.given_back or report.begun)
