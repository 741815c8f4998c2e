"""Starting, stopping and looking at an embedded server from outside: ``seawall server``."""

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import anyio.to_thread

from seawall.clock import MACHINE_CLOCK
from seawall.errors import EmbeddedServerError
from seawall.postgres.embedded.cluster import Cluster, default_root
from seawall.postgres.embedded.locks import EXCLUSIVE, try_lock
from seawall.postgres.embedded.server import EmbeddedServer

_STOP_SECONDS = 90.0


@dataclass(frozen=True, slots=True)
class ServerStatus:
    """What is known of a cluster without starting anything.

    Attributes:
        held: it runs on without clients, until ``stop``.
        data_bytes: size of the data folder; None where it can't be read.
    """

    root: Path
    state: Literal["running", "stopped", "absent"]
    version: int | None
    socket_dir: str | None
    held: bool
    data_bytes: int | None


async def start_detached(root: Path | str | None = None) -> EmbeddedServer:
    """Start the server and let it run on without clients until ``stop``."""
    server = EmbeddedServer(root)
    await server.start()
    (server.root / "hold").touch(mode=0o600)
    await server.aclose()
    return server


async def stop(root: Path | str | None = None) -> bool:
    """Stop the server (fast: clients are disconnected); False if none ran.

    Raises:
        EmbeddedServerError: it did not end.
    """
    folder = Path(root).absolute() if root is not None else default_root()
    (folder / "hold").unlink(missing_ok=True)
    if not _running(folder):
        return False
    # A file for the keeper, not a signal to a pid that may be somebody else's by now.
    (folder / "stop").touch(mode=0o600)
    give_up_at = MACHINE_CLOCK.monotonic() + _STOP_SECONDS
    while _running(folder):
        if MACHINE_CLOCK.monotonic() > give_up_at:
            raise EmbeddedServerError(
                f"the server in {folder} did not stop; see {folder}/keeper.log"
            )
        await MACHINE_CLOCK.sleep(0.05)
    (folder / "stop").unlink(missing_ok=True)
    return True


async def status(root: Path | str | None = None) -> ServerStatus:
    """Look, and start nothing."""
    folder = Path(root).absolute() if root is not None else default_root()
    return await anyio.to_thread.run_sync(_status, folder)


def _status(folder: Path) -> ServerStatus:
    cluster = Cluster(folder)
    try:
        version, instance = cluster.data_version(), cluster.instance()
    except PermissionError as error:
        raise EmbeddedServerError(
            f"{folder} can't be read ({error}): it is another user's"
        ) from error
    if version is None:
        return ServerStatus(folder, "absent", None, None, held=False, data_bytes=None)
    return ServerStatus(
        folder,
        "running" if _running(folder) else "stopped",
        version,
        None if instance is None else instance.socket_dir,
        held=(folder / "hold").exists(),
        data_bytes=_size(cluster.data),
    )


def _running(folder: Path) -> bool:
    """Whether any PostgreSQL process of the cluster lives."""
    if not (folder / "server.lock").exists():
        return False
    fd = try_lock(folder / "server.lock", EXCLUSIVE)
    if fd is None:
        return True
    os.close(fd)
    return False


def _size(folder: Path) -> int | None:
    total = 0
    try:
        for base, _, names in os.walk(folder):
            for name in names:
                total += (Path(base) / name).lstat().st_size
    except OSError:  # a file that has just gone; the size is for people
        return total or None
    return total
