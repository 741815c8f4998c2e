"""Which shapes of messages are one pattern: decided by the set of them, in any order.

Shapes that differ in one word only are one pattern as soon as enough different words were seen
there; the shape with a variable in that word's place then counts as seen, too, and so on. More
shapes can only bring more together, hence any order leads to the same groups.
"""

from collections.abc import Iterable, Iterator
from functools import lru_cache
from hashlib import blake2b
from itertools import pairwise

from seawall.classification import ErrorType
from seawall.patterns.reading import VARIABLE, is_word

# How many different words make their place a variable: the first word names what the message is
# about, and a short message has little else that is equal.
_ENOUGH = 4
_ENOUGH_IN_SHORT = 8
_ENOUGH_AT_START = 16
_SHORT = 3  # constant words left
_64_BITS = (1 << 64) - 1

Tokens = tuple[str, ...]


class Shape:
    """One shape of messages: tokens of one error type. Its root stands for its whole group.

    Attributes:
        key: from its content alone.
        absorbs: whether all shapes that it covers belong to it (it stands for shapes given up).
        pattern_id: of a root: the group's, which is the key of its most general shape.
        template: of a root: what all of its group have in common.
        spaced: of a root: the least of its messages' (see ``Reading``); None before the first.
    """

    __slots__ = (
        "absorbs", "error_type", "key", "parent", "pattern_id", "rank", "size", "spaced",
        "template", "tokens",
    )  # fmt: skip

    def __init__(self, error_type: ErrorType | None, tokens: Tokens, key: int) -> None:
        self.error_type = error_type
        self.tokens = tokens
        self.key = key
        self.absorbs = False
        self.parent = self
        self.size = 1
        self.rank = (-tokens.count(VARIABLE), key)
        self.pattern_id = f"{key:016x}"
        self.template = tokens
        self.spaced: int | None = None

    def root(self) -> "Shape":
        shape = self
        while shape.parent is not shape:
            shape.parent = shape.parent.parent
            shape = shape.parent
        return shape

    def lay_out(self, spaced: int | None) -> None:
        """A message of its group has spaces there."""
        if spaced is not None and (self.spaced is None or spaced < self.spaced):
            self.spaced = spaced

    def covers(self, tokens: Tokens) -> bool:
        return len(tokens) == len(self.tokens) and all(
            mine in (VARIABLE, token) for mine, token in zip(self.tokens, tokens, strict=True)
        )


@lru_cache(maxsize=16_384)
def _part(position: int, token: str) -> int:
    text = f"{position}\0{token}".encode("utf-8", "surrogatepass")
    return int.from_bytes(blake2b(text, digest_size=8).digest(), "big")


def key_of(error_type: ErrorType | None, tokens: Tokens) -> int:
    """The shape's key: a sum over its places, so that one place is changed at no cost."""
    total = _part(-1, error_type.value if error_type else "")
    for position, token in enumerate(tokens):
        total += _part(position, token)
    return total & _64_BITS


def _places(shape: Shape) -> Iterator[tuple[int, int, int]]:
    """The words that may turn out to vary: position, key with a variable there, how many needed."""
    words = sum(map(is_word, shape.tokens))
    if words < 2:  # nothing would be left
        return
    usual = _ENOUGH_IN_SHORT if words - 1 < _SHORT else _ENOUGH
    for position, (token, following) in enumerate(pairwise((*shape.tokens, ""))):
        if following != "=" and is_word(token):  # what stands before "=" is the name of a value
            general = shape.key - _part(position, token) + _part(position, VARIABLE)
            yield position, general & _64_BITS, usual if position else _ENOUGH_AT_START


class Grouping:
    """All shapes known, and their groups."""

    def __init__(self) -> None:
        self._shapes: dict[int, Shape] = {}
        self.fresh: list[Shape] = []  # those new since somebody emptied it
        # Shapes equal but for one place, until these are enough: by key and position.
        self._waiting: dict[tuple[int, int], list[Shape]] = {}
        self._absorbing: dict[tuple[ErrorType | None, int], list[Shape]] = {}

    def __iter__(self) -> Iterator[Shape]:
        return iter(self._shapes.values())

    def get(self, key: int) -> Shape | None:
        return self._shapes.get(key)

    def add(self, error_type: ErrorType | None, tokens: Tokens, *, absorbs: bool = False) -> Shape:
        """The shape of these tokens, known from now on."""
        key = key_of(error_type, tokens)
        shape = self._shapes.get(key)
        if shape is None:
            shape = self._new(error_type, tokens, key)
            added = [shape]
            while added:
                self._compare(added.pop(), added)
        if absorbs and not shape.absorbs:
            self._absorb(shape)
        return shape

    def find(self, error_type: ErrorType | None, tokens: Tokens) -> Shape | None:
        """The shape that stands for these tokens, if there is one; nothing is added."""
        key = key_of(error_type, tokens)
        shape = self._shapes.get(key) or self.absorbing(error_type, tokens)
        if shape is not None:
            return shape
        for _, general, _ in _places(Shape(error_type, tokens, key)):
            if general in self._shapes:
                return self._shapes[general]
        return None

    def absorbing(self, error_type: ErrorType | None, tokens: Tokens) -> Shape | None:
        """The shape that takes in these tokens because shapes like them were given up."""
        for shape in self._absorbing.get((error_type, len(tokens)), ()):
            if shape.covers(tokens):
                return shape
        return None

    def _new(self, error_type: ErrorType | None, tokens: Tokens, key: int) -> Shape:
        shape = self._shapes[key] = Shape(error_type, tokens, key)
        self.fresh.append(shape)
        return shape

    def unite(self, one: Shape, other: Shape) -> None:
        """These are one pattern, because another worker found so."""
        _unite(one, other)

    def _compare(self, shape: Shape, added: list[Shape]) -> None:
        for position, token in enumerate(shape.tokens):
            if token == VARIABLE:
                for other in self._waiting.pop((shape.key, position), ()):
                    _unite(shape, other)
        for position, key, enough in _places(shape):
            general = self._shapes.get(key)
            if general is None:
                waiting = self._waiting.setdefault((key, position), [])
                waiting.append(shape)
                if len(waiting) < enough:
                    continue
                tokens = (*shape.tokens[:position], VARIABLE, *shape.tokens[position + 1 :])
                general = self._new(shape.error_type, tokens, key)
                added.append(general)
            _unite(shape, general)
        for other in self._absorbing.get((shape.error_type, len(shape.tokens)), ()):
            if other.covers(shape.tokens):
                _unite(shape, other)

    def _absorb(self, shape: Shape) -> None:
        shape.absorbs = True
        self.fresh.append(shape)
        self._absorbing.setdefault((shape.error_type, len(shape.tokens)), []).append(shape)
        for other in self:
            if other.error_type is shape.error_type and shape.covers(other.tokens):
                _unite(shape, other)


def joined(templates: Iterable[Tokens]) -> Tokens:
    """What templates of one group have in common: variables wherever they differ."""
    return tuple(
        first if all(token == first for token in others) else VARIABLE
        for first, *others in zip(*templates, strict=True)
    )


def _unite(one: Shape, other: Shape) -> None:
    big, small = one.root(), other.root()
    if big is small:
        return
    if big.size < small.size:
        big, small = small, big
    small.parent = big
    big.size += small.size
    big.template = joined((big.template, small.template))
    big.lay_out(small.spaced)
    if small.rank < big.rank:
        big.rank, big.pattern_id = small.rank, small.pattern_id
