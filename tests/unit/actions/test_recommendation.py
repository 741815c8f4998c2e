"""Recommendations are ranked by what surely worked; nothing is recommended that doesn't help."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from seawall.actions import ActionDesk
from seawall.actions.counter import ActionCounter
from seawall.actions.knowledge import KnowledgeBase, Symptoms
from seawall.actions.recommendation import Case, ranked, recommend, tallies_of
from seawall.actions.store import ALL, Counted
from seawall.classification import Classifier, ErrorType
from seawall.events import (
    BatchCommitted,
    BreakerTransition,
    EventBus,
    FallbackExhausted,
    FallbackUsed,
    RetryExhausted,
    RetrySucceeded,
    StepEnded,
)
from seawall.masking import default_masker

TRANSIENT = ErrorType.TRANSIENT


def counted(action, succeeded, failed, *, attempts=2, by_pattern=False, kind=TRANSIENT):
    return Counted(action, kind, by_pattern, attempts, succeeded, failed)


def recommended(*counts, kind=TRANSIENT, base=None, **symptoms):
    matches = (base or KnowledgeBase()).match(Symptoms(error_type=kind, **symptoms))
    own = frozenset() if base is None else base.own_ids
    case = Case(kind, matches, "pattern", own=own)
    return ranked(recommend(case, tallies_of(counts, kind)))


def test_few_cases_do_not_win_over_many():
    found = recommended(counted("fallback", 2, 0, attempts=1), counted("retry", 280, 20))
    assert [each.name for each in found] == ["any_transient", "fallback"]
    assert (
        found[0].evidence
        == "retry worked in 93% of 300 cases, median 2 attempts of transient errors"
    )
    assert found[0].confidence > 0.89
    assert found[1].confidence < 0.5


def test_what_worked_better_comes_first():
    found = recommended(counted("fallback", 290, 10, attempts=1), counted("retry", 100, 200))
    assert found[0].name == "fallback"


def test_pattern_speaks_for_itself_once_it_has_enough_cases():
    few = recommended(counted("retry", 90, 10), counted("retry", 0, 5, by_pattern=True))
    assert few[0].cases == 100
    many = recommended(counted("retry", 90, 10), counted("retry", 0, 30, by_pattern=True))
    assert many[0].name == "escalate"
    assert many[-1].evidence == "retry hardly helps: it worked in 0% of 30 cases of this pattern"


def test_other_error_types_are_not_counted():
    found = recommended(counted("retry", 90, 10, kind=ErrorType.UNKNOWN))
    assert found[0].cases == 0
    assert found[0].evidence is None


def test_specific_fix_comes_before_a_retry_that_mostly_fails():
    found = recommended(
        counted("retry", 30, 70),
        codes=frozenset({"errno 28"}),
        kind=TRANSIENT,
    )
    assert [each.name for each in found] == ["free_disk_space", "escalate", "retry"]
    assert found[1].action.startswith("Tell whoever owns the pipeline")


def test_fix_that_people_recorded_is_quoted():
    (found, *_) = recommended(
        counted("free_disk_space", 11, 1, attempts=1), codes=frozenset({"errno 28"})
    )
    assert found.evidence == "this worked in 92% of 12 cases of transient errors"


def test_action_of_the_users_own_name_is_recommended_where_it_worked():
    found = recommended(counted("restart_proxy", 50, 0, attempts=1))
    assert found[0].action == "Do as was done before: restart proxy."


def test_median_is_that_of_the_successes():
    (found, *_) = recommended(
        counted("retry", 10, 0, attempts=2),
        counted("retry", 30, 0, attempts=4),
        counted("retry", 0, 99, attempts=10),
    )
    assert found.median_attempts == 4


@given(
    st.lists(
        st.tuples(
            st.sampled_from(["retry", "fallback", "resume", "tune", "call_ann"]),
            st.integers(0, 300),
            st.integers(0, 300),
            st.integers(1, 10),
            st.booleans(),
        ),
        max_size=12,
    )
)
def test_ranks_are_complete_and_each_action_is_named_once(rows):
    found = recommended(
        *(counted(a, s, f, attempts=n, by_pattern=p) for a, s, f, n, p in rows if s + f)
    )
    assert [each.rank for each in found] == list(range(1, len(found) + 1))
    assert len({each.name for each in found}) == len(found) > 0
    assert "tune" not in {each.name for each in found}
    for each in found:
        assert each.confidence is None or 0 <= each.confidence <= each.successes / each.cases


# -- counting -----------------------------------------------------------------------------------


def retried(attempt, operation="load"):
    return RetrySucceeded(
        operation=operation,
        attempt=attempt,
        elapsed_seconds=1.0,
        error_type="transient",
        message="peer reset",
    )


def totals(counter):
    return {
        (each.pipeline_id, each.operation, each.pattern_id, each.action, each.attempts): (
            each.succeeded,
            each.failed,
        )
        for each in counter.take()
    }


def test_counter_counts_for_pipeline_fleet_and_pattern():
    counter = ActionCounter(pipeline_id="p", identify=lambda *_: "abc")
    for attempt in (2, 2, 3, 40):
        counter.hear(retried(attempt))
    found = totals(counter)
    assert found["p", "load", "", "retry", 2] == (2, 0)
    assert found[ALL, "", "", "retry", 3] == (1, 0)
    assert found[ALL, "", "abc", "retry", 10] == (1, 0)
    assert counter.take() == []


def test_counter_hears_fallbacks_quarantine_and_vain_retries():
    counter = ActionCounter(pipeline_id="p", identify=lambda *_: None)
    counter.hear(FallbackUsed(operation="f", fallback="g", position=1, error_type="transient"))
    counter.hear(FallbackExhausted(operation="f", fallbacks=1, error_type="transient"))
    for skipped in (0, 3):
        counter.hear(
            BatchCommitted(
                partition=0,
                batch_id="b",
                read_count=10,
                write_count=10 - skipped,
                skip_count=skipped,
                elapsed_seconds=1.0,
            )
        )
    counter.hear(
        StepEnded(status="failed", elapsed_seconds=1, exception_type="TooManyBadRecordsError")
    )
    for attempt in (1, 3):
        counter.hear(
            RetryExhausted(
                operation="f",
                attempt=attempt,
                elapsed_seconds=0.0,
                error_type="transient",
                exception_type="x",
                message="",
                stop_reason="max_retries",
            )
        )
    found = totals(counter)
    assert found["p", "f", "", "fallback", 1] == (1, 1)
    assert found["p", "", "", "quarantine", 1] == (1, 1)
    assert found["p", "f", "", "retry", 3] == (0, 1)
    assert len(found) == 6


def test_counter_is_bounded_and_keeps_what_could_not_be_written():
    counter = ActionCounter(pipeline_id="p", identify=lambda *_: None)
    for n in range(700):
        counter.hear(retried(2, operation=f"load {n}"))
    deltas = counter.take()
    assert len(deltas) == 502
    assert counter.dropped == 0
    counter.put_back(deltas)
    assert sum(each.succeeded for each in counter.take()) == 1400


class Refusing:
    """A store that takes nothing the first time."""

    def __init__(self):
        self.refuses, self.written = True, []

    async def write(self, taken):
        if self.refuses:
            raise ConnectionError("away")
        self.written += taken
        return list(taken)

    async def settle(self, *_):
        return None

    async def add(self, deltas):
        self.written += deltas


async def test_desk_loses_nothing_where_the_database_is_away():
    store = Refusing()
    desk = ActionDesk(
        store,
        bus=EventBus(),
        classifier=Classifier(),
        masker=default_masker,
        knowledge=KnowledgeBase(),
        identify=lambda *_: None,
        catch_up=None,
        pipeline_id="p",
        hourly_cap=1,
    )
    desk.hear(retried(2))
    desk.hear(
        BreakerTransition(
            service_name="s",
            from_state="closed",
            to_state="open",
            epoch=1,
            reason="password=hunter2",
        )
    )
    with pytest.raises(ConnectionError):
        await desk.flush()
    store.refuses = False
    await desk.flush()
    (opened, *deltas) = store.written
    assert (opened.action, opened.operation, opened.pipeline_id) == ("breaker_opened", "s", "p")
    assert "hunter2" not in opened.summary
    assert len(deltas) == 2
    await desk.flush()
    assert len(store.written) == 3
