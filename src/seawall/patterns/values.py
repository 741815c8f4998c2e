"""The values seen most at one place, in bounded memory (Misra and Gries, weighted)."""

from collections import Counter
from collections.abc import Iterable

MOST_VALUES = 8


class TopValues:
    """At most ``MOST_VALUES`` values, each with a lower bound of its weight.

    A value with more than an eighth of all the weight is among them.
    """

    __slots__ = ("weights",)

    def __init__(self, weights: dict[str, int] | None = None) -> None:
        self.weights = weights or {}

    def add(self, value: str, weight: int = 1) -> None:
        weights = self.weights
        if value in weights:
            weights[value] += weight
        elif len(weights) < MOST_VALUES:
            weights[value] = weight
        else:
            taken = min(weight, *weights.values())
            self.weights = {text: left - taken for text, left in weights.items() if left > taken}
            if weight > taken:
                self.weights[value] = weight - taken

    def copy(self) -> "TopValues":
        return TopValues(dict(self.weights))


def top_of(parts: Iterable[TopValues]) -> tuple[tuple[str, int], ...]:
    """The values of several lists together, heaviest first, whatever the order of the lists."""
    total: Counter[str] = Counter()
    for part in parts:
        total.update(part.weights)
    heaviest = sorted(total.items(), key=lambda item: (-item[1], item[0]))
    return tuple(heaviest[:MOST_VALUES])
