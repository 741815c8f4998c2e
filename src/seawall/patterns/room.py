"""Making room in a ledger that has reached its bound."""

from collections import defaultdict

from seawall.classification import ErrorType
from seawall.patterns.grouping import Grouping, Shape, joined
from seawall.patterns.ledger import Ledger, Tally

# The shape of all that was given up; no message has it, since "<" and ">" are tokens by themselves.
OTHERS = ("<others>",)


def make_room(grouping: Grouping, full: Ledger, most: int) -> Ledger:
    """A ledger of three quarters of ``most`` tallies at the most; every count is kept.

    The tallies of one pattern become one, whose shape absorbs the like from then on. Where that is
    not enough, those seen least go together as ``OTHERS`` of their error type.
    """
    tallies = _one_for_each_group(grouping, full)
    wanted = most * 3 // 4
    if len(tallies) > wanted:
        tallies = _without_the_rarest(grouping, tallies, wanted - len(ErrorType) - 1)
    ledger = Ledger()
    ledger.observed = full.observed
    ledger.tallies = {tally.shape.key: tally for tally in tallies}
    return ledger


def _one_for_each_group(grouping: Grouping, full: Ledger) -> list[Tally]:
    groups = grouping.groups()
    members: dict[Shape, list[Tally]] = defaultdict(list)
    for tally in full.tallies.values():
        members[tally.shape.root()].append(tally)
    tallies = []
    for root, parts in members.items():
        if len(parts) == 1:
            tallies += parts
            continue
        whole = Tally(grouping.add(root.error_type, joined(groups[root]), absorbs=True))
        for part in parts:
            whole.take(part)
        tallies.append(whole)
    return tallies


def _without_the_rarest(grouping: Grouping, tallies: list[Tally], most: int) -> list[Tally]:
    tallies.sort(key=lambda tally: (-tally.count, -(tally.last or 0), tally.shape.key))
    kept = tallies[:most]
    others = {tally.shape.error_type: tally for tally in tallies if tally.shape.tokens == OTHERS}
    for tally in tallies[most:]:
        error_type = tally.shape.error_type
        if error_type not in others:
            others[error_type] = Tally(grouping.add(error_type, OTHERS))
        if others[error_type] is not tally:
            others[error_type].count += tally.count
            for at in (tally.first, tally.last):
                if at is not None:
                    others[error_type].seen_at(at)
    return list({tally.shape.key: tally for tally in (*kept, *others.values())}.values())
