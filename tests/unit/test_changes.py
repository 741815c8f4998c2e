"""The feed of changes: what events are about, told once a second."""

import anyio
import pytest

from seawall.changes import ALL_TOPICS, ChangeFeed
from seawall.events import BatchCommitted, ErrorLogged, RateLimited, RunEnded
from seawall.postgres.change_store import message_of, topics_of
from support.every_event import KINDS, event_of


class Told:
    """Keeps what was told; ``is_down`` makes it fail."""

    def __init__(self):
        self.messages, self.is_down = [], False

    async def __call__(self, topics):
        if self.is_down:
            raise ConnectionError("not connected")
        self.messages.append(set(topics))


@pytest.fixture
def told():
    return Told()


async def test_feed_gathers_what_a_second_brings(told, clock):
    """Ten thousand batches in a second are one message; a second without events is none."""
    feed = ChangeFeed(told, clock=clock)
    await feed.start()
    for _ in range(10_000):
        feed.hear(event_of(BatchCommitted))
    feed.hear(event_of(ErrorLogged))
    await anyio.sleep(5.5)
    assert told.messages == [{"runs", "quarantine", "errors"}]
    await feed.aclose()
    assert len(told.messages) == 1


async def test_feed_tells_the_last_at_its_end(told, clock):
    feed = ChangeFeed(told, clock=clock)
    await feed.start()
    feed.hear(event_of(RunEnded))
    await feed.aclose()
    assert told.messages == [{"runs", "budgets"}]


async def test_feed_that_reaches_nobody_tells_it_later(told, clock, caplog):
    """Without a warning a second: the listener says by itself that it is not connected."""
    feed = ChangeFeed(told, clock=clock)
    told.is_down = True
    await feed.start()
    feed.hear(event_of(ErrorLogged))
    await anyio.sleep(3.5)
    told.is_down = False
    feed.hear(event_of(RunEnded))
    await anyio.sleep(1)
    assert told.messages == [{"errors", "runs", "budgets"}]
    assert caplog.records == []
    await feed.aclose()


async def test_feed_hears_every_event_there_is(told, clock):
    """None fails, and whatever is told is a topic that a page can ask for."""
    feed = ChangeFeed(told, clock=clock)
    for kind in KINDS:
        feed.hear(event_of(kind))
    await feed.flush()
    (topics,) = told.messages
    assert topics <= ALL_TOPICS
    assert {"runs", "errors", "breakers", "budgets", "health", "quarantine"} <= topics
    feed.hear(event_of(RateLimited))
    await feed.flush()
    assert len(told.messages) == 1  # of no page's interest


def test_message_is_for_its_schema_alone():
    message = message_of("seawall", {"runs", "errors"})
    assert topics_of(message, "seawall") == {"runs", "errors"}
    assert topics_of(message, "other") == set()
    assert topics_of("", "seawall") == set()
