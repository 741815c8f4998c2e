"""A checkpoint store in memory, which a test can hold up, cut off, or take away."""

from collections import Counter
from uuid import UUID

from seawall.checkpoint.model import Progress, StepState
from seawall.checkpoint.store import CommitUnknownError
from seawall.errors import StaleRunError


class FakeStore:
    """Positions and rows, as a database would keep them over restarts."""

    def __init__(self, progress=None):
        self.progress = progress or Progress()
        self.fence = self.version = 0
        self.rows = []
        self.quarantined = []
        self.saves = []
        self.released = []
        self.attempts = 0
        self.renewals = 0
        self.open_units = set()
        self.on_commit = None  # async (unit, progress); its exception is the commit's
        self.answers = []  # of the next COMMITs: "lost" (done, not answered) or "never" (not done)
        self.on_settle = None
        self.on_release = None
        self.set_aside_first = False
        self.sessions = []

    async def open(self, key, request):
        self.fence += 1
        session = FakeSession(self, request)
        self.sessions.append(session)
        return session


class FakeSession:
    def __init__(self, store, request):
        self.store, self.fence, self.version = store, store.fence, store.version
        self.set_aside_first = store.set_aside_first
        self.state = StepState(
            checkpoint_id=UUID(int=1),
            fence=store.fence,
            version=store.version,
            progress=store.progress,
            state_version=1,
            start_count=store.fence,
            silent_starts=1,
        )
        self._lanes = []
        self.closed = False

    def lanes(self, number):
        while len(self._lanes) < number:
            self._lanes.append(FakeLane(self))
        return self._lanes[:number]

    def check(self):
        if self.store.fence != self.fence:
            raise StaleRunError("another worker has taken over")

    async def settle(self):
        if self.store.on_settle is not None:
            await self.store.on_settle()
        self.check()
        committed = self.store.version == self.version + 1
        if committed:
            self.version += 1
        return committed

    async def renew(self):
        self.check()
        self.store.renewals += 1

    async def attempt(self):
        self.check()
        self.store.attempts += 1

    async def release(self, *, finished):
        if self.store.on_release is not None:
            await self.store.on_release()
        self.store.released.append(finished)

    async def quarantined_by_reason(self):
        return dict(Counter(rejection.reason for rejection, *_ in self.store.quarantined))

    async def quarantined_for(self, keys):
        return {}

    async def aclose(self):
        self.closed = True


class FakeLane:
    def __init__(self, session):
        self.session = session

    async def begin(self, batch_id, rejects, sinks):
        return FakeUnit(self.session, batch_id, rejects, sinks)


class FakeUnit:
    def __init__(self, session, batch_id, rejects, sinks):
        self.session, self.store, self.batch_id = session, session.store, batch_id
        self._rejects, self._sinks = rejects, sinks
        self.outcome, self.lost = "open", None
        self.rows, self.bad = [], []
        self.store.open_units.add(self)

    @property
    def transaction(self):
        return self

    # -- what a handler calls

    def insert(self, records):
        self.rows += records

    async def reject(self, rejections, records):
        await self._rejects(rejections, records)

    # -- what the ledger calls

    async def quarantine(self, rejections, payloads, positions):
        self.bad += zip(rejections, payloads, positions, strict=True)

    async def commit(self, progress):
        store = self.store
        try:
            self.session.check()
            if store.on_commit is not None:
                await store.on_commit(self, progress)
            self.session.check()
            assert store.version == self.session.version, "saved over another's save"
        except BaseException:
            await self.rollback()
            raise
        answer = store.answers.pop(0) if store.answers else "ok"
        self.store.open_units.discard(self)
        if answer != "never":
            store.version += 1
            store.progress = progress
            store.rows += self.rows
            store.quarantined += self.bad
            store.saves.append(progress)
        if answer != "ok":
            self.outcome = "unknown"
            raise CommitUnknownError from ConnectionResetError("connection reset by peer")
        self.session.version += 1
        self.outcome = "committed"

    async def rollback(self):
        self.outcome = "rolled back"
        self.store.open_units.discard(self)
