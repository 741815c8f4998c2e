"""PatternMiner: messages in, patterns out."""

from collections.abc import Iterable, Mapping
from typing import Any, Self
from uuid import uuid4

from seawall.classification import ErrorType
from seawall.config import Range
from seawall.patterns.grouping import Grouping, Shape, key_of
from seawall.patterns.known import KnownShape, Template
from seawall.patterns.ledger import Ledger, Sampled, Tally
from seawall.patterns.listing import patterns_of
from seawall.patterns.pattern import ErrorPattern
from seawall.patterns.reading import (
    Reading,
    read_message,
    says_nothing,
    shortened,
)
from seawall.patterns.room import OTHERS, make_room
from seawall.patterns.rules import MARK, NUMBERS
from seawall.patterns.state import check_versions, dump_state, load_ledger
from seawall.stack import lone_member, stack_fingerprint

_RECENT = 8_192  # messages without their numbers whose tally is known without reading them
_LONGEST_RECENT = 512  # characters

_Recent = tuple[str, ErrorType | None, str | None]


class PatternMiner:
    """Finds the patterns in messages as they come: ``"user <*> not found"``.

    Each pattern's id comes from its content. Miners on any number of workers, merged in any order
    and any number of times, agree on patterns, ids and counts, until one of them has reached
    ``max_templates``. A pattern's id changes when it turns out to be more general than it
    seemed: ``match`` and ``resolve`` give the id that is good now.

    A miner may be shared between tasks of one thread, not between threads. Its values quote the
    messages: mask secrets before.

    Args:
        max_templates: how many shapes of messages a worker remembers, 64 or more. Beyond it those
            of one pattern become one, then the least seen are counted together as ``<others>``.
        worker: the name of the worker, used by one living miner at a time; by default a new one.

    Raises:
        InvalidConfigError: if ``max_templates`` is out of range.
    """

    def __init__(self, *, max_templates: int = 5_000, worker: str | None = None) -> None:
        Range(int, 64).check("max_templates", max_templates)
        self.worker = worker or uuid4().hex
        self._max_templates = max_templates
        self._grouping = Grouping()
        self._own = Ledger()
        self._ledgers = {self.worker: self._own}
        self._recent: dict[_Recent, Tally] = {}
        self._learned: dict[int, KnownShape] = {}
        self._sampled: dict[int, Tally] = {}

    @property
    def observed(self) -> int:
        """Messages observed, by this miner and those merged into it."""
        return sum(ledger.observed for ledger in self._ledgers.values())

    def observe(
        self,
        message: str,
        *,
        error_type: ErrorType | None = None,
        at: float | None = None,
        fingerprint: str | None = None,
    ) -> str:
        """Count a message; the id of its pattern.

        Args:
            message: its first 4,096 characters are looked at.
            error_type: errors of different types never share a pattern.
            at: when it happened, seconds since the epoch.
            fingerprint: tells messages apart that hold no word (``stack_fingerprint``).
        """
        message = shortened(message)
        masked = NUMBERS.sub(MARK, message)
        recent = (masked, error_type, fingerprint)
        tally = self._recent.get(recent)
        reading = None
        if tally is None:
            reading = _read(message, fingerprint)
            tally = self._tally(error_type, reading)
            tally.lay_out(reading.spaced)
            self._remember(recent, tally)
        self._own.observed += 1
        weight = tally.see(at)
        if weight:
            self._sampled[tally.shape.key] = tally
            tally.sample(reading or _read(message, fingerprint), weight)
        return tally.shape.root().pattern_id

    def observe_exception(
        self, exc: BaseException, *, error_type: ErrorType | None = None, at: float | None = None
    ) -> str:
        """Count an exception by its message, or by its stack where that says nothing.

        A group with one member is that member.
        """
        exc = lone_member(exc)
        message = _text_of(exc)
        fingerprint = stack_fingerprint(exc) if self._is_wordless(message, error_type) else None
        return self.observe(message, error_type=error_type, at=at, fingerprint=fingerprint)

    def match(
        self, message: str, *, error_type: ErrorType | None = None, fingerprint: str | None = None
    ) -> str | None:
        """The id of a message's pattern now, None where there is none; nothing is counted."""
        message = shortened(message)
        tally = self._recent.get((NUMBERS.sub(MARK, message), error_type, fingerprint))
        if tally is not None:
            return tally.shape.root().pattern_id
        shape = self._grouping.find(error_type, _read(message, fingerprint).tokens)
        if shape is None:  # it may be among those given up
            shape = self._grouping.get(key_of(error_type, OTHERS))
        return None if shape is None else shape.root().pattern_id

    def resolve(self, pattern_id: str) -> str | None:
        """The id now of the pattern that had this id once; None where it is not known."""
        shape = self._find(pattern_id)
        return None if shape is None else shape.pattern_id

    def _find(self, pattern_id: str) -> Shape | None:
        """The root of the shape that has this key."""
        try:
            shape = self._grouping.get(int(pattern_id, 16))
        except ValueError:
            return None
        return None if shape is None else shape.root()

    def patterns(self) -> list[ErrorPattern]:
        """All patterns, the most frequent first."""
        return patterns_of(self._ledgers.values())

    def merge(self, other: "PatternMiner") -> Self:
        """Take in what another miner knows, of itself and of those merged into it.

        Any order gives the same; the same state again, or an older one, changes nothing.
        """
        for worker, ledger in other._ledgers.items():  # noqa: SLF001 - of the same class
            mine = self._ledgers.get(worker)
            if mine is None or mine.observed < ledger.observed:
                self._adopt(worker, ledger)
        return self

    def learn(self, shapes: Iterable[KnownShape]) -> None:
        """Take in shapes that other workers met; each belongs to the pattern that they say."""
        shapes = list(shapes)
        for each in shapes:
            shape = self._grouping.add(each.error_type, each.tokens, absorbs=each.absorbs)
            shape.root().lay_out(each.spaced)
            self._learned[shape.key] = each
        for each in shapes:
            one, other = (
                self._grouping.get(int(each.key, 16)),
                self._grouping.get(int(each.pattern_id, 16)),
            )
            if one is not None and other is not None:
                self._grouping.unite(one, other)

    def forget_learned(self) -> None:
        """Hold no longer what was learned: it will be learned anew."""
        self._learned.clear()

    @property
    def learned(self) -> Mapping[int, KnownShape]:
        """What others told, by the shape's key."""
        return self._learned

    def untold(self) -> list[KnownShape]:
        """Shapes that this miner met or made and that it has not learned: others should."""
        kept = [each for each in self._grouping.fresh if not self._is_told(each)]
        self._grouping.fresh = kept
        return [_known(each) for each in kept]

    def shape_of(self, pattern_id: str) -> KnownShape | None:
        """The shape that gave the pattern its id; None where it is not known."""
        shape = self._grouping.get(int(pattern_id, 16))
        return None if shape is None else _known(shape)

    def _is_told(self, shape: Shape) -> bool:
        known = self._learned.get(shape.key)
        return known is not None and known.absorbs >= shape.absorbs

    def template_of(self, pattern_id: str) -> Template | None:
        """What the messages of the pattern that had this id once have in common."""
        shape = self._find(pattern_id)
        return None if shape is None else Template(shape.template, shape.spaced)

    def take_values(self) -> dict[str, list[Sampled]]:
        """The values sampled since the last time, by pattern, shape for shape."""
        sampled, self._sampled = self._sampled, {}
        taken: dict[str, list[Sampled]] = {}
        for tally in sampled.values():
            taken.setdefault(tally.shape.root().pattern_id, []).append(tally.take_values())
        return taken

    def dump(self) -> dict[str, Any]:
        """All of the state as values for ``json.dumps``."""
        return dump_state(self.worker, self._max_templates, self._ledgers)

    @classmethod
    def load(cls, state: Mapping[str, Any]) -> Self:
        """The miner that was dumped; it goes on as the same worker.

        Raises:
            InvalidConfigError: if another version's rules made the state.
        """
        check_versions(state)
        miner = cls(max_templates=state["max_templates"], worker=state["worker"])
        for worker, ledger in state["workers"].items():
            miner._ledgers[worker] = load_ledger(ledger, miner._grouping)
        miner._own = miner._ledgers[miner.worker]
        return miner

    def _is_wordless(self, message: str, error_type: ErrorType | None) -> bool:
        message = shortened(message)
        known = self._recent.get((NUMBERS.sub(MARK, message), error_type, None))
        return says_nothing(known.shape.tokens if known else read_message(message).tokens)

    def _tally(self, error_type: ErrorType | None, reading: Reading) -> Tally:
        known = self._shape(error_type, reading)
        if known is None and len(self._own.tallies) >= self._max_templates:
            self._make_room()
            known = self._shape(error_type, reading)
        return self._own.tally(known or self._grouping.add(error_type, reading.tokens))

    def _shape(self, error_type: ErrorType | None, reading: Reading) -> Shape | None:
        """The shape that this worker counts the message under, None where it is new to it."""
        tally = self._own.tallies.get(key_of(error_type, reading.tokens))
        return tally.shape if tally else self._grouping.absorbing(error_type, reading.tokens)

    def _remember(self, recent: _Recent, tally: Tally) -> None:
        if len(recent[0]) <= _LONGEST_RECENT:
            if len(self._recent) >= _RECENT:
                self._recent.clear()
            self._recent[recent] = tally

    def _adopt(self, worker: str, ledger: Ledger) -> None:
        copy = Ledger()
        copy.observed = ledger.observed
        for key, tally in ledger.tallies.items():
            shape = tally.shape
            known = self._grouping.add(shape.error_type, shape.tokens, absorbs=shape.absorbs)
            copy.tallies[key] = tally.copy_for(known)
        self._ledgers[worker] = copy
        if worker == self.worker:
            self._own = copy
            self._recent.clear()

    def _make_room(self) -> None:
        self._own = make_room(self._grouping, self._own, self._max_templates)
        self._grouping = Grouping()
        ledgers = {**self._ledgers, self.worker: self._own}
        for worker, ledger in ledgers.items():
            self._adopt(worker, ledger)
        self._sampled.clear()
        self.learn(list(self._learned.values()))


def _known(shape: Shape) -> KnownShape:
    root = shape.root()
    return KnownShape(
        f"{shape.key:016x}",
        shape.error_type,
        shape.tokens,
        root.spaced,
        shape.absorbs,
        root.pattern_id,
    )


def _read(message: str, fingerprint: str | None) -> Reading:
    reading = read_message(message)
    if fingerprint is not None and says_nothing(reading.tokens):
        # One token: the only word of a message never becomes a variable.
        tokens = (*reading.tokens, f"at {fingerprint}")
        return Reading(tokens, reading.values, reading.spaced | 1 << len(reading.tokens))
    return reading


def _text_of(exc: BaseException) -> str:
    try:
        return str(exc)
    except Exception:  # a broken __str__ must not hide the failure that it belongs to
        return ""
