"""While PostgreSQL can't be reached: durable rows go to the journal, and come back from it."""

import asyncio
import hashlib
import logging
import os
import sys
import weakref
from collections.abc import Iterator
from pathlib import Path
from typing import Self

import anyio

from seawall.clock import MACHINE_CLOCK, BackgroundTask, Clock
from seawall.config import RecoveryConfig
from seawall.events import EventBus, JournalOpened, JournalReplayed
from seawall.journal import Journal, JournalFolder, Replayed, ReplayStore, replay
from seawall.journal.folder import OpenFile
from seawall.journal.frame import Rows
from seawall.recorder import HOST

_logger = logging.getLogger("seawall.journal")

_LOOK_SECONDS = 1.0
_OTHERS_SECONDS = 60.0  # between two looks for files of processes that died
_LAST_SECONDS = 5.0


class OutageJournal:
    """Implements the recorder's ``Outage``; a service of one event loop and process.

    Rows go to disk as soon as the database was once not reached, and no call tries it any more;
    one task looks every second whether it is back, brings the rows there in their order, and then
    lets calls go to it again. Files of processes that died are brought along.

    Args:
        store: where rows go when it is back.
        bus: is told of the beginning and of the end.
        root: the folder; None: the user's own.
        most_bytes: of all that waits.
        clock: for the waits.
    """

    def __init__(
        self,
        store: ReplayStore,
        *,
        bus: EventBus,
        root: Path | None,
        most_bytes: int,
        clock: Clock = MACHINE_CLOCK,
    ) -> None:
        self._store, self._bus, self._clock = store, bus, clock
        self._root, self._most_bytes = root, most_bytes
        self._is_on = False
        self._sealed: list[OpenFile] = []
        self._task: BackgroundTask | None = None
        self._turn = anyio.Lock()
        _all.add(self)

    @classmethod
    def of(cls, store: ReplayStore, config: RecoveryConfig, bus: EventBus) -> Self | None:
        """As the config wants it; None where it wants none."""
        if not config.journal_max_bytes:
            return None
        root = None if config.journal_folder is None else Path(config.journal_folder)
        return cls(store, bus=bus, root=root, most_bytes=config.journal_max_bytes)

    def leave_to_parent(self) -> None:
        """After a fork: the files, and their locks, are the parent's."""
        sealed, self._sealed = self._sealed, []
        for file in sealed:
            file.close()
        if self._task is not None:
            self.journal.leave_to_parent()

    @property
    def is_on(self) -> bool:
        return self._is_on

    async def start(self, identity: str) -> None:
        """Begin to look; what others have left is brought in the background."""
        self.journal = Journal(JournalFolder(folder_of(self._root, identity)), self._most_bytes)
        self._task = BackgroundTask(self._run(), "seawall journal")

    async def aclose(self) -> None:
        """Try once more; what is left waits for the next process."""
        task, self._task = self._task, None
        if task is None:
            return
        await task.stop()
        if self._is_on:
            try:
                with anyio.move_on_after(_LAST_SECONDS):
                    await self.replay()
            except Exception as error:
                _logger.warning("the journal could not be replayed: %s", error)
        for file in self._sealed:
            file.close()
        await self.journal.aclose()

    async def keep(self, rows: Rows, reason: str) -> None:
        """Keep rows until it is back; they are on disk when this returns.

        Raises:
            JournalFullError: there is no room for them.
            OSError: the folder can't be written.
        """
        await self.journal.append(rows)
        if not self._is_on:
            self._is_on = True
            folder = str(self.journal.folder.path)
            _logger.warning("PostgreSQL can't be reached (%s): rows go to %s", reason, folder)
            self._bus.emit(JournalOpened(host=HOST, folder=folder, reason=reason))

    async def replay(self) -> Replayed:
        """Bring all that waits to the database, and let calls go to it again.

        Raises whatever says that it can't be reached; nothing is lost then.
        """
        done = Replayed()
        async with self._turn:
            adopted = await asyncio.to_thread(list, self._adopted())
            try:
                while adopted:
                    done.add(await replay(self.journal.folder, adopted[0], self._store))
                    adopted.pop(0)
            finally:
                for file in adopted:  # for the next turn, or for another process
                    file.close()
            while True:
                if (own := await self.journal.seal()) is not None:
                    self._sealed.append(own)
                if not self._sealed:
                    break
                done.add(await replay(self.journal.folder, self._sealed[0], self._store))
                self._sealed.pop(0)
            # Nothing is awaited since the last file was found to be gone.
            self._is_on = False
        if done.files:
            folder = str(self.journal.folder.path)
            _logger.warning("%d rows of the journal are in the database", done.rows)
            self._bus.emit(
                JournalReplayed(
                    host=HOST,
                    folder=folder,
                    rows=done.rows,
                    refused=done.refused,
                    damaged_bytes=done.damaged_bytes,
                )
            )
        return done

    def _adopted(self) -> Iterator[OpenFile]:
        held = {file.path for file in self._sealed}
        for file in self.journal.folder.adopt():
            if file.path in held:
                file.close()
            else:
                yield file

    async def _run(self) -> None:
        looked = -_OTHERS_SECONDS
        while True:
            now = self._clock.monotonic()
            due = now - looked >= _OTHERS_SECONDS
            if self._is_on or self._sealed or (due and await self.journal.waits()):
                try:
                    await self.replay()
                except Exception as error:
                    # Out of reach is what the journal is for; a database that won't have it is not.
                    level = logging.INFO if isinstance(error, OSError) else logging.WARNING
                    _logger.log(level, "the journal waits: %s", error)
            if due:
                looked = now
            await self._clock.sleep(_LOOK_SECONDS)


_all: "weakref.WeakSet[OutageJournal]" = weakref.WeakSet()


def _leave_all_to_parent() -> None:
    """A child that never starts a manager must not keep its dead parent's files locked either."""
    for each in list(_all):
        each.leave_to_parent()


os.register_at_fork(after_in_child=_leave_all_to_parent)


def folder_of(root: Path | None, identity: str) -> Path:
    """The folder of one database's journal: its own, so that rows never go to another one."""
    name = hashlib.blake2b(identity.encode(), digest_size=8).hexdigest()
    return (default_root() if root is None else root) / name


def default_root() -> Path:
    """The user's own folder of journals."""
    if os.geteuid() == 0:
        return Path("/var/lib/seawall/journal")
    if sys.platform == "darwin":
        return Path.home() / "Library" / "Application Support" / "seawall" / "journal"
    base = os.environ.get("XDG_DATA_HOME") or str(Path.home() / ".local" / "share")
    return Path(base) / "seawall" / "journal"
