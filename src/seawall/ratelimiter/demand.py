"""What one worker asks of the fleet's tokens, and when: pure arithmetic on its own moments."""

from seawall.slices import TokenAnswer

_IDLE_SECONDS = 1.0  # unused for so long, tokens go back to who can use them
_LONGEST_PAUSE = 1.0  # another worker may have given tokens back


class Demand:
    """One limiter's part in the fleet. Times are readings of one monotonic clock.

    Attributes:
        holders: workers that share the limit, at the last answer.
        refused: calls refused since the last answer.
        asks_at: the moment before which the fleet has no token.
    """

    __slots__ = (
        "_answered_at", "_burst", "_held", "_interval", "_is_short", "_left", "_slice", "_used_at",
        "asks_at", "holders", "refused",
    )  # fmt: skip

    def __init__(self, burst: int, interval: float, now: float) -> None:
        self._burst, self._interval = burst, interval
        self.holders, self.refused, self.asks_at = 1, 0, now
        # Tokens to hold ahead of need; none where the burst is too small to be split.
        self._slice = min(1, burst // 2)
        self._left, self._answered_at = float(burst), now
        self._held, self._used_at, self._is_short = 0, now, False

    def wait(self, waiting: int, now: float) -> float:
        """Seconds until a token for one more call behind ``waiting`` others, as far as is known."""
        interval = self._interval * self.holders
        left = min(self._burst, self._left + (now - self._answered_at) / interval)
        return max(0.0, waiting + 1 - left) * interval

    def wanted(self, held: int, waiting: int, now: float) -> int:
        """Tokens to ask for; below 0: to give back."""
        is_refusing = self.refused > 0
        is_short = held == 0 and (waiting > 0 or is_refusing)
        if is_short or held < self._held:
            self._used_at = now
        self._held, self._is_short = held, is_short
        if now - self._used_at > _IDLE_SECONDS:
            return -held
        if now < self.asks_at:
            return 0
        largest = max(1, self._burst // self.holders)
        return max(0, min(largest, self._slice + waiting + is_refusing) - held)

    def answered(self, held: int, answer: TokenAnswer, now: float) -> None:
        """Learn from an answer that leaves this worker with ``held`` tokens."""
        # Twice as much ahead where it was used up, a little less where half of it was not.
        ahead = 2 * self._slice if self._is_short else self._slice - (2 * self._held > self._slice)
        self._slice = min(max(1, ahead), self._burst // (2 * answer.holders))
        self.holders, self.refused, self._held = answer.holders, 0, held
        self._left, self._answered_at = answer.left, now
        self.asks_at = now + min(answer.wait, _LONGEST_PAUSE)
