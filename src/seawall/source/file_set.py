"""Files of any kind, named one by one, as one source of blocks."""

from collections.abc import AsyncIterator, Sequence
from contextlib import aclosing
from pathlib import Path
from typing import Any, Protocol, cast

import anyio.to_thread

from seawall.errors import InvalidConfigError, SourceChangedError
from seawall.records import TextBlock


class NamedBlocks(Protocol):
    """A file as a source of blocks, whose positions begin with its name."""

    @property
    def name(self) -> str: ...
    @property
    def path(self) -> Path: ...
    def chunks(self, after: Any) -> AsyncIterator[TextBlock]: ...
    def fraction(self, position: Any) -> float | None: ...


class FileSet:
    """The files one after the other, in the order given: a ``RecordSource``.

    Positions are the files' own, which begin with a name.

    Args:
        files: at least one; their names differ.

    Raises:
        InvalidConfigError: a file is named twice.
    """

    def __init__(self, files: Sequence[NamedBlocks]) -> None:
        self._files = {each.name: each for each in files}
        if len(self._files) < len(files):
            names = [each.name for each in files]
            twice = sorted({name for name in names if names.count(name) > 1})
            raise InvalidConfigError(f"{', '.join(twice)}: named twice; each file is loaded once")
        self._sizes: dict[str, int] | None = None

    async def chunks(self, after: Any) -> AsyncIterator[TextBlock]:
        """The blocks behind ``after`` (None: all).

        Raises:
            SourceChangedError: the file of ``after`` is not among them.
            OSError: a file can't be read.
        """
        names = list(self._files)
        self._sizes = await anyio.to_thread.run_sync(self._measured)
        start = self._index(names, after)
        for place, name in enumerate(names[start:], start):
            chunks = self._files[name].chunks(after if place == start else None)
            async with aclosing(cast("Any", chunks)):
                async for block in chunks:
                    yield block

    def _index(self, names: list[str], after: Any) -> int:
        if after is None:
            return 0
        if after[0] not in names:
            raise SourceChangedError(
                f"{after[0]}: it was being loaded, and is not named any more. Name the files of "
                "the run again, or begin a new run"
            )
        return names.index(after[0])

    def _measured(self) -> dict[str, int]:
        return {name: each.path.stat().st_size for name, each in self._files.items()}

    def fraction(self, position: Any) -> float | None:
        """The share of the files' bytes up to ``position``."""
        if self._sizes is None or position is None:
            return 0.0 if position is None else None
        total, done = sum(self._sizes.values()), 0.0
        for name, size in self._sizes.items():
            if name == position[0]:
                within = self._files[name].fraction(position)
                if within is None:
                    return None
                done += within * size
                break
            done += size
        return min(1.0, done / total) if total else 1.0
