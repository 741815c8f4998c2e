"""How long a call usually takes: a quantile of the last ones."""

from bisect import bisect_left, insort
from collections import deque

_KEPT = 128
_ENOUGH = 16  # calls before a quantile means anything


class Latencies:
    """The last 128 latencies, in order of time and of length: ~1 µs a call."""

    __slots__ = ("_by_length", "_by_time")

    def __init__(self) -> None:
        self._by_time: deque[float] = deque()
        self._by_length: list[float] = []

    def add(self, seconds: float) -> None:
        """Note one call."""
        if len(self._by_time) == _KEPT:
            oldest = self._by_time.popleft()
            del self._by_length[bisect_left(self._by_length, oldest)]
        self._by_time.append(seconds)
        insort(self._by_length, seconds)

    def quantile(self, share: float) -> float | None:
        """The latency that ``share`` of the calls don't pass; None where too few are known."""
        number = len(self._by_length)
        if number < _ENOUGH:
            return None
        return self._by_length[min(number - 1, int(share * number))]
