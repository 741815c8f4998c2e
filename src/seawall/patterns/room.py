"""Making room in a ledger that has reached its bound: the like becomes one, the rest is counted.

From here on the outcome depends on what came first: the price of bounded memory.
"""

from collections import defaultdict
from collections.abc import Iterable

from seawall.classification import ErrorType
from seawall.patterns.grouping import Grouping, Shape, Tokens
from seawall.patterns.ledger import Ledger, Tally
from seawall.patterns.reading import VARIABLE, is_word

# The shape of all that was given up; no message has it, since "<" and ">" are tokens by themselves.
OTHERS = ("<others>",)
_VARIED = 16  # different words at one place, among messages of one length and beginning
_ALIKE = 8  # shapes that are equal but for such places


def make_room(grouping: Grouping, full: Ledger, most: int) -> Ledger:
    """A ledger of half of ``most`` tallies at the most; every count is kept.

    The tallies of one pattern become one, whose shape absorbs the like from then on. Where that is
    not enough, so do those that vary in several places at once, which the grouping can't tell; at
    last those seen least go together as ``OTHERS`` of their error type.
    """
    wanted = most // 2
    tallies = _one_for_each_group(grouping, full)
    if len(tallies) > wanted:
        tallies = _one_for_all_alike(grouping, tallies)
    if len(tallies) > wanted:
        tallies = _without_the_rarest(grouping, tallies, wanted - len(ErrorType) - 1)
    ledger = Ledger()
    ledger.observed = full.observed
    ledger.tallies = {tally.shape.key: tally for tally in tallies}
    return ledger


def _one_for_each_group(grouping: Grouping, full: Ledger) -> list[Tally]:
    members: dict[Shape, list[Tally]] = defaultdict(list)
    for tally in full.tallies.values():
        members[tally.shape.root()].append(tally)
    return [
        _sum(grouping, root, root.template, parts) if len(parts) > 1 else parts[0]
        for root, parts in members.items()
    ]


def _one_for_all_alike(grouping: Grouping, tallies: list[Tally]) -> list[Tally]:
    similar: dict[tuple[ErrorType | None, int, str], list[Tally]] = defaultdict(list)
    for tally in tallies:
        tokens = tally.shape.tokens
        similar[tally.shape.error_type, len(tokens), tokens[0] if tokens else ""].append(tally)
    found = []
    for parts in similar.values():
        alike: dict[Tokens, list[Tally]] = defaultdict(list)
        varied = _varied_places(part.shape.tokens for part in parts)
        for part in parts:
            alike[_blanked(part.shape.tokens, varied)].append(part)
        for tokens, equal in alike.items():
            if len(equal) < _ALIKE or not any(map(is_word, tokens)):
                found += equal
            else:
                found.append(_sum(grouping, equal[0].shape, tokens, equal))
    return found


def _varied_places(messages: Iterable[Tokens]) -> set[int]:
    places = (set(words) for words in zip(*messages, strict=True))
    return {position for position, words in enumerate(places) if len(words) >= _VARIED}


def _blanked(tokens: Tokens, places: set[int]) -> Tokens:
    return tuple(
        VARIABLE if position in places and is_word(token) else token
        for position, token in enumerate(tokens)
    )


def _sum(grouping: Grouping, like: Shape, tokens: Tokens, parts: list[Tally]) -> Tally:
    whole = Tally(grouping.add(like.error_type, tokens, absorbs=True))
    for part in parts:
        whole.take(part)
    return whole


def _without_the_rarest(grouping: Grouping, tallies: list[Tally], most: int) -> list[Tally]:
    tallies.sort(key=lambda tally: (-tally.count, -(tally.last or 0), tally.shape.key))
    others = {tally.shape.error_type: tally for tally in tallies if tally.shape.tokens == OTHERS}
    for tally in tallies[most:]:
        error_type = tally.shape.error_type
        if error_type not in others:
            others[error_type] = Tally(grouping.add(error_type, OTHERS))
        if others[error_type] is not tally:
            others[error_type].count_as(tally)
    return list({tally.shape.key: tally for tally in (*tallies[:most], *others.values())}.values())
