"""Trying again what failed: how long to wait, when to give up, and what to write down of it."""

from dataclasses import dataclass

from seawall.classification import retry_after
from seawall.classification.reading import text_of
from seawall.config import Range
from seawall.masking import Masker, default_masker
from seawall.text import recordable

_LAST_DOUBLING = 64  # no wait is left to double by then, and a float holds it


@dataclass(frozen=True, slots=True, kw_only=True)
class Redelivery:
    """When a call or message that failed is tried again, and when it is given up.

    Attributes:
        max_attempts: tries after which one that still fails is given up.
        delay: seconds until the next try, twice as many each time.
        max_delay: seconds that this wait never passes; a server's Retry-After may.

    Raises:
        InvalidConfigError: a value is out of range.
    """

    max_attempts: int = 5
    delay: float = 60.0
    max_delay: float = 86_400.0

    def __post_init__(self) -> None:
        Range(int, 1).check("max_attempts", self.max_attempts)
        Range(float, low_open=True).check("delay", self.delay)
        Range(float, self.delay).check("max_delay", self.max_delay)

    def next_wait(self, attempts: int, error: BaseException) -> float:
        """Seconds until what was tried ``attempts`` times may be tried again."""
        doubled = self.delay * 2.0 ** min(attempts - 1, _LAST_DOUBLING)
        return max(min(doubled, self.max_delay), retry_after(error) or 0.0)


def reason_of(error: BaseException, masker: Masker = default_masker) -> str:
    """The failure as it may be recorded: its type and text, secrets masked."""
    return recordable(f"{type(error).__qualname__}: {text_of(error)}", masker)
