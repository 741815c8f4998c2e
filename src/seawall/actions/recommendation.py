"""What to do about a failure, ranked by what worked: the rules. Pure."""

import bisect
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import accumulate

from seawall.actions.knowledge import CLASS, Entry, Match
from seawall.actions.store import MOST_ATTEMPTS, Counted
from seawall.classification import ErrorType
from seawall.statistics import wilson_interval

# Below so many cases of a pattern, those of its error type in the pipeline speak.
_ENOUGH = 10
_SURE = 20  # cases from which on a failing action is advised against
_VAIN = 0.2  # share of successes, at the best, of an action that doesn't help
_WEAK = 0.5  # where even the best automatic action succeeds less often, somebody must look
_MOST_ENTRIES = 3
# What the knowledge base says counts as much as an action that surely works in such a share.
_OWN, _SPECIFIC, _GENERIC, _ESCALATE = 0.95, 0.6, 0.3, 0.55
_AUTOMATIC = ("retry", "fallback", "quarantine", "resume", "breaker_opened")
_TELLS_NOTHING = ("escalate", "tune")

_SAID = {
    "retry": "Let it be retried.",
    "fallback": "Keep the fallback: it answers in the operation's place.",
    "quarantine": "Set the bad records aside and reprocess them later.",
    "resume": "Start the run again under the same id.",
    "breaker_opened": "Leave the service alone until its breaker closes again.",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class RecoveryAction:
    """A recommendation.

    Attributes:
        rank: 1 for what to do first.
        action: what to do, a sentence.
        reason: why.
        name: under which it is recorded: a knowledge base entry's id, or ``retry``, ``fallback``,
            ``quarantine``, ``resume``, ``breaker_opened``, ``escalate``.
        kind: ``fix`` for what a person does, else which of seawall's own actions it is.
        evidence: what came of it so far, a sentence; None where it was never tried.
        cases: how often it was tried, and ``successes`` how often it worked.
        confidence: the share of successes (0 to 1) that is sure: the lower end of its 95 %
            interval, so that few cases don't win; None where it was never tried.
        median_attempts: of the calls that it worked for; None where nothing is retried.
        error_type: the recovery class that it is for.
        pattern_id: the error pattern, where one is known.
        command: something to run first.
        docs: a page of the documentation.
    """

    rank: int
    action: str
    reason: str
    name: str
    kind: str
    error_type: ErrorType
    pattern_id: str | None = None
    evidence: str | None = None
    cases: int = 0
    successes: int = 0
    confidence: float | None = None
    median_attempts: int | None = None
    command: str | None = None
    docs: str | None = None


@dataclass(slots=True)
class Tally:
    """What came of an action: of a pattern, or of an error type."""

    of_pattern: bool
    successes: int = 0
    failures: int = 0
    by_attempts: dict[int, int] = field(default_factory=dict)

    @property
    def cases(self) -> int:
        return self.successes + self.failures

    @property
    def sure_share(self) -> float:
        """The lower end of the interval of its success rate."""
        return wilson_interval(self.successes, self.cases).low if self.cases else 0.0

    @property
    def is_vain(self) -> bool:
        if self.cases < _SURE:
            return False
        return wilson_interval(self.successes, self.cases).high < _VAIN

    @property
    def median_attempts(self) -> int | None:
        """Of the successes; None where none took more than one."""
        if not self.by_attempts or max(self.by_attempts) < 2:
            return None
        numbers = sorted(self.by_attempts)
        sums = list(accumulate(self.by_attempts[each] for each in numbers))
        return numbers[bisect.bisect_left(sums, sums[-1] / 2)]


@dataclass(frozen=True, slots=True)
class Case:
    """A failure that something is to be recommended for."""

    error_type: ErrorType
    matches: Sequence[Match]
    pattern_id: str | None = None
    what: str = ""  # the pattern's message, for reasons
    own: frozenset[str] = frozenset()  # ids of the user's entries
    weight: int = 1  # how often it happens


def tallies_of(counts: Iterable[Counted], error_type: ErrorType) -> dict[str, Tally]:
    """By action: the pattern's own where there are enough, else those of the error type."""
    own: dict[str, Tally] = {}
    wide: dict[str, Tally] = {}
    for each in counts:
        if not each.by_pattern and each.error_type is not error_type:
            continue
        into = own if each.by_pattern else wide
        tally = into.setdefault(each.action, Tally(each.by_pattern))
        tally.successes += each.succeeded
        tally.failures += each.failed
        if each.succeeded:
            known = tally.by_attempts.get(each.attempts, 0)
            tally.by_attempts[each.attempts] = known + each.succeeded
    for action, tally in own.items():
        if tally.cases >= _ENOUGH or action not in wide:
            wide[action] = tally
    return wide


def recommend(case: Case, tallies: Mapping[str, Tally]) -> list[tuple[float, RecoveryAction]]:
    """What to do about one failure, with a score; the best first, unranked."""
    found: list[tuple[float, RecoveryAction]] = []
    said: set[str] = set()
    for match in _chosen(case.matches):
        entry = match.entry
        action = "breaker_opened" if entry.kind == "breaker" else entry.kind
        tally = tallies.get(entry.id) or tallies.get(action)
        said.update((entry.id, action))
        prior = _OWN if entry.id in case.own else _GENERIC if match.strength <= CLASS else _SPECIFIC
        found.append((_score(prior, tally), _of_entry(case, entry, tally)))
    for action, tally in tallies.items():
        if action not in said and action not in _TELLS_NOTHING:
            found.append((_score(0.0, tally), _of_tally(case, action, tally)))
    escalation = _escalation(case, tallies)
    if escalation is not None:
        found.append((_ESCALATE, escalation))
    return sorted(found, key=lambda pair: -pair[0])


def ranked(found: Iterable[tuple[float, RecoveryAction]]) -> list[RecoveryAction]:
    """The best first, each action once."""
    best: dict[tuple[str, ErrorType], tuple[float, RecoveryAction]] = {}
    for score, action in found:
        key = (action.name, action.error_type)
        if key not in best or best[key][0] < score:
            best[key] = (score, action)
    ordered = sorted(best.values(), key=lambda pair: (-pair[0], pair[1].name))
    return [replace(action, rank=place) for place, (_, action) in enumerate(ordered, 1)]


def _chosen(matches: Sequence[Match]) -> list[Match]:
    """The most specific ones; what goes by the class alone only where nothing else speaks."""
    specific = [each for each in matches if each.strength > CLASS]
    return (specific or list(matches))[:_MOST_ENTRIES]


def _score(prior: float, tally: Tally | None) -> float:
    if tally is None or not tally.cases:
        return prior
    if tally.is_vain:
        return 0.0
    # What was tried often enough is judged by that alone.
    return tally.sure_share if tally.cases >= _ENOUGH else max(prior, tally.sure_share)


def _of_entry(case: Case, entry: Entry, tally: Tally | None) -> RecoveryAction:
    made = RecoveryAction(
        rank=0,
        action=entry.do,
        reason=entry.why,
        name=entry.id,
        kind=entry.kind,
        error_type=case.error_type,
        pattern_id=case.pattern_id,
        command=entry.command,
        docs=entry.docs,
    )
    action = entry.kind if entry.kind != "fix" else "this"
    return made if tally is None else _with_evidence(made, action, tally)


def _of_tally(case: Case, action: str, tally: Tally) -> RecoveryAction:
    made = RecoveryAction(
        rank=0,
        action=_SAID.get(action, f"Do as was done before: {action.replace('_', ' ')}."),
        reason="It was done about such failures before.",
        name=action,
        kind=action if action in _AUTOMATIC else "fix",
        error_type=case.error_type,
        pattern_id=case.pattern_id,
    )
    return _with_evidence(made, action, tally)


def _with_evidence(made: RecoveryAction, action: str, tally: Tally) -> RecoveryAction:
    share = tally.successes / tally.cases
    noun = "case" if tally.cases == 1 else "cases"
    said = f"{action.replace('_', ' ')} worked in {share:.0%} of {tally.cases} {noun}"
    if tally.is_vain:
        said = said.replace(" worked", " hardly helps: it worked")
    median = tally.median_attempts
    if median is not None:
        more = " or more" if median >= MOST_ATTEMPTS else ""
        said += f", median {median}{more} attempts"
    said += " of this pattern" if tally.of_pattern else f" of {made.error_type} errors"
    return replace(
        made,
        evidence=said,
        cases=tally.cases,
        successes=tally.successes,
        confidence=tally.sure_share,
        median_attempts=median,
    )


def _escalation(case: Case, tallies: Mapping[str, Tally]) -> RecoveryAction | None:
    """Where nothing that seawall does by itself helps, a person must look."""
    tried = {action: tally for action, tally in tallies.items() if action in _AUTOMATIC}
    sure = [tally for tally in tried.values() if tally.cases >= _SURE]
    if not sure or any(
        wilson_interval(tally.successes, tally.cases).high >= _WEAK for tally in sure
    ):
        return None
    best = max(tried, key=lambda action: tried[action].sure_share)
    made = RecoveryAction(
        rank=0,
        action="Tell whoever owns the pipeline: what is done automatically doesn't help.",
        reason="Of all that was tried, nothing succeeds in half of the cases.",
        name="escalate",
        kind="fix",
        error_type=case.error_type,
        pattern_id=case.pattern_id,
    )
    return _with_evidence(made, best, tried[best])
