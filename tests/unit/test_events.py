import dataclasses
import logging

import pytest

from seawall.events import EventBus, FallbackUsed
from seawall.scope import Scope, scoped


def event():
    return FallbackUsed(operation="f", fallback="g", position=1)


def test_bus_listener_that_raises_is_logged_and_harms_nobody(caplog):
    heard = []
    bus = EventBus()
    bus.subscribe(lambda _: 1 / 0)
    bus.subscribe(heard.append)
    with caplog.at_level(logging.ERROR, "seawall.events"):
        bus.emit(event())
    assert len(heard) == 1
    assert "ZeroDivisionError" in caplog.text


def test_bus_unsubscribed_listener_hears_no_more():
    heard = []
    bus = EventBus()
    leave = bus.subscribe(heard.append)
    leave()
    bus.emit(event())
    assert heard == []
    assert bus.listeners == ()


def test_event_carries_the_scope_it_was_made_in_and_is_frozen():
    with scoped(Scope("p", "r", "s")):
        made = event()
    assert made.scope == Scope("p", "r", "s")
    assert event().scope == Scope()
    with pytest.raises(dataclasses.FrozenInstanceError):
        made.position = 2
