"""What a source gives: records with their positions, and what could not be read as a record."""

from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Protocol, overload, runtime_checkable


@dataclass(frozen=True, slots=True)
class Malformed:
    """Stands in the place of a record that could not be read; it is quarantined as it is.

    Attributes:
        raw: its bytes, as the source holds them.
        reason: why; the same text for the same fault.
        exception_type: the parser's exception, with its module, where there was one.
    """

    raw: bytes
    reason: str
    exception_type: str | None = None


@runtime_checkable
class RecordSource(Protocol):
    """A source that knows where each of its records stands, and can start after any of them.

    It may be read from many times. ``cp.batches``, ``cp.for_each`` and ``stream`` take it as it is,
    without ``position=``.
    """

    def chunks(self, after: Any) -> AsyncIterator[Sequence[tuple[Any, Any]]]:
        """The records behind position ``after`` (None: all), some at a time, in their order.

        Each is ``(position, record)``; the record may be ``Malformed``. Positions are unique, JSON
        values (numbers, texts, lists of these) or datetimes, and grow.
        """
        ...

    def fraction(self, position: Any) -> float | None:
        """How much of the source (0 to 1) lies up to ``position``; None where nobody knows."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class CopyForm:
    """How the server's COPY reads the records of a ``TextBlock``; the words are COPY's.

    Attributes:
        csv: CSV, else COPY's own text form.
        null: what stands for NULL, where it is not in quotes.
    """

    csv: bool = True
    delimiter: str = ","
    null: str = ""
    quote: str = '"'


class TextBlock(Sequence[tuple[Any, Any]], ABC):
    """Consecutive records of a file in a form that COPY takes, not looked at one by one.

    A ``RecordSource`` may give blocks in the place of lists; each is a batch then (with
    ``CheckpointStrategy.every_batch()``), and ``tx.load(table, batch.records)`` passes its bytes on
    to COPY. Values are texts, which the server's types read. Only what fails is looked at closer.

    As a sequence it holds ``(position, record)``, as any chunk of a source.

    Attributes:
        columns: the columns' names, in the records' order.
        form: how COPY is to read it.
        is_plain: COPY reads ``data`` as the block itself does; else records are to be taken from
            ``lines``, one by one.
        first, last: positions of the first and the last record.
    """

    columns: tuple[str, ...]
    form: CopyForm
    is_plain: bool
    first: Any
    last: Any

    def __bool__(self) -> bool:
        return True  # there is no block of no record; counting them may cost

    @property
    @abstractmethod
    def data(self) -> bytes:
        """All records as COPY takes them."""

    @abstractmethod
    def counted(self, count: int) -> None:
        """Told by whom COPY has told how many records ``data`` holds."""

    @property
    @abstractmethod
    def lines(self) -> "Sequence[bytes | Malformed]":
        """The records as COPY takes them, their line ends included; or why one can't be."""

    @abstractmethod
    def texts(self, index: int) -> Sequence[str | None]:
        """The values of one record that is not malformed, in the order of the columns."""

    @abstractmethod
    def position(self, index: int) -> Any:
        """The position of a record in its source."""

    @abstractmethod
    def record(self, index: int) -> Any:
        """One record as it is kept where it can't be loaded: a dict of texts, or ``Malformed``."""

    @abstractmethod
    def cut(self, start: int, stop: int) -> "TextBlock":
        """The records from ``start`` to before ``stop`` as a block of their own."""

    @cached_property
    def records(self) -> "BlockRecords":
        """The records without their positions."""
        return BlockRecords(self)

    @overload
    def __getitem__(self, index: int) -> tuple[Any, Any]: ...
    @overload
    def __getitem__(self, index: slice) -> "TextBlock": ...
    def __getitem__(self, index: int | slice) -> "tuple[Any, Any] | TextBlock":
        if isinstance(index, slice):
            start, stop, _ = index.indices(len(self))
            return self.cut(start, stop)
        if index < 0:
            index += len(self)
        if not 0 <= index < len(self):
            raise IndexError(index)
        return self.position(index), self.record(index)


class BlockRecords(Sequence[Any]):
    """The records of a block, each made when it is asked for."""

    __slots__ = ("block",)

    def __init__(self, block: TextBlock) -> None:
        self.block = block

    def __len__(self) -> int:
        return len(self.block)

    def __bool__(self) -> bool:
        return True

    @overload
    def __getitem__(self, index: int) -> Any: ...
    @overload
    def __getitem__(self, index: slice) -> "BlockRecords": ...
    def __getitem__(self, index: int | slice) -> Any:
        if isinstance(index, slice):
            return self.block[index].records
        return self.block[index][1]
