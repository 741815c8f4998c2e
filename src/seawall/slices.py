"""Tokens of the whole fleet, taken in slices ahead of need: no call waits for the database.

A rate limiter or a retry budget of a started manager spends what its worker holds. One task asks
the store for more before it runs out; while the store is out of reach each worker goes on with its
last known share of the limit.
"""

import logging
from collections.abc import Callable, Sequence
from typing import Protocol

import anyio
import msgspec

from seawall.clock import MACHINE_CLOCK, BackgroundTask, Clock

_logger = logging.getLogger("seawall.slices")

_QUICKEST, _BRISK, _SLOWEST = 0.02, 0.1, 1.0  # seconds between two exchanges
_LAST_WORD = 2.0  # seconds that giving back may take


class TokenRequest(msgspec.Struct, frozen=True, kw_only=True):
    """What one worker asks for.

    Attributes:
        kind: ``rate_limiter`` or ``retry_budget``.
        name: its name, the same in every worker.
        capacity: tokens that the fleet can have at the most.
        per_second: tokens that come by time.
        amount: a limiter: tokens wanted (below 0: given back); a budget: tokens given back by
            successes less those spent, since the last exchange.
        held: a limiter: tokens that it has left.
        waiting: a limiter: calls that spend a token as soon as it comes.
        leaving: whether it takes part no more.
        part: told apart from others of that name in this worker.
    """

    kind: str
    name: str
    capacity: float
    per_second: float
    amount: float
    held: float = 0.0
    waiting: int = 0
    leaving: bool = False
    part: int = 0


class TokenAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """What it gets.

    Attributes:
        granted: a limiter: tokens to add; a budget: the tokens that are now its share.
        left: tokens that the fleet has left.
        holders: workers that share them.
        wait: seconds until the fleet has one more.
    """

    kind: str
    name: str
    part: int
    granted: float
    left: float
    holders: int
    wait: float


class SliceStore(Protocol):
    """Where the fleet keeps its tokens."""

    async def exchange(self, worker_id: str, requests: Sequence[TokenRequest]) -> list[TokenAnswer]:
        """Answer each request.

        Raises:
            ConnectionError: the store is out of reach.
        """
        ...


class SharedTokens(Protocol):
    """A limiter or budget as a part of the fleet."""

    name: str

    def share(self, shares: "FleetShares | None") -> None:
        """Take part in ``shares``; None: go on alone."""
        ...

    def request(self) -> TokenRequest | None:
        """What to ask for now; None where nothing is needed."""
        ...

    def take(self, answer: TokenAnswer) -> None:
        """Use what the store has answered."""
        ...

    def give_back(self) -> TokenRequest | None:
        """What to return when the worker leaves."""
        ...

    def go_alone(self) -> None:
        """The store is out of reach: go on with the last known share."""
        ...


class FleetShares:
    """One worker's limiters and budgets in the fleet; belongs to one event loop.

    Args:
        store: where the tokens are.
        worker_id: this worker, told apart from all others.
        clock: measures the time between exchanges.
    """

    def __init__(self, store: SliceStore, *, worker_id: str, clock: Clock = MACHINE_CLOCK) -> None:
        self._store, self._worker_id, self._clock = store, worker_id, clock
        self._parts: list[SharedTokens] = []
        self._needed = anyio.Event()
        self._task: BackgroundTask | None = None
        self._reached = True

    def start(self) -> None:
        """Begin to exchange."""
        self._task = BackgroundTask(self._run(), "seawall tokens")

    async def aclose(self) -> None:
        """Give back what is held, for at most two seconds; the parts go on alone."""
        try:
            if self._task is not None:
                await self._task.stop()
            left = self._requests(lambda part: part.give_back())
            if left:
                with anyio.move_on_after(_LAST_WORD):
                    await self._answered(left)
        finally:
            for part in self._parts:
                part.share(None)
            self._parts.clear()

    def attach(self, part: SharedTokens) -> None:
        """Let ``part`` spend the fleet's tokens."""
        self._parts.append(part)
        part.share(self)
        self.needed()

    def needed(self) -> None:
        """A part is running out: exchange soon; waits for nothing."""
        self._needed.set()

    async def _run(self) -> None:
        pause = _SLOWEST
        while True:
            with anyio.move_on_after(pause):
                await self._needed.wait()
            self._needed = anyio.Event()
            requests = self._requests(lambda part: part.request())
            # Where tokens are spent, more are had before the last one is.
            pause = _BRISK if any(r.amount > 0 and r.per_second for r in requests) else _SLOWEST
            if requests and not await self._answered(requests):
                for part in self._parts:
                    part.go_alone()
                await self._clock.sleep(_SLOWEST)
            await self._clock.sleep(_QUICKEST)

    def _requests(self, ask: Callable[[SharedTokens], TokenRequest | None]) -> list[TokenRequest]:
        return [
            msgspec.structs.replace(request, part=number)
            for number, part in enumerate(self._parts)
            if (request := ask(part)) is not None
        ]

    async def _answered(self, requests: list[TokenRequest]) -> bool:
        try:
            for answer in await self._store.exchange(self._worker_id, requests):
                self._parts[answer.part].take(answer)
        except Exception as error:
            if self._reached:
                _logger.warning("the fleet's tokens are out of reach: %s", error)
            self._reached = False
            return False
        self._reached = True
        return True
