"""Advisory locks of the kernel on files: freed by any kind of death."""

import os
from collections.abc import Awaitable, Callable
from pathlib import Path

from seawall.clock import MACHINE_CLOCK
from seawall.errors import EmbeddedServerError

try:
    import fcntl
except ImportError:  # Windows: the server refuses it before it locks anything
    SHARED, EXCLUSIVE = 1, 2
else:
    SHARED, EXCLUSIVE = fcntl.LOCK_SH, fcntl.LOCK_EX


def try_lock(path: Path, how: int) -> int | None:
    """A file descriptor that holds the lock until it is closed; None if somebody else has it.

    Raises:
        EmbeddedServerError: the file system knows no locks.
    """
    fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(fd, how | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(fd)
        return None
    except OSError as error:
        os.close(fd)
        raise EmbeddedServerError(
            f"{path.parent} is on a file system without locks ({error}): choose a local folder"
        ) from error
    return fd


async def lock(
    path: Path, how: int, *, give_up_at: float, pause: float, why: Callable[[], str]
) -> int:
    """Wait for the lock.

    Raises:
        EmbeddedServerError: not within the time; ``why`` tells what was waited for.
    """
    while (fd := try_lock(path, how)) is None:
        await wait_or_give_up(give_up_at, pause, why)
    return fd


async def wait_or_give_up(give_up_at: float, pause: float, why: Callable[[], str]) -> None:
    if MACHINE_CLOCK.monotonic() > give_up_at:
        raise EmbeddedServerError(f"timed out: {why()}")
    sleep: Awaitable[None] = MACHINE_CLOCK.sleep(pause)
    await sleep
