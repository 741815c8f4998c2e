"""The file sink's work, in a thread: back to the committed bytes, then append, seal, publish.

The order is what makes it exactly once. Bytes, the file and its folder are synced before the
batch's transaction commits their length; a finished file gets its name after the commit that
says so, by whoever comes next.
"""

import contextlib
from collections.abc import Iterable
from pathlib import Path
from typing import Any, NoReturn

import msgspec

from seawall.errors import InvalidConfigError, SinkError, StaleRunError
from seawall.sink.appending import Appending, Rules
from seawall.sink.disk import Disk
from seawall.sink.layout import Layout
from seawall.sink.state import OpenFile, SinkState, sealed

_STALE = "another worker has taken over the step, and its files"


class Writer:
    """The files of one sink, on one thread at a time.

    What is on disk may be ahead of what is committed: every call begins with going back to the
    state that it is given. ``committed`` says whether that one is, or was saved earlier in the
    same transaction: then nothing of it may be published yet.
    """

    def __init__(self, layout: Layout, rules: Rules, disk: Disk) -> None:
        self._layout, self._rules, self._disk = layout, rules, disk
        self._fence = 0
        self._owner = ""
        self._fresh = True
        self._descriptor: int | None = None
        self._number = 0  # of the file that the descriptor is of
        self._mine: set[int] = set()  # files in progress that this fence has on disk
        self._clean_fence = 0  # the fence under which the folder was cleaned last

    # -- called by the sink ----------------------------------------------------------------------

    def write(
        self, base: SinkState, fence: int, records: Iterable[Any], *, committed: bool
    ) -> SinkState:
        """Go back to ``base`` and append ``records``; synced when it returns the state to commit.

        Raises:
            SinkError: the files are not as ``base`` says.
            InvalidConfigError: the folder holds files of another run, or another writer's.
            StaleRunError: a newer worker's files are there.
        """
        state = self._begin(base, fence, committed=committed)
        batch = Appending(self, state, self._rules)
        try:
            for record in records:
                batch.add(record if type(record) is bytes else self._rules.encode(record))
            return batch.end()
        except Exception:
            # Gives the space back at once where the disk is full. Where even this fails, the
            # next call does it: what lies behind the committed length is never read.
            with contextlib.suppress(OSError, SinkError):
                self._rewind(state)
            raise

    def seal(self, base: SinkState, fence: int, *, committed: bool) -> SinkState:
        """Go back to ``base`` and finish the file in progress; the state to commit."""
        state = self._begin(base, fence, committed=committed)
        if state.open is None:
            return state
        self.close()
        return replace(state, open=None, sealed=(*state.sealed, sealed(state.open)))

    def settle(self, state: SinkState, fence: int) -> None:
        """Publish what the committed ``state`` says is finished; remove what nobody needs."""
        self._own(fence)
        self._publish(state)
        self._clean(state)

    def close(self) -> None:
        """Give the descriptor back; what isn't committed is cut off by whoever comes next."""
        descriptor, self._descriptor = self._descriptor, None
        if descriptor is not None:
            self._disk.close(descriptor)

    # -- for the batch that is being appended ----------------------------------------------------

    def create(self, number: int) -> OpenFile:
        """Begin the file of this number."""
        path = self._path(number)
        taken = self._layout.finished(number)
        if taken.exists():
            self._refuse(taken)
        try:
            descriptor = self._disk.create(path)
        except FileExistsError:
            raise InvalidConfigError(
                f"{path} is being written by another sink under the same fence: give each "
                "partition a name of its own, and use one FileSink for all batches of a step"
            ) from None
        self.close()
        self._descriptor, self._number = descriptor, number
        self._mine.add(number)
        return OpenFile(number, self._fence)

    def _refuse(self, taken: Path) -> NoReturn:
        if self._fresh:
            raise InvalidConfigError(
                f"{taken} is there already, and this step has written nothing yet: give each run, "
                "step and partition a folder or a name of its own"
            )
        raise StaleRunError(
            f"{taken} is there already: another worker has taken over the step (or the step was "
            "resumed from an earlier checkpoint: then move away the files behind it)"
        )

    def append(self, data: bytes, offset: int) -> None:
        self._disk.write(self._held(), data, offset)

    def sync(self) -> None:
        self._disk.sync(self._held())

    def sync_folder(self) -> None:
        self._disk.sync_folder(self._layout.folder)

    def _held(self) -> int:
        if self._descriptor is None:
            raise SinkError("no file is in progress")
        return self._descriptor

    def _path(self, number: int) -> Path:
        return self._layout.open(number, self._owner, self._fence)

    # -- back to a state -------------------------------------------------------------------------

    def _begin(self, base: SinkState, fence: int, *, committed: bool) -> SinkState:
        if base.fence > fence:
            raise StaleRunError(_STALE)
        self._own(fence)
        self._owner, self._fresh = base.owner, base.fence == 0
        self._disk.make_folder(self._layout.folder)
        state = replace(base, fence=fence)
        if committed:
            self._publish(base)
            self._clean(base)
            state = replace(state, sealed=())
        return self._rewind(state)

    def _own(self, fence: int) -> None:
        if fence != self._fence:
            self.close()
            self._fence, self._mine = fence, set()

    def _rewind(self, state: SinkState) -> SinkState:
        """Bring the disk to ``state``; its open file is then one of this fence, and held."""
        keep = {each.number for each in state.sealed}
        if state.open is not None:
            keep.add(state.open.number)
        for number in self._mine - keep:
            if number == self._number:
                self.close()
            self._disk.remove(self._path(number))
            self._mine.discard(number)
        if state.open is None:
            self.close()
            return state
        return replace(state, open=self._resume(state.open))

    def _resume(self, file: OpenFile) -> OpenFile:
        if file.number in self._mine or file.fence == self._fence:
            self._hold(file.number)
            self._cut(self._held(), file, self._path(file.number))
        else:
            self._take_over(file)
        return msgspec.structs.replace(file, fence=self._fence)

    def _hold(self, number: int) -> None:
        if self._descriptor is None or self._number != number:
            self.close()
            self._descriptor = self._opened(self._path(number))
            self._number = number
            self._mine.add(number)

    def _opened(self, path: Path) -> int:
        try:
            return self._disk.open(path)
        except FileNotFoundError:
            fences = [fence for fence, _, _ in self._layout.open_files(self._owner)]
            if any(fence > self._fence for fence in fences):
                raise StaleRunError(_STALE) from None
            raise SinkError(
                f"{path} is gone, which holds committed records of the file in progress"
            ) from None

    def _cut(self, descriptor: int, file: OpenFile, path: Path) -> None:
        size = self._disk.size(descriptor)
        if size < file.length:
            raise SinkError(
                f"{path} has {size:,} bytes, of which {file.length:,} are committed: it was cut off"
            )
        if size > file.length:
            self._disk.truncate(descriptor, file.length)

    def _take_over(self, file: OpenFile) -> None:
        """Copy what is committed of an older fence's file into one of this fence.

        Its writer may only be frozen: thawed, it goes on appending to its own file, which nobody
        will read.
        """
        path = self._layout.open(file.number, self._owner, file.fence)
        source = self._opened(path)
        try:
            size = self._disk.size(source)
            if size < file.length:
                raise SinkError(
                    f"{path} has {size:,} bytes, of which {file.length:,} are committed: it was "
                    "cut off"
                )
            self.create(file.number)
            self._disk.copy(source, self._held(), file.length)
        except Exception:
            # Half a copy must not be taken for the file in a next try.
            self._forget(file.number)
            raise
        finally:
            self._disk.close(source)
        self._disk.sync(self._held())
        self.sync_folder()

    def _forget(self, number: int) -> None:
        if number in self._mine:
            self.close()
            self._mine.discard(number)
            with contextlib.suppress(OSError):
                self._disk.remove(self._path(number))

    # -- after a commit --------------------------------------------------------------------------

    def _publish(self, state: SinkState) -> None:
        """Give the finished files their names; those that have them already are passed over."""
        for file in state.sealed:
            source = self._layout.open(file.number, state.owner, file.fence)
            target = self._layout.finished(file.number)
            try:
                self._disk.publish(source, target)
            except FileNotFoundError:
                pass  # published before, here or by another worker, and maybe taken away since
            except FileExistsError:
                raise SinkError(
                    f"{target} is in the way of the finished file {source}: move it, and run again"
                ) from None
            if file.fence == self._fence:
                self._mine.discard(file.number)
        if state.sealed:
            self.sync_folder()

    def _clean(self, state: SinkState) -> None:
        """Once a commit of this fence has happened, older fences' files are of no use."""
        if state.fence != self._fence or self._clean_fence == self._fence:
            return
        for fence, _, path in self._layout.open_files(state.owner):
            if fence < self._fence:
                self._disk.remove(path)
        self._clean_fence = self._fence


def replace(state: SinkState, **changes: Any) -> SinkState:
    return msgspec.structs.replace(state, **changes)
