"""From what was counted to better numbers: the rules. Pure.

A policy costs the seconds that it waits, and, where the call fails in the end, what that failure
costs. Of the policies within the bounds, a limited step away, the one that costs least is advised,
if it is better by a margin and enough calls speak for it.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace

from seawall.classification import ErrorType
from seawall.statistics import wilson_interval
from seawall.tuning.model import EDGES, NEVER, Bounds, Interval, Timing
from seawall.tuning.recovery import Recovery, recovery_of

ENOUGH_CASES = 50  # retried calls, of each the numbers that hold now
ENOUGH_EPISODES = 3  # ten minutes each in which there were any: one outage doesn't decide
_MARGIN = 0.10  # of the cost: below it nothing changes
_ATTEMPT_SECONDS = 0.25  # what one more attempt costs, beside its wait
_FACTORS = (1.0, 1.5, 2.0, 3.0)
_WAIT_STEP = 8.0  # by what the first wait may change at once
_RETRIES_STEP = 2  # how many retries may be added at once
_LONGER_STEP = 2.0  # by what the waits of a call together may grow at once
_SYSTEM_RETRIES = 2  # the decision matrix allows no more
TUNED = (ErrorType.TRANSIENT, ErrorType.UNKNOWN, ErrorType.SYSTEM)


@dataclass(frozen=True, slots=True)
class Evidence:
    """What was counted of an operation's retried calls that failed in one way.

    Attributes:
        counts: when they recovered, of the last two weeks.
        cases: calls under the numbers that hold now, and ``successes`` of these.
        cases_before, successes_before: under the numbers before those; 0 where there are none.
        episodes: stretches of ten minutes in which there were calls.
    """

    counts: Mapping[Interval, int]
    cases: int
    successes: int
    episodes: int
    cases_before: int = 0
    successes_before: int = 0


@dataclass(frozen=True, slots=True)
class Forecast:
    """What a policy is expected to do for calls that failed once.

    Attributes:
        success: share (0 to 1) that succeeds on a retry.
        seconds: waited on the average, by all of them.
        cost: seconds, with what failures cost.
    """

    success: float
    seconds: float
    cost: float


@dataclass(frozen=True, slots=True)
class Advice:
    """Other numbers for an operation's retries, and why.

    Attributes:
        timing: the numbers.
        reason: one sentence with the evidence.
        reverts: it takes back a change that did harm.
    """

    timing: Timing
    reason: str
    reverts: bool = False


def forecast(timing: Timing, recovery: Recovery, bounds: Bounds) -> Forecast:
    """What the policy does to calls that recover as ``recovery`` says."""
    *_, last = _forecasts(timing.waits(), recovery, bounds)
    return last


def _forecasts(waits: list[float], recovery: Recovery, bounds: Bounds) -> Iterator[Forecast]:
    """The same with none of the retries, with the first, the first two, and so on."""
    waited = seconds = attempts = before = 0.0
    yield Forecast(0.0, 0.0, bounds.failure_seconds)
    for number, wait in enumerate(waits, 1):
        waited += wait
        now = recovery.by(waited)
        seconds += (now - before) * waited
        attempts += (now - before) * number
        before = now
        failing = 1.0 - before
        whole = seconds + failing * waited
        tried = (attempts + failing * number) * _ATTEMPT_SECONDS
        yield Forecast(before, whole, whole + tried + failing * bounds.failure_seconds)


def advise(
    evidence: Evidence,
    now: Timing,
    bounds: Bounds,
    error_type: ErrorType,
    *,
    before: Timing | None = None,
) -> Advice | None:
    """Better numbers, or None where those of now are to stay.

    Args:
        evidence: what was counted.
        now: the numbers that hold.
        bounds: what the user allows.
        error_type: how the calls failed.
        before: the numbers that were changed last, which are gone back to where that did harm.
    """
    if error_type not in TUNED or evidence.cases < ENOUGH_CASES:
        return None
    if before is not None and _did_harm(evidence):
        return Advice(before, _harm(evidence), reverts=True)
    if evidence.episodes < ENOUGH_EPISODES:
        return None
    recovery = recovery_of(evidence.counts)
    current = forecast(now, recovery, bounds)
    best = min(
        _steps(now, bounds, recovery, error_type),
        key=lambda pair: (pair[0].cost, pair[1].max_retries, pair[1].initial_delay),
        default=(current, now),
    )
    if best[0].cost >= current.cost * (1.0 - _MARGIN):
        return None
    return Advice(best[1], _reason(evidence, current, best[0], best[1]))


def _steps(
    now: Timing, bounds: Bounds, recovery: Recovery, error_type: ErrorType
) -> Iterator[tuple[Forecast, Timing]]:
    """The policies within the bounds that are one step away, and what they are expected to do."""
    most = min(bounds.max_retries, max(now.max_retries + _RETRIES_STEP, bounds.min_retries))
    if error_type is ErrorType.SYSTEM:
        most = min(most, _SYSTEM_RETRIES)
    longest = _LONGER_STEP * max(sum(now.waits()), recovery.seen_until, 1.0)
    for delay in _delays(now, bounds):
        for factor in _FACTORS:
            made = Timing(
                max_retries=most,
                initial_delay=delay,
                backoff_factor=factor,
                max_delay=bounds.max_delay,
            )
            waits = made.waits()
            for retries, found in enumerate(_forecasts(waits, recovery, bounds)):
                short = retries == bounds.min_retries or sum(waits[:retries]) <= longest
                if retries >= bounds.min_retries and short:
                    yield found, replace(made, max_retries=retries)


def _delays(now: Timing, bounds: Bounds) -> list[float]:
    """First waits that are one step away."""
    low = max(bounds.min_delay, now.initial_delay / _WAIT_STEP)
    high = max(low, min(bounds.max_delay, max(now.initial_delay, bounds.min_delay) * _WAIT_STEP))
    between = (edge for edge in EDGES if low < edge <= high)
    return sorted({low, min(max(now.initial_delay, low), high), *between})


def _did_harm(evidence: Evidence) -> bool:
    """Whether calls succeed less often than before the last change, beyond doubt."""
    if evidence.cases_before < ENOUGH_CASES:
        return False
    after = wilson_interval(evidence.successes, evidence.cases)
    return after.high < wilson_interval(evidence.successes_before, evidence.cases_before).low


def _harm(evidence: Evidence) -> str:
    return (
        f"taken back: retries succeeded in {_share(evidence.successes, evidence.cases)} calls"
        f" since the last change, and in"
        f" {_share(evidence.successes_before, evidence.cases_before)} before it"
    )


def _reason(evidence: Evidence, old: Forecast, new: Forecast, timing: Timing) -> str:
    total = sum(evidence.counts.values())
    recovered = sum(n for each, n in evidence.counts.items() if each.succeeded_at != NEVER)
    return (
        f"retries succeeded in {_share(recovered, total)} calls{_when(evidence.counts)}:"
        f" with {timing} an expected {new.success:.0%} succeed (now {old.success:.0%})"
        f" after {new.seconds:.3g} s of waiting on the average (now {old.seconds:.3g} s)"
    )


def _share(some: int, of: int) -> str:
    return f"{some / of:.0%} of {of}" if of else "none of 0"


def _when(counts: Mapping[Interval, int]) -> str:
    """Within which wait half of those that recovered had done so."""
    ends = sorted(
        (each.succeeded_at, count) for each, count in counts.items() if each.succeeded_at != NEVER
    )
    left = sum(count for _, count in ends) / 2
    for at, count in ends:
        left -= count
        if left <= 0:
            return f", half of them within {EDGES[at]:.3g} s"
    return ""


def clamped(timing: Timing, bounds: Bounds) -> Timing:
    """The numbers within the bounds, which may have become narrower since."""
    longest = min(timing.max_delay, bounds.max_delay)
    return replace(
        timing,
        max_retries=min(max(timing.max_retries, bounds.min_retries), bounds.max_retries),
        max_delay=longest,
        initial_delay=min(max(timing.initial_delay, bounds.min_delay), longest),
    )
