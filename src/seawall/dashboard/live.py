"""Pages told of changes, by server-sent events: PostgreSQL notifies, nobody polls."""

import logging
from collections.abc import AsyncIterator

import anyio
import msgspec

from seawall.changes import ALL_TOPICS
from seawall.clock import MACHINE_CLOCK, BackgroundTask
from seawall.manager import ErrorRecoveryManager
from seawall.postgres import change_store
from seawall.postgres.breaker_store import CHANNEL as BREAKERS
from seawall.postgres.listener import Listener

_logger = logging.getLogger("seawall.dashboard")

_GATHER_SECONDS = 1.0  # between two messages to a page
_SILENCE_SECONDS = 15.0  # after which a line is sent, so that no proxy ends the stream
_STREAM_SECONDS = 3600.0  # then the browser connects anew, and is looked at anew
_MOST_PAGES = 200


class TooManyPagesError(Exception):
    """As many pages are live as one process can tell."""


class Hub:
    """Hears of changes while a page is live, and tells all live pages. One event loop's.

    Args:
        manager: started by the time that a page is live.
    """

    def __init__(self, manager: ErrorRecoveryManager) -> None:
        self._manager = manager
        self._pages: set[_Page] = set()
        self._task: BackgroundTask | None = None
        self._is_connected = self._is_closed = False

    def close(self) -> None:
        """End all streams: a server that is to stop waits for them."""
        self._is_closed = True
        self.tell({"down"})

    async def stream(self) -> AsyncIterator[bytes]:
        """One page's events: each names a topic; ``up`` and ``down`` tell of the connection.

        Raises:
            TooManyPagesError: 200 pages are live.
        """
        if len(self._pages) >= _MOST_PAGES:
            raise TooManyPagesError
        page = _Page()
        self._pages.add(page)
        self._listen()
        if self._is_connected:
            page.tell({"up"})
        try:
            yield b": hello\n\n"  # the answer begins, whatever comes
            end = MACHINE_CLOCK.monotonic() + _STREAM_SECONDS
            while MACHINE_CLOCK.monotonic() < end and not self._is_closed:
                yield await page.message()
        finally:
            self._pages.discard(page)
            if not self._pages:
                with anyio.CancelScope(shield=True):
                    await self._stop()

    def _listen(self) -> None:
        if self._task is None:
            listener = Listener(
                self._manager.database,
                change_store.CHANNEL,
                BREAKERS,
                dsn=self._manager.config.listen_dsn,
            )
            work = listener.run(self._hear, self._connected, self._lost)
            self._task = BackgroundTask(work, "seawall dashboard")

    async def _stop(self) -> None:
        task, self._task = self._task, None
        if task is not None:
            await task.stop()

    def _hear(self, channel: str, payload: str) -> None:
        schema = self._manager.database.schema
        if channel == BREAKERS:
            topics = {"breakers"} if _schema_of(payload) == schema else set()
        else:
            topics = change_store.topics_of(payload, schema)
        self.tell(topics)

    def _connected(self) -> None:
        # Whatever happened meanwhile was not heard.
        self._is_connected = True
        self.tell({"up", *ALL_TOPICS})

    def _lost(self) -> None:
        self._is_connected = False
        self.tell({"down"})

    def tell(self, topics: set[str]) -> None:
        """Tell every live page."""
        if topics:
            for page in self._pages:
                page.tell(topics)


class _Page:
    """What a page is to be told; the same topic twice is told once."""

    def __init__(self) -> None:
        self._topics: set[str] = set()
        self._news = anyio.Event()
        self._told_at = -_GATHER_SECONDS

    def tell(self, topics: set[str]) -> None:
        # Of "up" and "down" the later one counts.
        if topics & {"up", "down"}:
            self._topics -= {"up", "down"}
        self._topics |= topics
        self._news.set()

    async def message(self) -> bytes:
        """The next one: at once where the last is a second ago, or a comment in a long silence."""
        with anyio.move_on_after(_SILENCE_SECONDS):
            await self._news.wait()
        if not self._topics:
            return b": still here\n\n"
        wait = self._told_at + _GATHER_SECONDS - MACHINE_CLOCK.monotonic()
        if wait > 0:
            await MACHINE_CLOCK.sleep(wait)
        topics, self._topics = self._topics, set()
        self._news = anyio.Event()
        self._told_at = MACHINE_CLOCK.monotonic()
        return f"event: changed\ndata: {' '.join(sorted(topics))}\n\n".encode()


def _schema_of(payload: str) -> str | None:
    try:
        message = msgspec.json.decode(payload, type=dict[str, object])
    except msgspec.MsgspecError:
        return None
    return str(message.get("schema"))
