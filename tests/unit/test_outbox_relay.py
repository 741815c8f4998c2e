"""The relay on virtual time, over a store in memory that can be out of reach."""

import asyncio
import json

import pytest

from seawall.clock import uuid7
from seawall.errors import DatabaseUnavailableError, NotStartedError
from seawall.outbox.options import RelayOptions
from seawall.outbox.relay import Relay
from seawall.outbox.store import TakenMessage


class Store:
    """Payloads by key, in order; ``broken`` maps a method's name to what it raises."""

    def __init__(self, clock):
        self._clock = clock
        self.rows, self.broken, self.said = [], {}, []
        self.lost, self.renewed, self.slow, self.late = set(), [], 0.0, 0.0
        self.answered_after = 0.0

    def publish(self, *pairs):
        for key, payload in pairs:
            self.rows.append({"key": key, "payload": payload, "held": None, "attempts": 0})

    async def _reach(self, method):
        await asyncio.sleep(self.slow)
        if method in self.broken:
            raise self.broken[method]

    def _row(self, message):
        found = [row for row in self.rows if row.get("id") == message.message_id]
        return found[0] if found and found[0]["lease"] == message.lease_id else None

    async def take(self, worker_id, topic, limit, lease_seconds, *, by_key):
        await self._reach("take")
        now, lease = self._clock.monotonic(), uuid7()
        held = {row["key"] for row in self.rows if row["held"] is not None and row["held"] > now}
        due = [
            row for row in self.rows
            if (row["held"] is None or row["held"] <= now) and not (by_key and row["key"] in held)
        ][:limit]  # fmt: skip
        for row in due:
            row.setdefault("id", uuid7())
            row.update(held=now + lease_seconds, lease=lease)
        await asyncio.sleep(self.late)
        return [
            TakenMessage(
                message_id=row["id"], lease_id=lease, topic=topic, key=row["key"],
                payload=json.dumps(row["payload"]), headers={}, idempotency_key=str(row["id"]),
                attempts=row["attempts"],
            )
            for row in due
        ]  # fmt: skip

    async def renew(self, messages, lease_seconds):
        self.renewed.append(self._clock.monotonic())
        await self._reach("renew")
        mine = [each for each in messages if each.message_id not in self.lost and self._row(each)]
        for each in mine:
            self._row(each)["held"] = self._clock.monotonic() + lease_seconds
        return {each.message_id for each in mine}

    async def report(self, report, lease_seconds, *, keep, by_key):
        await self._reach("report")
        heard = set()
        for each in report.begun:
            if row := self._row(each):
                row["attempts"] = each.attempts + 1
                heard.add(each.message_id)
        for each in report.done:
            if row := self._row(each):
                self.rows.remove(row)
                heard.add(each.message_id)
                self.said.append(("done", row["payload"]))
        for each in report.failed:
            if row := self._row(each.message):
                row.update(held=self._clock.monotonic() + each.wait, lease=None)
                self.said.append(("dead" if each.dead else each.wait, row["payload"]))
                if each.dead:
                    self.rows.remove(row)
        for each in report.given_back:
            if row := self._row(each):
                row.update(held=None, lease=None, attempts=each.attempts)
                self.said.append(("given back", row["payload"]))
        await asyncio.sleep(self.answered_after)
        return heard


@pytest.fixture
def store(clock):
    return Store(clock)


@pytest.fixture
def relay(store, clock):
    def make(handler, **options):
        rules = RelayOptions(**({"lease_seconds": 30} | options))
        return Relay(store, "t", handler, rules, decode=json.loads, worker_id="w", clock=clock)

    return make


async def ended(task):
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


async def test_relay_failing_message_comes_again_after_growing_waits(relay, store, clock):
    store.publish(("k", 1), ("k", 2))
    times = []

    async def deliver(message):
        if message.payload == 1:
            times.append(clock.monotonic())
            if len(times) < 4:
                raise ConnectionError("no")

    task = asyncio.ensure_future(relay(deliver, delay=2, max_delay=5).run(poll_seconds=0.5))
    await asyncio.sleep(30)
    await ended(task)
    waits = [after - before for before, after in zip(times, times[1:], strict=False)]
    assert waits == [pytest.approx(each, abs=0.6) for each in (2, 4, 5)]
    told = [(wait, 1) for wait in (2.0, 4.0, 5.0)]
    assert [each for each in store.said if each != ("given back", 2)] == [
        *told, ("done", 1), ("done", 2)
    ]  # fmt: skip


async def test_relay_long_delivery_is_renewed(relay, store):
    store.publish(("k", 1))

    async def deliver(message):
        await asyncio.sleep(95)

    assert await relay(deliver).deliver() == 1
    assert len(store.renewed) == 9


async def test_relay_store_out_of_reach_is_asked_again_and_what_was_done_is_reported(
    relay, store, caplog
):
    """For as long as a lease: the handler is not called twice for a short outage."""
    store.publish(("k", 1))
    calls = 0

    async def deliver(message):
        nonlocal calls
        calls += 1
        if calls == 1:
            store.broken = {"report": DatabaseUnavailableError("gone"), "take": OSError("gone")}

    task = asyncio.ensure_future(relay(deliver).run(poll_seconds=1))
    await asyncio.sleep(10)
    store.broken = {}
    await asyncio.sleep(5)
    assert (calls, store.said) == (1, [("done", 1)])
    store.publish(("k", 2))
    await asyncio.sleep(5)
    assert store.said[-1] == ("done", 2)
    await ended(task)
    assert "the outbox is out of reach" in caplog.text


async def test_relay_outage_longer_than_a_lease_delivers_again(relay, store, caplog):
    store.publish(("k", 1))
    calls = 0

    async def deliver(message):
        nonlocal calls
        calls += 1
        if calls == 1:
            store.broken = {"report": DatabaseUnavailableError("gone"), "renew": OSError("gone")}

    task = asyncio.ensure_future(relay(deliver).run(poll_seconds=1))
    await asyncio.sleep(60)
    store.broken = {}
    await asyncio.sleep(60)
    await ended(task)
    assert (calls, store.said) == (2, [("done", 1)])
    assert "could not be reported" in caplog.text


async def test_relay_final_failure_ends_it_as_itself(relay, store):
    store.broken = {"take": NotStartedError("closed")}

    async def deliver(message):
        raise AssertionError

    with pytest.raises(NotStartedError):
        await relay(deliver).run()


async def test_relay_message_lost_to_another_is_dropped_and_its_report_not_heard(
    relay, store, caplog
):
    """What waited behind it in hand goes back: the other relay has its order now."""
    store.publish(("k", 1), ("k", 2))
    began = asyncio.Event()

    async def deliver(message):
        if message.payload == 1 and not began.is_set():
            began.set()
            row = store.rows[0]
            await asyncio.sleep(15)
            row["lease"] = None
            await asyncio.sleep(15)

    task = asyncio.ensure_future(relay(deliver).run(poll_seconds=1))
    await asyncio.sleep(200)
    await ended(task)
    assert store.said == [("given back", 2), ("done", 1), ("done", 2)]
    assert "outlived its lease, and comes again" in caplog.text


async def test_relay_handler_that_cancels_itself_has_failed(relay, store):
    store.publish(("k", 1), ("l", 2))

    async def deliver(message):
        if message.payload == 1:
            raise asyncio.CancelledError

    assert await relay(deliver, max_attempts=1).deliver() == 1
    assert sorted(store.said) == [("dead", 1), ("done", 2)]


async def test_relay_cancelled_while_it_reports_reports(relay, store):
    """What a handler has done is not done again for a restart at a bad moment."""
    store.publish(("k", 1), ("k", 2))
    done = asyncio.Event()

    async def deliver(message):
        if message.payload == 2:
            await asyncio.sleep(1000)
        store.slow = 1.0
        done.set()

    task = asyncio.ensure_future(relay(deliver).run())
    await done.wait()
    await asyncio.sleep(0.2)
    await ended(task)
    assert store.said == [("done", 1), ("given back", 2)]
    assert store.rows[0]["attempts"] == 0


async def test_relay_payload_that_cant_be_read_is_the_messages_failure(relay, store, clock):
    store.publish(("k", 1))

    def unreadable(text):
        raise ValueError("a newer format")

    async def deliver(message):
        raise AssertionError

    rules = RelayOptions(max_attempts=1)
    broken = Relay(store, "t", deliver, rules, decode=unreadable, worker_id="w", clock=clock)
    assert await broken.deliver() == 0
    assert store.said == [("dead", 1)]


async def test_relay_never_has_more_than_its_concurrency_at_work(relay, store):
    store.publish(*((f"k{n}", n) for n in range(50)))
    busy = most = 0

    async def deliver(message):
        nonlocal busy, most
        busy += 1
        most = max(most, busy)
        await asyncio.sleep(1)
        busy -= 1

    assert await relay(deliver, concurrency=7, batch=20).deliver() == 50
    assert most == 7


async def test_relay_key_set_free_during_a_look_is_looked_at_again(relay, store):
    """Else ``deliver`` would return with messages that are due."""
    store.publish(("k", 1), ("k", 2), ("k", 3))
    store.late = 1.0

    async def deliver(message):
        await asyncio.sleep(0.3)

    assert await relay(deliver, batch=1, concurrency=2).deliver() == 3


async def test_relay_frozen_while_it_begins_does_not_begin(relay, store):
    """Its answer is older than a lease: another may be at it, or through with it."""
    store.publish(("k", 1))
    delivered = []

    async def deliver(message):
        delivered.append(message.payload)

    task = asyncio.ensure_future(relay(deliver).run(poll_seconds=1))
    store.answered_after = 31.0
    await asyncio.sleep(31.5)
    assert delivered == []
    store.answered_after = 0.0
    await asyncio.sleep(80)
    await ended(task)
    assert delivered == [1]
