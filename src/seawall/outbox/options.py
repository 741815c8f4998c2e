"""How a relay delivers."""

from dataclasses import dataclass
from typing import Literal

from seawall.config import Range
from seawall.errors import InvalidConfigError
from seawall.redelivery import Redelivery


@dataclass(frozen=True, slots=True, kw_only=True)
class RelayOptions(Redelivery):
    """How a relay delivers.

    Attributes:
        concurrency: deliveries at a time.
        batch: messages taken ahead; a relay that dies keeps them from others for a lease.
        ordered: "key": those of one key one after the other, in the order of their publishing; a
            failing one holds back the later ones of its key, and no other. None: as they come.
        max_attempts: beginnings of a handler after which a message that still fails, or whose
            relays died in it, is given up (``dead``); the later ones of its key go on.
        delay: seconds until the next one, twice as many each time.
        max_delay: seconds that this wait never passes; a server's Retry-After may.
        keep_hours: how long delivered messages stay to be looked at; 0: deleted at once.
        lease_seconds: how long a dead relay's messages stay its own.

    Raises:
        InvalidConfigError: a value is out of range.
    """

    concurrency: int = 10
    batch: int = 100
    ordered: Literal["key"] | None = "key"
    max_attempts: int = 10
    delay: float = 1.0
    max_delay: float = 3600.0
    keep_hours: float = 0.0
    lease_seconds: float = 30.0

    def __post_init__(self) -> None:
        Redelivery.__post_init__(self)  # not super(): slots make the class anew
        Range(int, 1).check("concurrency", self.concurrency)
        Range(int, 1).check("batch", self.batch)
        Range(float).check("keep_hours", self.keep_hours)
        Range(float, low_open=True).check("lease_seconds", self.lease_seconds)
        if self.ordered not in ("key", None):
            raise InvalidConfigError(f"ordered={self.ordered!r}: must be 'key' or None")
