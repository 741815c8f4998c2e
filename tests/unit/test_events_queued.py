"""A listener that blocks, raises or is slow harms nobody."""

import threading

import pytest

from seawall import ErrorRecoveryManager
from seawall.errors import InvalidConfigError
from seawall.events import LeaseLost
from seawall.events.queued import QueuedListener

pytestmark = pytest.mark.real_time


async def test_queued_listener_that_blocks_delays_nobody_and_drops_are_counted():
    manager, gate, heard = ErrorRecoveryManager(), threading.Event(), []

    def blocks(event):
        gate.wait(10)
        heard.append(event.partition)

    subscription = manager.subscribe(blocks, queued=True, bound=3)
    quick = []
    manager.subscribe(lambda event: quick.append(event.partition))
    for n in range(10):
        manager.bus.emit(LeaseLost(partition=n))
    assert quick == list(range(10))
    assert subscription.dropped in (6, 7)  # one may be in its hands
    gate.set()
    await manager._subscriptions.flush()
    # The first ones; a later one only where the thread took its first while these came.
    assert len(heard) == 10 - subscription.dropped
    assert heard == sorted(heard)
    assert heard[:3] == [0, 1, 2]
    subscription()
    manager.bus.emit(LeaseLost(partition=99))
    await manager._subscriptions.flush()
    assert 99 not in heard


async def test_queued_listener_that_raises_hears_the_next(caplog):
    manager, heard = ErrorRecoveryManager(), []

    def raises(event):
        heard.append(event.partition)
        raise ValueError("no")

    manager.subscribe(raises, queued=True)
    manager.subscribe(raises)
    for n in range(3):
        manager.bus.emit(LeaseLost(partition=n))
    await manager._subscriptions.flush()
    assert sorted(heard) == [0, 0, 1, 1, 2, 2]
    assert (
        len([record for record in caplog.records if "failed on LeaseLost" in record.message]) == 6
    )


def test_listener_that_can_not_be_one_is_refused():
    async def coroutine(event): ...

    manager = ErrorRecoveryManager()
    for wrong in (5, coroutine):
        with pytest.raises(InvalidConfigError, match="plain function"):
            manager.subscribe(wrong)
    with pytest.raises(InvalidConfigError, match="bound"):
        manager.subscribe(print, queued=True, bound=0)
    assert "print" in repr(QueuedListener(print, 1))
