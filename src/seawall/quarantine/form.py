"""How a record's text is kept in the columns of ``quarantined_records``.

The codec's text is what the parts that read and write records deal in; this is the one place where
it becomes what is stored, and the other way round.
"""

from typing import Any, NamedTuple
from uuid import UUID

from seawall.quarantine import codec

# What a payload belongs to: record id, run id, step.
Owner = tuple[UUID, str, str]


class Stored(NamedTuple):
    """The columns that hold a record."""

    payload: str
    redacted: bool = False


class PayloadForm:
    """Records are stored as the codec writes them."""

    def text(self, stored: Stored, _owner: Owner) -> str:
        """The codec's text.

        Raises:
            CodecError: it can't be read.
        """
        return stored.payload

    def open(self, stored: Stored, owner: Owner) -> Any:
        """The record.

        Raises:
            CodecError: it can't be brought back here.
        """
        return codec.decode(self.text(stored, owner))

    def sealed(self, text: str, _owner: Owner) -> Stored:
        """The columns for a text of the codec."""
        return Stored(text)


PLAIN_FORM = PayloadForm()
