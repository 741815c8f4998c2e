"""What is tuned, within which bounds, and what was counted of retried calls. Pure."""

import math
from dataclasses import dataclass
from enum import StrEnum

# Edges of the buckets that waits are counted in, seconds: half powers of two from 1/16 to 1,448.
EDGES = tuple(2.0 ** (half / 2) for half in range(-8, 22))
NEVER = len(EDGES)  # stands for "not while it was watched"


class AutoTuning(StrEnum):
    """What becomes of what the retries show."""

    OFF = "off"
    ADVISE = "advise"
    ACT = "act"


@dataclass(frozen=True, slots=True, kw_only=True)
class Timing:
    """The numbers of a retry policy that are tuned; seconds."""

    max_retries: int
    initial_delay: float
    backoff_factor: float
    max_delay: float

    def waits(self) -> list[float]:
        """The wait before each retry, without its random part."""
        found: list[float] = []
        wait = min(self.initial_delay, self.max_delay)
        for _ in range(self.max_retries):
            found.append(wait)
            wait = min(self.max_delay, wait * self.backoff_factor)
        return found

    def __str__(self) -> str:
        if not self.max_retries:
            return "no retry"
        waits = self.waits()
        shown = ", ".join(f"{each:.3g}" for each in waits[:6])
        more = ", …" if len(waits) > 6 else ""
        noun = "retry" if self.max_retries == 1 else "retries"
        return f"{self.max_retries} {noun} after {shown}{more} s"


@dataclass(frozen=True, slots=True, kw_only=True)
class Bounds:
    """What the user allows.

    Attributes:
        min_delay: seconds; no first wait is shorter.
        max_delay: seconds; no wait is longer.
        min_retries, max_retries: of them.
        failure_seconds: what a call that fails in the end costs, in seconds of waiting: a wait is
            worth its time where it saves more.
    """

    min_delay: float = 0.1
    max_delay: float = 60.0
    min_retries: int = 1
    max_retries: int = 8
    failure_seconds: float = 300.0


@dataclass(frozen=True, slots=True)
class Interval:
    """Calls that still failed after ``failed_until`` and had recovered by ``succeeded_at``.

    Both are buckets of the seconds waited since the first failure: an interval-censored time to
    recovery. ``failed_until`` is -1 where no retry had failed yet, ``succeeded_at`` NEVER where
    none succeeded.
    """

    failed_until: int
    succeeded_at: int


def bucket_of(seconds: float) -> int:
    """The bucket of a wait: the first whose edge is not below it."""
    if seconds <= EDGES[0]:
        return 0
    # A hair below: a wait of exactly an edge belongs to it, whatever the rounding.
    at = math.ceil(2 * math.log2(seconds) + 8 - 1e-9)
    return min(at, len(EDGES) - 1)


def interval_of(waits: tuple[float, ...], *, succeeded: bool) -> Interval:
    """What one call showed: its waits, and whether the retry after the last one succeeded."""
    total = sum(waits)
    if not succeeded:
        return Interval(bucket_of(total), NEVER)
    before = total - waits[-1]
    return Interval(bucket_of(before) if len(waits) > 1 else -1, bucket_of(total))
