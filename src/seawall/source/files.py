"""Many files as one source."""

import os
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import aclosing
from pathlib import Path
from typing import Any, cast

import anyio.to_thread

from seawall.errors import InvalidConfigError, SourceChangedError
from seawall.records import RecordSource


class FilesSource:
    """The files of a folder, one after the other in the order of their names: a ``RecordSource``.

    A position is ``[name, position in the file]``; the name is the path below the folder, with
    slashes. Files that are added later are read by the next reading if their names sort behind that
    of the last one read, as names with a date or a growing number do; one that sorts before it is
    never read, and neither is what is added to a file after the reading went past it. The files
    are listed when a reading begins.

    Args:
        folder: where they are.
        pattern: which of them, as ``Path.glob`` takes it.
        source: makes the source of one file from its path: ``CsvSource``, ``JsonLinesSource``, or
            a function that gives them options.
        missing_ok: go on with the next file where the one of the last position is gone, as files
            are that are moved away once they are loaded. (Nobody can tell whether it had been read
            to its end: move only those that sort before the file of the last position.)

    May be read from many times, and by several tasks at once.
    """

    def __init__(
        self,
        folder: "str | os.PathLike[str]",
        pattern: str,
        source: Callable[[Path], RecordSource],
        *,
        missing_ok: bool = False,
    ) -> None:
        if not callable(source):
            raise InvalidConfigError(
                f"source={source!r}: must make a source of a path, as CsvSource does"
            )
        self.folder, self._pattern, self._source = Path(folder), pattern, source
        self._missing_ok = missing_ok
        self._sizes: dict[str, int] | None = None  # by name, in order

    def __repr__(self) -> str:
        return f"FilesSource({str(self.folder)!r}, {self._pattern!r})"

    def _listed(self) -> dict[str, int]:
        if not self.folder.is_dir():
            raise SourceChangedError(f"{self.folder}: there is no such folder")
        files = [path for path in self.folder.glob(self._pattern) if path.is_file()]
        named = {path.relative_to(self.folder).as_posix(): path for path in files}
        return {name: named[name].stat().st_size for name in sorted(named)}

    async def chunks(self, after: Any) -> AsyncIterator[Sequence[tuple[Any, Any]]]:
        """The records behind ``after`` (None: all); see ``RecordSource``.

        Raises:
            InvalidConfigError: ``after`` is no position of this source.
            SourceChangedError: the folder, or the file of ``after``, is gone (see ``missing_ok``).
        """
        name, place = _parts(after)
        self._sizes = await anyio.to_thread.run_sync(self._listed)
        if name and name not in self._sizes and not self._missing_ok:
            raise SourceChangedError(
                f"{self.folder / name}: it was being read, and is gone. Bring it back, or pass "
                "missing_ok=True to go on with the next"
            )
        for each in self._sizes:
            if each < name:
                continue
            source = self._source(self.folder / each)
            chunks = source.chunks(place if each == name else None)
            # What is closed early closes its file at once, not when it is collected.
            async with aclosing(cast("Any", chunks)):
                async for chunk in chunks:
                    yield [([each, position], record) for position, record in chunk]

    def fraction(self, position: Any) -> float | None:
        """The share of the files' bytes up to ``position``, of those listed by the last reading."""
        name, place = _parts(position)
        if self._sizes is None:
            return None
        total = sum(self._sizes.values())
        done = float(sum(size for each, size in self._sizes.items() if each < name))
        if name in self._sizes:
            within = self._source(self.folder / name).fraction(place)
            if within is None:
                return None
            done += within * self._sizes[name]
        return min(1.0, done / total) if total else 1.0


def _parts(position: Any) -> tuple[str, Any]:
    if position is None:
        return "", None
    if isinstance(position, list | tuple) and len(position) == 2:
        name, place = position
        if isinstance(name, str):
            return name, place
    raise InvalidConfigError(f"position {position!r}: must be [file name, position in the file]")
