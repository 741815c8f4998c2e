"""Which attributes set the failures apart from the successes. Pure."""

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from seawall.analysis.model import CERTAIN, Basis, Cause, Rate, Season, Share
from seawall.analysis.store import OTHER, PAIR, ValueCount
from seawall.statistics import (
    Association,
    Table,
    associate,
    binomial_at_least,
    holm,
    wilson_interval,
)

_CONTRASTED = ("step", "host", "release", "partition", "step × host", "step × release")
_ERRORS = ("error_type", "exception")
_NEW_WITHIN = timedelta(hours=2)  # a release is out a while before its first failure
_MOST_CAUSES = 10
_FEWEST_SUDDEN = 3
_FEWEST_BEFORE = 20
_SUDDEN_P = 1e-6
_BOUND = 0.997
_NEARLY_ALL = 0.9
_SMALLEST_LIFT = 1.2  # below it an attribute is certain, perhaps, but explains nothing


@dataclass(frozen=True, slots=True)
class _Candidate:
    count: ValueCount
    table: Table
    basis: Basis

    @property
    def key(self) -> tuple[str, str, Basis]:
        return self.count.dimension, self.count.value, self.basis


def find_causes(
    counts: Sequence[ValueCount],
    *,
    work: tuple[int, int],
    work_before: tuple[int, int],
    since: datetime,
    is_rise: bool,
    sudden: Sequence[ValueCount] = (),
    seasons: Mapping[str, Season],
) -> tuple[Cause, ...]:
    """The causes, the strongest first.

    Args:
        counts: of every value, in the window and before it.
        work: failures and total of the window.
        work_before: failures and total before it.
        since: where the window begins.
        is_rise: the rate rose there, so that before and after may be compared.
        sudden: see ``sudden_failures``.
        seasons: of hours and weekdays.
    """
    candidates = [*_contrasts(counts), *(_sudden(each) for each in sudden)]
    if is_rise:
        candidates += _errors(counts, work, work_before)
        candidates += _appeared(counts, work_before, since)
    found = [(each, associate(each.table)) for each in candidates]
    corrected = holm([association.p for _, association in found])
    certain = [
        (each, association, 1 - p)
        for (each, association), p in zip(found, corrected, strict=True)
        if 1 - p >= CERTAIN and association.lift >= _SMALLEST_LIFT
    ]
    # Those who stand against others at the same time say more than a before and after.
    certain.sort(key=lambda each: (each[0].basis is not Basis.CONTRAST, -each[0].table.gain))
    kept = _without_explained(
        [each[0] for each in certain], {(each.dimension, each.value): each for each in counts}
    )
    causes = [
        _cause(each, association, certainty)
        for each, association, certainty in certain
        if each.key in kept
    ]
    return (*causes[:_MOST_CAUSES], *_seasonal(seasons))


def _cause(each: _Candidate, association: Association, certainty: float) -> Cause:
    return Cause(
        each.count.dimension,
        each.count.value,
        Rate.of(each.table.failures, each.table.with_it),
        association.lift,
        association.interval,
        certainty,
        each.basis,
    )


def _contrasts(counts: Sequence[ValueCount]) -> Iterator[_Candidate]:
    """Each value against the others of its attribute, in the window."""
    groups: dict[str, list[ValueCount]] = defaultdict(list)
    for each in counts:
        if each.dimension in _CONTRASTED and each.total:
            groups[each.dimension].append(each)
    for found in groups.values():
        failures, total = sum(each.failures for each in found), sum(each.total for each in found)
        for each in found:
            if each.failures and each.value != OTHER and each.total < total:
                yield _Candidate(each, _against(each.failures, each.total, failures, total),
                                 Basis.CONTRAST)  # fmt: skip


def _errors(
    counts: Sequence[ValueCount], work: tuple[int, int], before: tuple[int, int]
) -> Iterator[_Candidate]:
    """Each kind of failure: of the window's work, and of the work before."""
    for each in counts:
        if each.dimension in _ERRORS and each.failures and each.value != OTHER:
            table = Table(
                each.failures,
                max(0, work[1] - each.failures),
                each.failures_before,
                max(0, before[1] - each.failures_before),
            )
            yield _Candidate(each, table, Basis.ERRORS)


def _appeared(
    counts: Sequence[ValueCount], before: tuple[int, int], since: datetime
) -> Iterator[_Candidate]:
    """A release that came when the rate rose: its work, and all work before."""
    for each in counts:
        is_new = each.dimension == "release" and each.first_seen >= since - _NEW_WITHIN
        if is_new and each.failures and each.value != OTHER:
            failures, total = before
            table = Table(
                each.failures, each.total - each.failures, failures, max(0, total - failures)
            )
            yield _Candidate(each, table, Basis.APPEARED)


def _sudden(count: ValueCount) -> _Candidate:
    """What fails now, against itself before."""
    before = count.failures_before, count.total_before - count.failures_before
    table = Table(count.failures, count.total - count.failures, *before)
    return _Candidate(count, table, Basis.SUDDEN)


def sudden_failures(counts: Sequence[ValueCount], factor: float = 1.0) -> list[ValueCount]:
    """Values that fail in the window far more often than they ever did, the surest first.

    Quicker than a change of the whole rate where one part of many fails. By an exact binomial test
    against the upper bound of what is known of before, so strict that looking every minute for a
    month finds one by chance in a hundred months.

    Args:
        counts: of every value, in the window and before it.
        factor: by how much the rate of this time of day and week usually differs from the mean.
    """
    tried = [
        each
        for each in counts
        if each.dimension in _CONTRASTED
        and each.value != OTHER
        and each.failures >= _FEWEST_SUDDEN
        and each.total_before >= _FEWEST_BEFORE
    ]
    chances = holm([_chance_of(each, factor) for each in tried])
    found = [(p, each) for p, each in zip(chances, tried, strict=True) if p < _SUDDEN_P]
    found.sort(key=lambda each: (each[0], each[1].total, each[1].dimension))
    return [each for _, each in found]


def _chance_of(count: ValueCount, factor: float) -> float:
    usual = wilson_interval(count.failures_before, count.total_before, _BOUND)
    return binomial_at_least(count.failures, count.total, min(1.0, usual.high * factor))


def _without_explained(
    candidates: Sequence[_Candidate], counts: Mapping[tuple[str, str], ValueCount]
) -> set[tuple[str, str, Basis]]:
    """The candidates that still stand out once stronger ones are taken out of them."""
    kept: list[_Candidate] = []
    for each in candidates:
        contrasts = [other for other in kept if other.basis is Basis.CONTRAST]
        if each.basis is Basis.CONTRAST:
            stands = all(_stands_beside(each, stronger, counts) for stronger in contrasts)
        else:
            stands = not any(
                other.count.value == each.count.value or _is_part(other.count, each.count)
                for other in contrasts
            )
        if stands:
            kept.append(each)
    return {each.key for each in kept}


def _stands_beside(
    weaker: _Candidate, stronger: _Candidate, counts: Mapping[tuple[str, str], ValueCount]
) -> bool:
    w, s = weaker.count, stronger.count
    if _is_part(w, s):  # a step fails; is it worse on this host?
        rest = _against(w.failures, w.total, s.failures, s.total)
    elif _is_part(s, w):  # a step fails on one host; does it fail elsewhere too?
        failures, total = w.failures - s.failures, w.total - s.total
        table = weaker.table
        all_failures = table.failures + table.other_failures - s.failures
        if failures <= 0 or total <= 0:
            return False
        rest = _against(failures, total, all_failures, table.total - s.total)
    elif _share_a_part(w, s):  # how many have both isn't counted: all that could, do
        return w.failures > s.failures
    elif both := _both(w, s, counts):  # one host fails, and one step: is it their meeting?
        rest = _against(
            max(0, w.failures - both.failures),
            max(0, w.total - both.total),
            max(0, weaker.table.failures + weaker.table.other_failures - s.failures),
            max(0, weaker.table.total - s.total),
        )
    else:  # unknown how many have both; where the stronger has nearly all, nothing is left
        everything = stronger.table.failures + stronger.table.other_failures
        return w.failures > s.failures or s.failures < _NEARLY_ALL * everything
    association = associate(rest)
    return association.p < 1 - CERTAIN and association.lift >= _SMALLEST_LIFT


def _is_part(pair: ValueCount, whole: ValueCount) -> bool:
    """Whether ``whole`` is one of the two that ``pair`` is of."""
    if PAIR not in pair.dimension or PAIR in whole.dimension:
        return False
    first, second = pair.dimension.split(PAIR)
    return (whole.dimension == first and pair.value.startswith(whole.value + PAIR)) or (
        whole.dimension == second and pair.value.endswith(PAIR + whole.value)
    )


def _share_a_part(one: ValueCount, other: ValueCount) -> bool:
    """Whether both are pairs, of one step with different things."""
    if PAIR not in one.dimension or PAIR not in other.dimension:
        return False
    same_step = one.value.split(PAIR)[0] == other.value.split(PAIR)[0]
    return same_step and one.dimension != other.dimension


def _both(
    one: ValueCount, other: ValueCount, counts: Mapping[tuple[str, str], ValueCount]
) -> ValueCount | None:
    """The work with both, where it is counted."""
    for first, second in ((one, other), (other, one)):
        key = f"{first.dimension}{PAIR}{second.dimension}", f"{first.value}{PAIR}{second.value}"
        if key in counts:
            return counts[key]
    return None


def _against(failures: int, total: int, all_failures: int, everything: int) -> Table:
    """Some of the work against the rest of it."""
    other_failures = max(0, all_failures - failures)
    others = max(0, everything - total)
    return Table(
        failures, max(0, total - failures), other_failures, max(0, others - other_failures)
    )


def _seasonal(seasons: Mapping[str, Season]) -> Iterator[Cause]:
    for dimension, season in seasons.items():
        if season.is_certain:
            group, rate = season.groups[0]
            failures = sum(each.failures for _, each in season.groups)
            total = sum(each.total for _, each in season.groups)
            found = associate(_against(rate.failures, rate.total, failures, total))
            yield Cause(
                dimension, str(group), rate, found.lift, found.interval, season.certainty,
                Basis.SEASON,
            )  # fmt: skip


def shares(counts: Sequence[ValueCount], failures: int) -> tuple[Share, ...]:
    """The parts of error types and exceptions in the window's failures, the largest first."""
    found = [
        Share(each.dimension, each.value, each.failures, each.failures / failures)
        for each in counts
        if each.dimension in _ERRORS and each.failures and failures
    ]
    found.sort(key=lambda each: (each.dimension, -each.failures, each.value))
    return tuple(found)
