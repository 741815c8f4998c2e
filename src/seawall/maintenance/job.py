"""A piece of work that the fleet does again and again."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from seawall.config import Range

_SECONDS = Range(float, low_open=True)


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """Work that one worker of the fleet does, every so often.

    It must be safe to be done twice: a worker that is frozen in it is taken for dead when
    ``timeout`` is over, and may wake up while another does it.

    Attributes:
        name: unique in the fleet.
        every: seconds from one end to the next beginning.
        work: what is done; an exception is logged and recorded, and it is done again when due.
        timeout: seconds that it may take; it is cancelled then, and another worker may claim it.

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
