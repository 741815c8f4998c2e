"""How a record is kept in ``quarantined_records.payload``, as the parts that read it see it."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from seawall.quarantine import codec


def _as_it_is(text: str) -> str:
    return text


@dataclass(frozen=True, slots=True)
class PayloadForm:
    """From records to what is stored, and back.

    Attributes:
        opened: from what is stored to the codec's text.
        sealed: from the codec's text to what is stored.
    """

    opened: Callable[[str], str] = _as_it_is
    sealed: Callable[[str], str] = _as_it_is

    def encode(self, record: object) -> str:
        """What is stored for a record.

        Raises:
            CodecError: it can't be stored so that it comes back equal.
        """
        return self.sealed(codec.encode(record))

    def decode(self, stored: str) -> Any:
        """The record.

        Raises:
            CodecError: it can't be brought back here.
        """
        return codec.decode(self.opened(stored))


PLAIN_FORM = PayloadForm()
