import asyncio
import os
import threading
import time

import pytest

from seawall import clock
from seawall.clock import BackgroundTask, uuid7, uuid7s


def test_uuid7_has_its_version_variant_and_time():
    before = time.time_ns() // 1_000_000
    value = uuid7()
    after = time.time_ns() // 1_000_000
    assert (value.version, value.variant) == (7, "specified in RFC 4122")
    assert before <= value.int >> 80 <= after + 1


def test_uuid7_grows_strictly_within_a_millisecond():
    values = [uuid7() for _ in range(20_000)]
    assert values == sorted(set(values))


def test_uuid7_grows_when_the_clock_steps_back(monkeypatch):
    first = uuid7()
    monkeypatch.setattr(clock.time, "time_ns", lambda: 1_000_000)
    later = [uuid7() for _ in range(100)]
    assert first < later[0]
    assert later == sorted(set(later))
    assert all((each.version, each.variant) == (7, "specified in RFC 4122") for each in later)


def test_uuid7_is_unique_across_threads():
    made = []

    def work():
        made.extend([uuid7() for _ in range(2_000)])

    threads = [threading.Thread(target=work) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(set(made)) == 16_000


async def test_background_task_stop_cancelled_meanwhile_still_waits_and_is_cancelled():
    ended = []

    async def work():
        try:
            await asyncio.sleep(60)
        finally:
            await asyncio.sleep(2)
            ended.append(1)

    background = BackgroundTask(work(), "work")
    await asyncio.sleep(1)
    stopping = asyncio.ensure_future(background.stop())
    await asyncio.sleep(1)
    stopping.cancel()
    with pytest.raises(asyncio.CancelledError):
        await stopping
    assert ended == [1]


def test_uuid7s_follow_on_one_another_and_the_next_follows_them():
    before = uuid7()
    many = list(uuid7s(1000))
    values = [before, *many, uuid7()]
    assert values == sorted(set(values))
    assert {(each.version, each.variant) for each in many} == {(7, before.variant)}
    assert list(uuid7s(0)) == []
    assert uuid7() > values[-1]


def test_uuid7_of_a_forked_child_are_its_own():
    uuid7()  # numbers are drawn ahead
    reading, writing = os.pipe()
    child = os.fork()
    if not child:
        os.write(writing, " ".join(uuid7().hex[12:] for _ in range(50)).encode())
        os._exit(0)
    os.waitpid(child, 0)
    theirs = set(os.read(reading, 10_000).decode().split())
    os.close(reading)
    os.close(writing)
    assert len(theirs) == 50
    assert theirs.isdisjoint(uuid7().hex[12:] for _ in range(50))
