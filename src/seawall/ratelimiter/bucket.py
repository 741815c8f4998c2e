"""A token bucket without a bucket: pure arithmetic on one moment (GCRA, ITU-T I.371).

The moment at which the bucket would be full again stands for the tokens in it; each token takes
``interval`` seconds to come back, and the bucket holds ``burst`` of them.
"""

_NEVER = 1e7  # seconds a token, where tokens don't come by time
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

    def put_back(self) -> None:
        """Return a token that was taken and not used."""
        self.full_at -= self.interval

    def hold(self, tokens: int, now: float) -> None:
        """Hold so many tokens, and get no more by time: they come in slices."""
        self.interval = _NEVER
        self.slack = (tokens - 1) * _NEVER + _ROUNDING
        self.full_at = now

    def held(self, now: float) -> int:
        """The tokens that are left, of those that ``hold`` was given."""
        return max(0, int((now + self.slack - self.full_at) / self.interval + 1))

    def refill(self, interval: float, burst: int, now: float) -> None:
        """Get tokens by time again, beginning with none."""
        self.interval, self.slack = interval, (burst - 1) * interval + _ROUNDING
        self.full_at = now + burst * interval
