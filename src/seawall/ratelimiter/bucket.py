"""A token bucket without a bucket: pure arithmetic on one moment (GCRA, ITU-T I.371).

The moment at which the bucket would be full again stands for the tokens in it; each token takes
``interval`` seconds to come back, and the bucket holds ``burst`` of them.
"""

_ROUNDING = 1e-7  # seconds: a token is not withheld for a sum's last digit


class Bucket:
    """The tokens of one limit; times are readings of one monotonic clock.

    Attributes:
        full_at: the moment at which all tokens are there again.
        interval: seconds a token.
        slack: seconds that ``full_at`` may lie ahead for a token to be left.
    """

    __slots__ = ("full_at", "interval", "slack")

    def __init__(self, interval: float, burst: int) -> None:
        self.interval, self.slack = interval, (burst - 1) * interval + _ROUNDING
        self.full_at = float("-inf")

    def wait(self, now: float) -> float:
        """Seconds until a token is there; 0 where one is."""
        return max(0.0, self.full_at - self.slack - now)

    def take(self, now: float) -> None:
        """Take the token that ``wait`` said is there."""
        self.full_at = max(self.full_at, now) + self.interval
