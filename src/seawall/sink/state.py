"""What the checkpoint keeps of a file sink; bounded: finished files leave it once published."""

from typing import Any

import msgspec

from seawall.errors import SinkError

FORMAT = 1


class OpenFile(msgspec.Struct, frozen=True):
    """The file in progress, as far as it is committed.

    Attributes:
        length: bytes of it that are committed; what lies behind is torn.
        record_count: records in these.
    """

    number: int
    fence: int
    length: int = 0
    record_count: int = 0


class SealedFile(msgspec.Struct, frozen=True):
    """A file that is finished by this commit, and gets its final name after it."""

    number: int
    fence: int


class SinkState(msgspec.Struct, frozen=True):
    """All of a sink's committed state.

    Attributes:
        owner: 8 hexadecimal digits of the step that owns the files.
        fence: of the worker that saved this.
        next_number: of the next file to be begun.
        sealed: files finished by the last commit; the next one finds them renamed and drops them.
    """

    owner: str
    fence: int = 0
    next_number: int = 1
    open: OpenFile | None = None
    sealed: tuple[SealedFile, ...] = ()
    format: int = FORMAT


def sealed(file: OpenFile) -> SealedFile:
    return SealedFile(file.number, file.fence)


def encode(state: SinkState) -> Any:
    """The state as JSON values."""
    return msgspec.to_builtins(state)


def decode(value: Any, owner: str) -> SinkState:
    """The state out of what the checkpoint gave back; a new one where it gave None.

    Raises:
        SinkError: it was written by a newer version of this library, or by something else.
    """
    if value is None:
        return SinkState(owner)
    try:
        state = msgspec.convert(value, SinkState)
    except msgspec.ValidationError as error:
        raise SinkError(f"the saved state of the file sink can't be read: {error}") from error
    if state.format != FORMAT:
        raise SinkError(
            f"the saved state of the file sink has format {state.format}, this version of seawall "
            f"reads {FORMAT}: go on with the version that wrote it"
        )
    return state
