"""The names of a sink's files: which are finished, which are in progress, and whose they are.

A finished file is ``part-000001.jsonl``. One in progress begins with a dot, which readers and
globs pass over, and tells its writer: ``.part-000002.3fa9c2d1.f7.open`` is of the step ``3fa9c2d1``
under fence 7. A worker writes only into files of its own fence, so that one that was frozen, and
thaws after it was replaced, can't write into anything that is read.
"""

import re
from dataclasses import dataclass
from pathlib import Path

from seawall.errors import InvalidConfigError


@dataclass(frozen=True, slots=True)
class Layout:
    """Where a sink's files lie.

    Raises:
        InvalidConfigError: ``name`` or ``suffix`` can't be part of a file's name.
    """

    folder: Path
    name: str = "part"
    suffix: str = ".jsonl"

    def __post_init__(self) -> None:
        if not self.name or self.name.startswith(".") or _separated(self.name):
            raise InvalidConfigError(
                f"name={self.name!r}: must be the beginning of a file's name, without '/' and not "
                "with a dot first"
            )
        if _separated(self.suffix) or (self.suffix and not self.suffix.startswith(".")):
            raise InvalidConfigError(
                f"suffix={self.suffix!r}: must be the end of a file's name, such as '.jsonl'"
            )

    def finished(self, number: int) -> Path:
        return self.folder / f"{self.name}-{number:06d}{self.suffix}"

    def open(self, number: int, owner: str, fence: int) -> Path:
        return self.folder / f".{self.name}-{number:06d}.{owner}.f{fence}.open"

    def finished_files(self) -> list[Path]:
        """The finished files, in the order in which they were written."""
        pattern = re.compile(f"{re.escape(self.name)}-([0-9]{{6,}}){re.escape(self.suffix)}")
        found = [
            (int(match[1]), path)
            for path in self.folder.iterdir()
            if (match := pattern.fullmatch(path.name))
        ]
        return [path for _, path in sorted(found)]

    def open_files(self, owner: str) -> list[tuple[int, int, Path]]:
        """(fence, number, path) of what this step's workers have in progress, or left behind."""
        pattern = re.compile(
            f"\\.{re.escape(self.name)}-([0-9]{{6,}})\\.{owner}\\.f([0-9]+)\\.open"
        )
        return sorted(
            (int(match[2]), int(match[1]), path)
            for path in self.folder.iterdir()
            if (match := pattern.fullmatch(path.name))
        )


def committed_files(
    folder: str | Path, *, name: str = "part", suffix: str = ".jsonl"
) -> list[Path]:
    """The finished files of a ``FileSink``, in order: whole, committed, and never changed again.

    Records committed into the file in progress are not among them: they are seen once it is
    finished, by its size or by ``FileSink.finish``. ``suffix`` ends in ``.gz`` for compressed ones.
    """
    return Layout(Path(folder), name, suffix).finished_files()


def _separated(text: str) -> bool:
    return "/" in text or "\\" in text or "\x00" in text
