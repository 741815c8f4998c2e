"""What one worker has seen: a count, times and sampled values for each shape."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from seawall.patterns.grouping import Shape
from seawall.patterns.reading import VARIABLE, Reading
from seawall.patterns.values import TopValues

_ALL_UNTIL = 4  # observations of a shape whose values are all looked at
_EVERY = 16  # of the later ones, one in so many
_STORM = 4096  # observations after which
_EVERY_IN_STORM = 256  # one in so many is


@dataclass(frozen=True, slots=True)
class Sampled:
    """Values of ``count`` messages of one shape.

    Attributes:
        tokens: the shape's.
        values: at each of its variables.
        count: messages.
    """

    tokens: tuple[str, ...]
    values: Sequence[TopValues]
    count: int

    def at(self, template: tuple[str, ...]) -> list[TopValues]:
        """The values at each variable of a template that covers the shape."""
        return list(values_at(template, self.tokens, self.values, self.count))


class Tally:
    """One shape as one worker saw it.

    Attributes:
        count: exact.
        first, last: seconds since the epoch as the caller gave them, None where none were given.
        values: of each variable of the shape; each sample weighs as much as it stands for.
        taken: of the count, those whose values were taken.
        spaced: the least of its messages' (see ``Reading``); None before the first.
    """

    __slots__ = ("count", "first", "last", "shape", "spaced", "taken", "values")

    def __init__(self, shape: Shape) -> None:
        self.shape = shape
        self.count = self.taken = 0
        self.first: float | None = None
        self.last: float | None = None
        self.spaced: int | None = None
        self.values = [TopValues() for token in shape.tokens if token == VARIABLE]

    def see(self, at: float | None) -> int:
        """Count one; how many a sample of its values now stands for, 0 for no sample."""
        self.count = count = self.count + 1
        if at is not None:
            self.seen_at(at)
        if count <= _ALL_UNTIL:
            return 1
        every = _EVERY if count <= _STORM else _EVERY_IN_STORM
        return 0 if count % every else every

    def seen_at(self, at: float) -> None:
        if self.first is None or at < self.first:
            self.first = at
        if self.last is None or at > self.last:
            self.last = at

    def lay_out(self, spaced: int | None) -> None:
        if spaced is not None and (self.spaced is None or spaced < self.spaced):
            self.spaced = spaced
            self.shape.root().lay_out(spaced)

    def sample(self, reading: Reading, weight: int) -> None:
        for values, text in zip(self.values, reading.values_for(self.shape.tokens), strict=True):
            values.add(text, weight)

    def count_as(self, other: "Tally") -> None:
        """Add what was counted for another shape, without its values."""
        self.count += other.count
        for at in (other.first, other.last):
            if at is not None:
                self.seen_at(at)

    def take(self, other: "Tally") -> None:
        """Add what was counted for a shape that this one covers."""
        self.count_as(other)
        self.taken += other.taken
        self.lay_out(other.spaced)
        for mine, theirs in zip(self.values, other.values_for(self.shape.tokens), strict=True):
            for text, weight in theirs.weights.items():
                mine.add(text, weight)

    def values_for(self, template: tuple[str, ...]) -> Iterator[TopValues]:
        """The values at each variable of a template that covers this shape."""
        return values_at(template, self.shape.tokens, self.values, self.count)

    def take_values(self) -> "Sampled":
        """The values sampled since the last taking."""
        fresh, self.taken = self.count - self.taken, self.count
        values, self.values = self.values, [TopValues() for _ in self.values]
        return Sampled(self.shape.tokens, values, fresh)

    def copy_for(self, shape: Shape) -> "Tally":
        """The same on an equal shape of another grouping."""
        copy = Tally(shape)
        copy.count, copy.first, copy.last = self.count, self.first, self.last
        copy.spaced, copy.taken = self.spaced, self.taken
        shape.root().lay_out(self.spaced)
        copy.values = [values.copy() for values in self.values]
        return copy


def values_at(
    template: tuple[str, ...], tokens: tuple[str, ...], values: Iterable[TopValues], count: int
) -> Iterator[TopValues]:
    """The values at each variable of a template, of ``count`` messages of a shape it covers."""
    those = iter(values)
    for token, wanted in zip(tokens, template, strict=True):
        here = next(those) if token == VARIABLE else TopValues({token: count})
        if wanted == VARIABLE:
            yield here


class Ledger:
    """All that one worker saw.

    Attributes:
        observed: messages in all; of two states of one worker, the larger is the later.
        tallies: by the key of their shape.
    """

    __slots__ = ("observed", "tallies")

    def __init__(self) -> None:
        self.observed = 0
        self.tallies: dict[int, Tally] = {}

    def tally(self, shape: Shape) -> Tally:
        found = self.tallies.get(shape.key)
        if found is None:
            found = self.tallies[shape.key] = Tally(shape)
        return found
