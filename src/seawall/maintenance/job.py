"""A piece of work that the fleet does again and again."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from seawall.config import Range

_SECONDS = Range(float, low_open=True)
_FIRST_RETRY = 30.0  # seconds, twice as many each time, until it is due by itself


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """Work that one worker of the fleet does, every so often.

    It must be safe to be done twice: a worker that is frozen in it is taken for dead when its lease
    is over, and may wake up while another does it.

    Attributes:
        name: unique in the fleet.
        every: seconds from one end to the next beginning.
        work: what is done; an exception is logged and recorded, and it is done again soon: after 30
            s, after twice as long each time it fails again, but no later than ``every``.
        timeout: seconds that it may take; it is cancelled then, which is a failure.

    Raises:
        InvalidConfigError: a number is out of range.
    """

    name: str
    every: float
    work: Callable[[], Awaitable[object]]
    timeout: float = 60.0

    def __post_init__(self) -> None:
        _SECONDS.check("every", self.every)
        _SECONDS.check("timeout", self.timeout)

    @property
    def first_retry(self) -> float:
        """Seconds after its first failure in a row."""
        return min(self.every, _FIRST_RETRY)
