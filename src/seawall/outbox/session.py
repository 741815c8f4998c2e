"""One run of a relay, from its first look to its last report."""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

import anyio
from anyio.abc import TaskGroup

from seawall.classification import Classifier, ErrorType
from seawall.clock import Clock, call_later, is_being_cancelled
from seawall.masking import Masker
from seawall.outbox.hand import Hand
from seawall.outbox.message import Delivery
from seawall.outbox.options import RelayOptions
from seawall.outbox.reports import FINAL, Reports
from seawall.outbox.store import Failure, OutboxStore, Report, TakenMessage
from seawall.redelivery import reason_of
from seawall.shield import finish

_logger = logging.getLogger("seawall.outbox")

_LAST_REPORT_SECONDS = 10.0


class Session:
    """Takes messages, hands them out to ``concurrency`` slots, reports, renews; see ``Relay``."""

    def __init__(
        self,
        store: OutboxStore,
        topics: Sequence[str],
        handler: Callable[[Delivery], Awaitable[object]],
        options: RelayOptions,
        *,
        decode: Callable[[str], Any],
        worker_id: str,
        classifier: Classifier,
        masker: Masker,
        clock: Clock,
    ) -> None:
        self._masker = masker
        self.delivered = 0
        self._store, self._topics, self._handler = store, list(topics), handler
        self._options, self._decode, self._worker_id = options, decode, worker_id
        self._classifier, self._clock = classifier, clock
        self._by_key = options.ordered == "key"
        self._hand = Hand(by_key=self._by_key)
        self._reports = Reports(
            store,
            lease_seconds=options.lease_seconds,
            keep=options.keep_hours > 0,
            by_key=self._by_key,
            classifier=classifier,
            clock=clock,
        )
        self._busy = 0
        self._came = anyio.Event()  # a message that a slot may begin
        self._left = anyio.Event()  # room, or a key that isn't held any more

    async def run(self, poll_seconds: float | None) -> None:
        """Deliver until cancelled; without ``poll_seconds`` until nothing is due."""
        failure: Exception | None = None
        async with anyio.create_task_group() as outer:
            outer.start_soon(self._reports.run)
            try:
                async with anyio.create_task_group() as slots:
                    slots.start_soon(self._keep)
                    for _ in range(self._options.concurrency):
                        slots.start_soon(self._slot)
                    try:
                        await self._dispatch(poll_seconds)
                    except Exception as error:  # naked: as itself, not as the group's member
                        failure = error
                    slots.cancel_scope.cancel()
            finally:
                # Not before every handler has ended: another relay may begin at once.
                await self._end(outer)
            outer.cancel_scope.cancel()
        if failure is not None:
            raise failure

    async def _dispatch(self, poll_seconds: float | None) -> None:
        while True:
            await self._idle_slot()
            # Asked before the look: what ends during it may set its key free.
            all_over = not len(self._hand) and not self._busy
            taken = 0
            try:
                taken = await self._take()
            except Exception as error:
                if poll_seconds is None or self._classifier.classify(error) in FINAL:
                    raise
                _logger.warning("the outbox is out of reach: %s", error)
            if taken:
                continue
            if poll_seconds is None and all_over:
                return
            await self._pause(poll_seconds)

    async def _idle_slot(self) -> None:
        while self._busy + self._hand.ready >= self._options.concurrency:
            await self._left.wait()
            self._left = anyio.Event()

    async def _take(self) -> int:
        """Take what is due, of each topic in turn; how many there were."""
        options = self._options
        idle = options.concurrency - self._busy - self._hand.ready
        # One key's followers may fill the hand: there is always room for as many as could begin.
        limit = room = max(options.batch - len(self._hand), idle)
        self._topics.append(self._topics.pop(0))
        for topic in self._topics:
            if room <= 0:
                break
            messages = await self._store.take(
                self._worker_id, topic, room, options.lease_seconds, by_key=self._by_key
            )
            self._hand.add(messages)
            room -= len(messages)
            if messages:
                self._tell_came()
        return limit - room

    async def _pause(self, seconds: float | None) -> None:
        timer = None
        if seconds is not None:
            timer = call_later(self._clock, seconds, self._left.set)
        try:
            await self._left.wait()
        finally:
            if timer is not None:
                timer.cancel()
        self._left = anyio.Event()

    async def _slot(self) -> None:
        while True:
            message = self._hand.pop()
            if message is None:
                await self._came.wait()
                continue
            self._busy += 1
            try:
                report = Report()
                while message is not None:
                    report = await self._one(report, message)
                    self._left.set()
                    message = self._hand.pop()
                await self._put(report)
            finally:
                self._busy -= 1
                self._left.set()

    async def _one(self, report: Report, message: TakenMessage) -> Report:
        """Report what is over and begin with the message, at once; deliver it; its own report."""
        if message.attempts >= self._options.max_attempts:
            report.failed.append(self._given_up(message))
            return report
        report.begun.append(message)
        heard = await self._put(report)
        if message.message_id not in heard:
            # Another's by now, or an earlier one of its key has come to light.
            return Report(given_back=[message, *self._hand.stopped(message)])
        return await self._deliver(message)

    async def _put(self, report: Report) -> set[object]:
        try:
            heard = await self._reports.put(report)
        except Exception as error:
            # Their leases end by themselves, and others take them.
            _logger.warning("deliveries could not be reported: %s", error)
            return set()
        for message in report.done:
            if message.message_id in heard:
                self.delivered += 1
            else:
                _logger.warning("%s outlived its lease, and comes again", message.message_id)
        return heard

    async def _deliver(self, message: TakenMessage) -> Report:
        try:
            await self._handler(
                Delivery(
                    message_id=message.message_id,
                    topic=message.topic,
                    payload=self._decode(message.payload),
                    key=message.key,
                    headers=message.headers,
                    idempotency_key=message.idempotency_key,
                    attempts=message.attempts + 1,
                )
            )
        except Exception as error:
            return self._failed(message, error)
        except asyncio.CancelledError as error:
            if is_being_cancelled():
                raise
            return self._failed(message, error)  # its own doing, not this task's end
        self._over(message)
        return Report(done=[message])

    def _failed(self, message: TakenMessage, error: Exception | asyncio.CancelledError) -> Report:
        attempts = message.attempts + 1
        dead = attempts >= self._options.max_attempts
        failure = Failure(
            message=message,
            wait=self._options.next_wait(attempts, error),
            error_type=self._classifier.classify(error),
            reason=reason_of(error, self._masker),
            dead=dead,
        )
        if dead:
            _logger.error(
                "message %s of %s is given up: %s", message.message_id, message.topic,
                failure.reason,
            )  # fmt: skip
            self._over(message)
            return Report(failed=[failure])
        return Report(failed=[failure], given_back=self._hand.stopped(message))

    def _given_up(self, message: TakenMessage) -> Failure:
        """End a message that ended its relays, or outlived their leases: none of them reported."""
        reason = f"begun {message.attempts} times; the last relay did not report an outcome"
        _logger.error("message %s of %s is given up: %s", message.message_id, message.topic, reason)
        self._over(message)
        return Failure(
            message=message, wait=0.0, error_type=ErrorType.UNKNOWN, reason=reason, dead=True
        )

    def _over(self, message: TakenMessage) -> None:
        self._hand.done(message)
        if self._hand.ready:
            self._tell_came()

    def _tell_came(self) -> None:
        came, self._came = self._came, anyio.Event()
        came.set()

    async def _keep(self) -> None:
        """Renew the leases of all that is in hand; drop what was lost, and what was kept enough."""
        while True:
            await self._clock.sleep(self._options.lease_seconds / 3)
            try:
                await self._renew()
                if self._options.keep_hours > 0:
                    for topic in self._topics:
                        await self._store.prune(topic, self._options.keep_hours * 3600)
            except Exception as error:
                _logger.warning("the leases of messages could not be renewed: %s", error)

    async def _renew(self) -> None:
        messages = self._hand.messages()
        if not messages:
            return
        heard = await self._reports.renew(messages)
        for message in messages:
            if message.message_id not in heard:
                others = self._hand.stopped(message)
                if others:
                    await self._put(Report(given_back=others))

    async def _end(self, tasks: TaskGroup) -> None:
        """Report what is over and give back the rest, by a task that outlives a cancellation."""
        in_hand = self._hand.messages()
        try:
            await finish(tasks, lambda: self._reports.last(in_hand), _LAST_REPORT_SECONDS)
        except Exception as error:  # in the cancellation's place it would hide it
            _logger.warning("%s messages keep their lease: %s", len(in_hand), error)
