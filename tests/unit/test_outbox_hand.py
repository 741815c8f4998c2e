"""What a relay has in hand: one message of a key at a time, in order."""

from dataclasses import replace

import pytest

from seawall.clock import uuid7
from seawall.outbox.hand import Hand
from seawall.outbox.store import TakenMessage


def message(key, topic="t"):
    return TakenMessage(
        message_id=uuid7(), lease_id=uuid7(), topic=topic, key=key, payload="1", headers={},
        idempotency_key="", attempts=0,
    )  # fmt: skip


@pytest.fixture
def hand():
    return Hand(by_key=True)


def test_hand_next_of_a_key_is_ready_when_the_one_before_is_done(hand):
    one, two, other = message("a"), message("a"), message("b")
    hand.add([one, two, other])
    assert [hand.pop(), hand.pop(), hand.pop()] == [one, other, None]
    assert not hand.done(one)
    assert hand.pop() is two
    assert hand.done(two)
    assert hand.messages() == [other]


def test_hand_same_key_of_another_topic_is_another_lane(hand):
    one, two = message("a"), message("a", "u")
    hand.add([one, two])
    assert [hand.pop(), hand.pop()] == [one, two]


def test_hand_without_keys_everything_is_ready():
    hand = Hand(by_key=False)
    hand.add([message("a"), message("a"), message(None)])
    assert (hand.ready, len(hand)) == (3, 3)


def test_hand_stopped_gives_up_what_waits_behind(hand):
    one, two, three, other = message("a"), message("a"), message("a"), message("b")
    hand.add([one, two, three, other])
    assert hand.pop() is one
    assert hand.stopped(one) == [two, three]
    assert hand.messages() == [other]
    assert hand.stopped(one) == []


def test_hand_message_taken_anew_is_another_than_the_one_that_was_lost(hand):
    """Its old taking is not popped, and its end does nothing to the new one."""
    old = message("a")
    hand.add([old])
    hand.stopped(old)
    new = replace(old, lease_id=uuid7())
    hand.add([new])
    assert hand.pop() is new
    hand.done(old)
    assert hand.messages() == [new]


def test_hand_message_that_comes_back_while_its_lost_taking_is_at_work_is_not_stuck(hand):
    old, behind = message("a"), message("a")
    hand.add([old, behind])
    assert hand.pop() is old
    new = replace(old, lease_id=uuid7())
    hand.add([new])
    assert hand.pop() is new
    hand.done(old)
    assert hand.messages() == [new]
    assert hand.done(new)
    assert len(hand) == 0
