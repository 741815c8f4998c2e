"""Burn-rate rules, alerts and the outlook: pure rules on counts."""

from dataclasses import replace
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from seawall import InvalidConfigError
from seawall.alerts.rule import RULES
from seawall.budget.alert import Reading, judge
from seawall.budget.counts import Counts
from seawall.budget.rule import (
    DEFAULT_RULES,
    BurnRule,
    Severity,
    default_rules,
    rules_of,
    span,
)
from seawall.budget.status import seconds_to_exhaustion
from seawall.events import BudgetAlert

FAST = BurnRule(burn_rate=14.4, long_seconds=3600, short_seconds=300)
SLOW = DEFAULT_RULES[-1]
NOTHING = Counts()


def test_counts_of_nothing_are_rate_0_and_within_every_budget():
    assert NOTHING.error_rate == NOTHING.burn_rate(0.99) == 0
    assert not NOTHING.exceeds(0.999999)


def test_budget_that_is_used_to_the_last_run_is_not_exceeded():
    assert not Counts(99, 1).exceeds(0.99)
    assert not Counts(999_999, 1).exceeds(0.999999)
    assert Counts(98, 2).exceeds(0.99)


def test_rule_needs_three_failures_whatever_their_share():
    assert not FAST.fires(Counts(0, 2), Counts(0, 2), 0.99)
    assert FAST.fires(Counts(0, 3), Counts(0, 3), 0.99)


def test_rule_needs_what_chance_does_not_bring():
    """3 of 20 burn fifteenfold, and come once in a thousand windows of a pipeline that is fine."""
    assert Counts(17, 3).burn_rate(0.99) > 14.4
    assert not FAST.fires(Counts(17, 3), Counts(17, 3), 0.99)
    assert FAST.fires(Counts(170, 30), Counts(17, 3), 0.99)


def test_rule_needs_both_windows():
    assert not FAST.fires(Counts(20, 30), Counts(20, 0), 0.99)
    assert not FAST.fires(Counts(9000, 30), Counts(0, 3), 0.99)


def test_rule_that_fired_is_over_below_half_its_rate():
    assert FAST.goes_on(Counts(92, 8), 0.99)
    assert not FAST.goes_on(Counts(93, 7), 0.99)
    assert not FAST.goes_on(NOTHING, 0.99)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"burn_rate": 0}, "burn_rate=0: must be"),
        ({"long_seconds": -1}, "long_seconds=-1: must be"),
        ({"short_seconds": 3600}, "must be below long_seconds=3600"),
        ({"severity": "sms"}, "severity='sms': must be one of page, ticket"),
    ],
)
def test_rule_out_of_range_says_what_is_right(options, message):
    given = {"burn_rate": 14.4, "long_seconds": 3600, "short_seconds": 300, **options}
    with pytest.raises(InvalidConfigError, match=message):
        rules_of([given])


def test_rules_are_named_by_their_windows():
    assert [rule.name for rule in DEFAULT_RULES] == [
        "14.4x 30m/5m", "14.4x 1h/5m", "6x 6h/30m", "1x 3d/6h",
    ]  # fmt: skip
    assert span(90) == "90s"


@given(st.floats(0.01, 0.999999))
def test_default_rules_can_fire_for_every_objective(objective):
    for rule in default_rules(objective):
        rule.check_objective(objective)
        assert rule.burn_rate * (1 - objective) <= 0.8 + 1e-9


def test_rule_that_cannot_fire_is_refused():
    FAST.check_objective(0.94)
    with pytest.raises(InvalidConfigError, match="144% failures; must be at most 10"):
        FAST.check_objective(0.9)


def readings(*pairs):
    return [Reading(*pair) for pair in pairs]


def test_alert_is_of_the_worst_rule_that_fires():
    bad, fine = (Counts(0, 9), Counts(0, 9)), (Counts(99, 0), Counts(9, 0))
    assert judge(None, [SLOW, FAST], readings(bad, bad), 0.99).rule is FAST
    assert judge(None, [SLOW, FAST], readings(bad, fine), 0.99).severity is Severity.TICKET
    assert judge(None, [SLOW, FAST], readings(fine, fine), 0.99).severity is None


def test_page_goes_on_while_its_short_window_burns_and_does_not_sink_to_a_ticket():
    burnt, quiet = Counts(100, 30), Counts(20, 0)
    rules = [FAST, SLOW]
    on = judge(Severity.PAGE, rules, readings((burnt, Counts(17, 3)), (burnt, burnt)), 0.99)
    assert on.severity is Severity.PAGE
    over = judge(Severity.PAGE, rules, readings((burnt, quiet), (burnt, burnt)), 0.99)
    assert over.severity is None


def test_ticket_is_raised_to_a_page():
    bad = (Counts(0, 9), Counts(0, 9))
    assert judge(Severity.TICKET, [FAST, SLOW], readings(bad, bad), 0.99).severity is Severity.PAGE


def test_alert_reaches_people_with_figures_and_what_to_do():
    event = BudgetAlert(
        alert_id=UUID(int=7), pipeline_id="p", sli="runs", state="firing", severity="page",
        rule="6x 6h/30m", objective=0.99, long_burn_rate=25.0, short_burn_rate=50.0, bad=3, total=12,
    )  # fmt: skip
    signal = RULES[BudgetAlert](event)
    assert (signal.key, signal.firing, signal.severity) == ("error_budget:p:runs", True, "critical")
    assert "3 of 12 runs were bad (25 %, and 1 % is the objective's room)" in signal.message
    over = RULES[BudgetAlert](replace(event, state="resolved", severity="ticket"))
    assert (over.key, over.firing, over.severity) == (signal.key, False, "warning")


HOUR, DAY = 3600.0, 86_400.0


def test_budget_lasts_where_it_burns_at_its_rate_or_slower():
    assert seconds_to_exhaustion(Counts(999, 1), 1.0, 0.99, 30 * DAY, 30 * DAY) is None
    assert seconds_to_exhaustion(NOTHING, 9.0, 0.99, DAY, 30 * DAY) is None


def test_full_window_is_used_up_in_its_length_over_the_burn_rate():
    """As in the SRE workbook: at tenfold, an untouched budget of 30 days lasts three."""
    seconds = seconds_to_exhaustion(Counts(1000, 0), 10.0, 0.99, 30 * DAY, 30 * DAY)
    assert seconds == pytest.approx(3 * DAY)


@given(
    good=st.integers(100, 5000),
    burn=st.floats(1.1, 50),
    observed=st.floats(HOUR, 30 * DAY),
)
def test_outlook_is_when_a_replay_of_it_is_over_budget(good, burn, observed):
    """Hour by hour: so many come, so many of them fail, and what falls out was good."""
    objective, window, rate = 0.99, 30 * DAY, good / observed
    seconds = seconds_to_exhaustion(Counts(good, 0), burn, objective, observed, window)
    step, now, total, bad = window / 20_000, 0.0, float(good), 0.0
    while bad <= total * (1 - objective) * (1 + 1e-9):
        now += step
        bad += rate * step * burn * (1 - objective)
        total = min(total + rate * step, rate * window)
    assert seconds == pytest.approx(now, abs=2 * step)
