"""What an analysis says of made-up months: silent in a healthy one, right in a bad one."""

import json
import random
from datetime import timedelta

import pytest

from seawall.analysis import Basis
from seawall.analysis.analyst import changes_to_tell
from seawall.analysis.causes import find_causes, sudden_failures
from seawall.analysis.findings import last_raised, reliability_of
from seawall.analysis.outlook import look_ahead
from seawall.analysis.store import BudgetUse, Outage, Reading, RunHistory, ValueCount
from support.failure_history import NOW, History, analysis_of

HOUR = timedelta(hours=1)
USUAL = 0.002


def causes(found, basis=None):
    return [(each.dimension, each.value) for each in found.causes if basis in (None, each.basis)]


@pytest.mark.parametrize("seed", [1, 2, 3, 4])
def test_healthy_month_is_silent(seed):
    found = analysis_of(History(lambda *_: USUAL, seed=seed, days=30, every=15))
    assert found.changes == ()
    assert causes(found) == []
    assert not found.is_sudden
    assert not found.by_hour.is_certain
    assert not found.by_weekday.is_certain
    assert found.outlook == ()
    assert "has not changed" in found.summary


def test_looking_every_five_minutes_for_a_healthy_month_tells_of_nothing():
    """As the job does, over the end of a month that grows; parts are looked at as well."""
    generator = random.Random(7)
    false_alarms = 0
    for _ in range(1000):
        counts = []
        for value in range(25):
            total, before = 15, 8640
            failures = sum(generator.random() < USUAL for _ in range(total))
            counts.append(ValueCount("host", str(value), failures, total, 17, before, NOW))
        false_alarms += bool(sudden_failures(counts))
    assert false_alarms == 0


def test_step_that_fails_on_one_host_after_a_deploy_is_named_with_both():
    since = NOW - HOUR
    found = analysis_of(
        History(
            lambda at, step, host: 0.9 if at >= since and (step, host) == ("load", "a") else USUAL,
            release=lambda at, host: "1.5" if at >= since else "1.4",
        )
    )
    assert causes(found, Basis.CONTRAST) == [("step × host", "load × a")]
    assert causes(found, Basis.APPEARED) == [("release", "1.5")]
    assert abs(found.causes_since - since) <= timedelta(minutes=5)
    assert found.last_change.direction == "rise"
    top = found.causes[0]
    assert top.certainty > 0.999
    assert top.lift_interval.low > 10
    assert "Step load with host a fails" in found.summary
    assert "Release 1.5 first worked at about that time" in found.summary


def test_it_is_named_within_a_quarter_hour():
    """Of twelve parts one fails: three of its ends are too few, the fifteen of 15 minutes aren't."""
    since = NOW - timedelta(minutes=15)
    found = analysis_of(
        History(
            lambda at, step, host: 0.9 if at >= since and (step, host) == ("load", "a") else USUAL,
            every=1, days=4,
        )
    )  # fmt: skip
    assert causes(found)[0] == ("step × host", "load × a")


def test_part_too_small_to_move_the_whole_is_found_as_sudden():
    since = NOW - timedelta(minutes=15)
    found = analysis_of(
        History(
            lambda at, step, host: 1 if at >= since and (step, host) == ("load", "a") else USUAL,
            seed=3,
        )
    )
    assert found.changes == ()
    assert found.is_sudden
    assert causes(found)[0] == ("step × host", "load × a")
    assert "a part of it fails as it never did" in found.summary


def test_credential_that_expired_is_named_by_its_error_and_step():
    since = NOW - HOUR
    found = analysis_of(
        History(
            lambda at, step, host: 1.0 if at >= since and step == "load" else USUAL,
            error=lambda at, step, host: (
                ("permanent", "AuthError") if at >= since and step == "load"
                else ("transient", "TimeoutError")
            ),
        )
    )  # fmt: skip
    assert causes(found, Basis.CONTRAST) == [("step", "load")]
    assert causes(found, Basis.ERRORS) == [("error_type", "permanent"), ("exception", "AuthError")]
    assert found.error_types[0].share > 0.9


def test_release_on_half_of_the_hosts_is_told_from_the_hosts():
    since = NOW - HOUR
    found = analysis_of(
        History(
            lambda at, step, host: (
                0.5 if at >= since and host in "ab" and step == "load" else USUAL
            ),
            release=lambda at, host: "1.5" if at >= since and host in "ab" else "1.4",
        )
    )
    assert causes(found, Basis.CONTRAST) == [("step × release", "load × 1.5")]


def test_outage_that_is_over_is_told_from_its_beginning_to_its_end():
    first, last = NOW - 30 * HOUR, NOW - 28 * HOUR
    found = analysis_of(
        History(lambda at, step, host: 0.5 if first <= at < last and host == "b" else USUAL)
    )
    assert [each.direction for each in found.changes] == ["rise", "fall"]
    assert abs(found.causes_since - first) <= timedelta(minutes=10)
    assert abs(found.causes_until - last) <= timedelta(minutes=10)
    assert causes(found, Basis.CONTRAST) == [("host", "b")]
    assert "It had been raised since" in found.summary


def test_season_is_named_and_no_change_each_night():
    found = analysis_of(History(lambda at, step, host: 0.05 if at.hour == 3 else USUAL))
    assert causes(found) == [("hour", "3")]
    assert found.causes[0].basis is Basis.SEASON
    assert found.changes == ()
    assert "from 03:00 UTC" in found.summary


def test_slow_growth_is_a_trend():
    start = NOW - timedelta(days=30)
    found = analysis_of(
        History(lambda at, step, host: 0.005 + 0.0003 * (at - start).days, days=30, every=10)
    )
    assert found.trend.is_certain
    assert found.trend.interval.low <= 0.0003 <= found.trend.interval.high


def test_everything_is_plain_values():
    found = analysis_of(History(lambda *_: 0.02, days=8, every=20))
    again = json.loads(json.dumps(found.to_dict(), allow_nan=False))
    assert again["failures"]["total"] == found.failures.total
    assert again["analyzed_at"] == NOW.isoformat()
    assert again["summary"] == found.summary


def test_pipeline_without_any_work_is_said_to_have_none():
    found = analysis_of(History(lambda *_: 0, days=0))
    assert found.failures.total == 0
    assert found.summary.startswith("Nothing of flights ended")


# -- parts ---------------------------------------------------------------------------------------


def _count(dimension, value, failures, total, before=0, total_before=0):
    return ValueCount(dimension, value, failures, total, before, total_before, NOW)


def _causes(counts):
    failures = sum(each.failures for each in counts if each.dimension == "step")
    total = sum(each.total for each in counts if each.dimension == "step")
    return [
        (each.dimension, each.value)
        for each in find_causes(
            counts, work=(failures, total), work_before=(0, 0), since=NOW, is_rise=False, seasons={}
        )
    ]


def test_two_causes_are_both_named():
    counts = [
        _count("step", "load", 60, 400), _count("step", "extract", 50, 400),
        _count("host", "a", 60, 400), _count("host", "b", 50, 400),
        _count("step × host", "load × a", 55, 200), _count("step × host", "load × b", 5, 200),
        _count("step × host", "extract × a", 5, 200), _count("step × host", "extract × b", 45, 200),
    ]  # fmt: skip
    assert _causes(counts) == [("step × host", "load × a"), ("step × host", "extract × b")]


def test_differences_that_are_chance_among_many_are_no_causes():
    generator = random.Random(4)
    counts = [
        _count("host", str(n), sum(generator.random() < 0.05 for _ in range(200)), 200)
        for n in range(60)
    ]
    assert _causes(counts) == []


def test_others_are_never_a_cause():
    assert _causes([_count("host", "(other)", 90, 100), _count("host", "a", 0, 100)]) == []


def test_changes_are_told_for_a_day():
    history = History(lambda at, *_: 0.3 if at >= NOW - 5 * HOUR else USUAL, days=5)
    buckets = history.series().work
    (told,) = changes_to_tell(buckets, NOW)
    assert told.is_rise
    assert told.rate_after > 0.2 > told.rate_before
    assert changes_to_tell(buckets, NOW + timedelta(days=2)) == []


def test_all_the_time_is_explained_where_the_rate_never_rose():
    assert last_raised((), NOW - HOUR, NOW) == (NOW - HOUR, NOW, False)


def test_reliability_counts_outages_not_failed_runs():
    outages = [
        Outage(NOW - 30 * HOUR, NOW - 28 * HOUR), Outage(NOW - 20 * HOUR, NOW - 19 * HOUR),
        Outage(NOW - HOUR, None),
    ]  # fmt: skip
    found = reliability_of(RunHistory(100, 9, 100 * 3600.0, outages), NOW)
    assert (found.outages, found.failed_runs) == (3, 9)
    assert found.recovery_seconds == 1.5 * 3600
    assert found.longest_recovery_seconds == 2 * 3600
    assert found.mtbf_seconds == pytest.approx(96 * 3600 / 3)
    assert found.mtbf_seconds in found.mtbf_interval
    assert found.down_since == NOW - HOUR
    assert reliability_of(RunHistory(5, 0, 3600.0, []), NOW).mtbf_seconds is None
    assert reliability_of(RunHistory(0, 0, 0.0, []), NOW).mtbf_interval is None


# -- outlook -------------------------------------------------------------------------------------


def _disk(values, minutes=10):
    last = len(values) - 1
    points = [((n - last) * 60.0 * minutes, value) for n, value in enumerate(values)]
    return Reading("disk /data on a", "percent", 100.0, points)


def test_disk_that_fills_is_seen_to_run_out_when_it_does():
    generator = random.Random(6)
    values = [50 + n * 0.25 + generator.gauss(0, 0.1) for n in range(100)]
    (look,) = look_ahead(NOW, [_disk(values)], None)
    expected = NOW + timedelta(minutes=10 * (100 - values[-1]) / 0.25)
    assert abs(look.ends_at - expected) < timedelta(minutes=40)
    assert look.earliest <= look.ends_at <= look.latest
    assert look.per_day == pytest.approx(36, rel=0.05)


def test_disk_that_fills_since_an_hour_is_seen_though_the_day_was_flat():
    (look,) = look_ahead(NOW, [_disk([60.0] * 132 + [60 + 3.0 * n for n in range(12)])], None)
    assert look.ends_at - NOW < timedelta(hours=1)


@pytest.mark.parametrize(
    "values", [[50.0] * 100, [90 - n * 0.1 for n in range(100)], [50, 60], [50, 51] * 50]
)
def test_disk_that_does_not_fill_is_no_outlook(values):
    assert look_ahead(NOW, [_disk(values)], None) == ()


def test_noise_raises_no_outlook():
    generator = random.Random(8)
    found = sum(
        bool(look_ahead(NOW, [_disk([50 + generator.gauss(0, 2) for _ in range(100)])], None))
        for _ in range(60)
    )
    assert found <= 3


def test_budget_runs_out_by_what_is_bad_beyond_the_objective():
    use = BudgetUse(0.99, good=7150, bad=50, recent_good=230, recent_bad=10,
                    recent_seconds=86_400.0)  # fmt: skip
    (look,) = look_ahead(NOW, [], use)
    # 72 are allowed, 22 are left, and 10 a day are 7.6 more than the objective allows.
    assert look.ends_at - NOW == pytest.approx(timedelta(days=22 / 7.6), rel=1e-6)
    assert look.earliest < look.ends_at < look.latest
    assert look.used == pytest.approx(50 / 72 * 100)


def test_budget_that_is_spent_has_run_out_and_one_that_lasts_is_no_outlook():
    spent = BudgetUse(0.99, 900, 100, 90, 10, 86_400.0)
    assert look_ahead(NOW, [], spent)[0].ends_at == NOW
    assert look_ahead(NOW, [], BudgetUse(0.99, 9990, 10, 998, 2, 86_400.0)) == ()
    assert look_ahead(NOW, [], BudgetUse(0.99, 0, 0, 0, 0, 86_400.0)) == ()
