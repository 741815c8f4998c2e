"""What exporting and importing need of the database."""

from collections.abc import AsyncIterator, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from typing import Protocol
from uuid import UUID

from seawall.quarantine.record import RecordFilter
from seawall.quarantine.transfer.line import Line


@dataclass(frozen=True, slots=True)
class Held:
    """What stands in the database under a key: its status, and the codec's text."""

    status: str
    text: str


@dataclass(frozen=True, slots=True)
class Edited:
    """A text of the codec, to be put in the place of a record's own."""

    record_id: UUID
    text: str


class ExportSession(Protocol):
    """One unchanging view of the records."""

    def pages(self, which: RecordFilter) -> AsyncIterator[Sequence[Line]]:
        """The records in the order of their keys; payloads are in the codec's form."""
        ...


class ImportBatch(Protocol):
    """One transaction of an import."""

    async def held(self, record_ids: Sequence[UUID]) -> dict[UUID, Held]:
        """Those of the records that are there, locked."""
        ...

    async def add(self, lines: Sequence[Line]) -> int:
        """Insert records with their history; those that are there by now are left; how many."""
        ...

    async def edit(self, edits: Sequence[Edited], actor: str, why: str) -> None:
        """Put payloads in the place of the records' own, which are kept."""
        ...


class TransferStore(Protocol):
    """Where quarantined records are read from and brought to."""

    def reading(self) -> AbstractAsyncContextManager[ExportSession]:
        """Open a view for one export."""
        ...

    def writing(self) -> AbstractAsyncContextManager[ImportBatch]:
        """Open a transaction for some lines; committed on leaving."""
        ...
