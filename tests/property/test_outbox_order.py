"""The order of a key, whatever relays do: a model of the table, and hands that take from it."""

from itertools import combinations
from uuid import UUID

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    Bundle,
    RuleBasedStateMachine,
    consumes,
    initialize,
    invariant,
    multiple,
    rule,
)

from seawall.outbox.hand import Hand
from seawall.outbox.store import TakenMessage

KEYS = st.sampled_from(["a", "a", "b", None])
RELAYS = 2


class Row:
    """A message in the table, by the store's rules: held while leased; begun in its key's order."""

    def __init__(self, number, key):
        self.number, self.key = number, key
        self.lease, self.pending = None, False
        self.seen_at = None  # how many deliveries had begun when its transaction committed

    def __repr__(self):
        return f"{self.key}{self.number}"


class Relays(RuleBasedStateMachine):
    """Two relays' hands over one table; a lease may end at any moment, and a relay die."""

    begun = Bundle("begun")

    @initialize()
    def start(self):
        self.rows, self.leases = [], 0
        self.hands = [Hand(by_key=True) for _ in range(RELAYS)]
        self.handled, self.at_work = [], []

    @rule(keys=st.lists(KEYS, min_size=1, max_size=6), late=st.booleans())
    def publish(self, keys, late):
        rows = [Row(len(self.rows) + n, key) for n, key in enumerate(keys)]
        self.rows += rows
        if not late:
            self._commit(rows)

    @rule(number=st.integers(0, 12))
    def commit(self, number):
        self._commit(self.rows[number : number + 3])

    def _commit(self, rows):
        for row in rows:
            if row.seen_at is None:
                row.pending, row.seen_at = True, len(self.handled)

    @rule(relay=st.integers(0, RELAYS - 1), limit=st.integers(1, 5))
    def take(self, relay, limit):
        held = {row.key for row in self.rows if row.pending and row.lease and row.key}
        due = [row for row in self.rows if row.pending and not row.lease and row.key not in held]
        self.leases += 1
        taken = due[:limit]
        for row in taken:
            row.lease = self.leases
        self.hands[relay].add(
            TakenMessage(
                message_id=UUID(int=row.number), lease_id=UUID(int=row.lease), topic="t",
                key=row.key, payload="", headers={}, idempotency_key="", attempts=0,
            )
            for row in taken
        )  # fmt: skip

    @rule(target=begun, relay=st.integers(0, RELAYS - 1))
    def begin(self, relay):
        message = self.hands[relay].pop()
        if message is None:
            return multiple()
        row = self.rows[message.message_id.int]
        if not self._holds(message) or self._earlier(row):
            for each in (message, *self.hands[relay].stopped(message)):
                self._give_back(each)
            return multiple()
        self.handled.append(row)
        self.at_work.append(message)
        return (relay, message)

    @rule(handler=consumes(begun))
    def succeed(self, handler):
        relay, message = handler
        if not self.hands[relay]._has(message):
            return
        self.hands[relay].done(message)
        if self._holds(message):
            self.rows[message.message_id.int].pending = False

    @rule(handler=consumes(begun))
    def fail(self, handler):
        relay, message = handler
        if not self.hands[relay]._has(message):
            return
        for each in (message, *self.hands[relay].stopped(message)):
            self._give_back(each)

    @rule(number=st.integers(0, 12))
    def end_a_lease(self, number):
        if number < len(self.rows):
            self.rows[number].lease = None

    @rule(relay=st.integers(0, RELAYS - 1))
    def die(self, relay):
        self.hands[relay] = Hand(by_key=True)

    @rule(relay=st.integers(0, RELAYS - 1), place=st.integers(0, 10))
    def notice_a_lost_lease(self, relay, place):
        lost = [each for each in self.hands[relay].messages() if not self._holds(each)]
        if place < len(lost):
            for each in self.hands[relay].stopped(lost[place]):
                self._give_back(each)

    def _holds(self, message):
        row = self.rows[message.message_id.int]
        return row.pending and row.lease == message.lease_id.int

    def _give_back(self, message):
        if self._holds(message):
            self.rows[message.message_id.int].lease = None

    def _earlier(self, row):
        return row.key is not None and any(
            each.pending and each.key == row.key and each.number < row.number for each in self.rows
        )

    @invariant()
    def what_waits_in_a_hand_waits_for_one_that_is_ready_or_at_work(self):
        for hand in getattr(self, "hands", ()):
            for lane, waiting in hand._lanes.items():
                lane_of = [each for each in hand.messages() if hand._lane(each) == lane]
                first = [each for each in lane_of if each not in waiting]
                assert len(first) == 1, lane
                assert first[0] in hand._ready or first[0] in self.at_work, lane

    @invariant()
    def deliveries_of_a_key_never_step_back(self):
        """But for one that came to light when a later one had begun."""
        for key in "ab":
            begun = [each for each in enumerate(getattr(self, "handled", ())) if each[1].key == key]
            for (before, one), (_, two) in combinations(begun, 2):
                assert one.number <= two.number or before < two.seen_at, key

    def teardown(self):
        """Whatever happened, all that is left can be delivered: no key is stuck in a hand."""
        if not hasattr(self, "rows"):
            return
        self._commit(self.rows)
        for row in self.rows:
            row.lease = None
        self.hands[0] = Hand(by_key=True)
        while any(row.pending for row in self.rows):
            self.take(0, 5)
            message = self.hands[0].pop()
            row = self.rows[message.message_id.int]
            assert not self._earlier(row)
            self.handled.append(row)
            self.hands[0].done(message)
            row.pending = False
        self.deliveries_of_a_key_never_step_back()
        assert {row.number for row in self.handled} == set(range(len(self.rows)))


TestRelays = Relays.TestCase
TestRelays.settings = settings(max_examples=300, stateful_step_count=40, deadline=None)
