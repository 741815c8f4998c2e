"""A file that is there whole or not at all."""

import os
import secrets
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiofiles
import anyio
import anyio.to_thread


@asynccontextmanager
async def atomic_file(path: Path) -> AsyncIterator[Any]:
    """A file to write bytes to, in the place of ``path`` when the block ends well.

    It is written beside it, synced and renamed; nothing stays of it when the block fails. Only its
    owner may read it, since records are not for everybody.
    """
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(6)}.tmp")
    try:
        async with aiofiles.open(temporary, "xb", opener=_private) as file:
            yield file
            await file.flush()
            # aiofiles has no fsync.
            await anyio.to_thread.run_sync(os.fsync, file.fileno())
        await anyio.to_thread.run_sync(_rename, temporary, path)
    except BaseException:
        with anyio.CancelScope(shield=True):
            await anyio.to_thread.run_sync(_remove, temporary)
        raise


def _private(name: str, flags: int) -> int:
    return os.open(name, flags, 0o600)


def _rename(temporary: Path, path: Path) -> None:
    temporary.replace(path)
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def _remove(temporary: Path) -> None:
    temporary.unlink(missing_ok=True)
